r"""
What ρ and β do
===============

The penalty :math:`\beta \sum_j \operatorname{KL}(\rho \,\|\, \hat\rho_j)` pulls the mean activation of every hidden
unit towards ρ. On handwritten digits of 8×8 pixels one sees how.
"""

# %%
# The penalty of a single unit is 0 where its mean activation is ρ, and grows without bound towards 0 and 1.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rhohat

# sphinx_gallery_thumbnail_number = 2
rhohat.plot_kl(sparsity=0.2)

# %%
# Above is what each unit adds to a reconstruction, its weights to the output; below, how active units are. Without the
# penalty, they are half active on nearly everything. With it, most are silent on most digits. The fewer may be active
# at a time, the more of a digit each has to draw, and the less of the rows comes back.

X = load_digits().data / 16
figure, axes = plt.subplots(2, 3, figsize=(9, 6))
for column, (sparsity, weight) in enumerate([(0.1, 0.0), (0.1, 0.3), (0.02, 0.3)]):
    autoencoder = rhohat.SparseAutoencoder(
        n_components=36,
        sparsity=sparsity,
        sparsity_weight=weight,
        max_iter=1000,
        tol=1e-3,
        random_state=0,
        weight_decay=1e-3,
    ).fit(X)
    codes = autoencoder.transform(X)
    title = f"ρ = {sparsity}, β = {weight}" if weight else "β = 0"
    rhohat.plot_filters(autoencoder.coefs_[1], title=title, ax=axes[0, column])
    axes[1, column].hist(codes.ravel(), bins=30, range=(0, 1), density=True, color="gray")
    axes[1, column].set(xlabel="activation", ylim=(0, 12))
    mean = autoencoder.mean_activation_
    print(
        f"{title}: ρ̂ from {mean.min():.3f} to {mean.max():.3f}, {np.mean(codes > 0.5):.0%} of activations above ½,"
        f" {autoencoder.score(X):.1%} of the variance explained"
    )
figure.tight_layout()
