"""
Edge detectors from photographs
===============================

What remains for 25 units to look for in patches of photographs, if each may be active on few of them only? Edges. The
patches are whitened, normalised, and handed to a :class:`~rhohat.SparseAutoencoder`; nobody says what an edge is.
"""

# %%
# Rows
# ----
# Amplitudes in photographs fall off as 1/f. :func:`~rhohat.whiten_image` makes them equal, so that learning does not
# see slow gradients of brightness alone. A patch of 8×8 pixels is a row of 64 numbers.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

import rhohat

# sphinx_gallery_thumbnail_number = 3
images = [rhohat.whiten_image(image, boundary="reflect") for image in rhohat.photographs()]
patches = rhohat.sample_patches(images, patch_size=8, n_patches=10_000, random_state=0)
X = rhohat.PatchNormalizer().fit_transform(patches)
rhohat.plot_filters(X[:100], normalize=(0.1, 0.9), title="patches")

# %%
# A fit
# -----
# ρ = 0.01: a unit is to be active on one patch in a hundred, in the mean.

autoencoder = rhohat.SparseAutoencoder(
    n_components=25, sparsity=0.01, sparsity_weight=3.0, weight_decay=1e-4, max_iter=200, random_state=0
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations show enough
    autoencoder.fit(X)
rhohat.plot_loss_curve(autoencoder)
value, terms = autoencoder.cost(X)
print(f"J = {value:.4f}:", {name: round(term, 4) for name, term in terms.items()})

# %%
# What the units look for
# -----------------------
# Beside them, as many principal components of the same patches: waves and checks over the whole patch.

components = PCA(25).fit(X).components_
figure, axes = plt.subplots(1, 2, figsize=(8, 4))
rhohat.plot_filters(autoencoder.maximal_inputs(), title="hidden units", ax=axes[0])
rhohat.plot_filters(components, title="principal components", ax=axes[1])

# %%
# How much of an edge is that? The best Gabor function says, a plane wave under a Gaussian envelope: R² is 1 where a
# filter is one.

for name, filters in (("hidden units", autoencoder.components_), ("principal components", components)):
    print(f"{name}: median R² {np.median(rhohat.gabor_fit(filters, (8, 8))):.3f}")
