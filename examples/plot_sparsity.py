r"""
What ρ and β do
===============

The penalty :math:`\beta \sum_j \operatorname{KL}(\rho \,\|\, \hat\rho_j)` pulls the mean activation
:math:`\hat\rho_j` of every hidden unit towards :math:`\rho`. The weight :math:`\beta` says how strongly. This
page shows the effect on handwritten digits of 8×8 pixels.
"""

# %%
# The penalty of one unit
# -----------------------

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rhohat

# sphinx_gallery_thumbnail_number = 2
rhohat.plot_kl(sparsity=0.2)

# %%
# The penalty is 0 if the mean activation of the unit equals ρ. It grows without limit if the mean
# activation comes near 0 or 1.

# %%
# The effect on a code
# --------------------
# We fit three autoencoders to the same digits: one without the penalty, one with ρ = 0.1, and one with ρ =
# 0.02.

X = load_digits().data / 16
figure, axes = plt.subplots(2, 3, figsize=(9, 6))
for column, (rho, beta) in enumerate([(0.1, 0.0), (0.1, 0.3), (0.02, 0.3)]):
    autoencoder = rhohat.SparseAutoencoder(
        n_components=36,
        sparsity=rho,
        sparsity_weight=beta,
        max_iter=1000,
        tol=1e-3,
        random_state=0,
        weight_decay=1e-3,
    ).fit(X)
    codes = autoencoder.transform(X)
    title = f"ρ = {rho}, β = {beta}" if beta else "β = 0"
    rhohat.plot_filters(autoencoder.coefs_[1], title=title, ax=axes[0, column])
    axes[1, column].hist(
        codes.ravel(), bins=30, range=(0, 1), density=True, color="gray"
    )
    axes[1, column].set(xlabel="activation", ylim=(0, 12))
    mean = autoencoder.mean_activation_
    print(
        f"{title}: mean activation {mean.min():.3f} to {mean.max():.3f}, "
        f"{np.mean(codes > 0.5):.0%} of all above 0.5, "
        f"explained variance {autoencoder.score(X):.1%}"
    )
figure.tight_layout()

# %%
# The upper row shows what each unit adds to a reconstruction: its weights to the output. The lower row
# shows how often each activation occurs.
#
# - Without the penalty (left), the activations are spread over the whole range: most units are half active
#   on most digits.
# - With the penalty (middle and right), most units are inactive on most digits.
# - The smaller ρ is, the fewer units are active on a digit. Each unit then draws a larger part of a digit,
#   and the explained variance falls.
