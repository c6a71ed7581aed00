"""
Edge detectors from photographs
===============================

A :class:`~rhohat.SparseAutoencoder` with 25 units learns from patches of photographs. Each unit may be active
on a few patches only. The units learn to detect edges, although nobody tells them what an edge is.
"""

# %%
# The data
# --------
# In photographs, slow changes of brightness are much stronger than fine details: the amplitude at a spatial
# frequency f is about 1/f. :func:`~rhohat.whiten_image` makes all frequencies equally strong, so that the
# units learn the details as well. A patch of 8×8 pixels is a row of 64 numbers.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning

import rhohat

# sphinx_gallery_thumbnail_number = 3
images = [
    rhohat.whiten_image(image, boundary="reflect") for image in rhohat.photographs()
]
patches = rhohat.sample_patches(images, patch_size=8, n_patches=10_000, random_state=0)
X = rhohat.PatchNormalizer().fit_transform(patches)
rhohat.plot_filters(X[:100], normalize=(0.1, 0.9), title="patches")

# %%
# The fit
# -------
# ``sparsity`` is ρ, the target for the mean activation of each unit. With ρ = 0.01, a unit is active on
# about one patch in a hundred.

autoencoder = rhohat.SparseAutoencoder(
    n_components=25,
    sparsity=0.01,
    sparsity_weight=3.0,
    weight_decay=1e-4,
    max_iter=200,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 200 iterations show enough
    autoencoder.fit(X)
rhohat.plot_loss_curve(autoencoder)
value, terms = autoencoder.cost(X)
print(f"J = {value:.4f}:", {name: round(term, 4) for name, term in terms.items()})

# %%
# This picture shows how the cost J falls during the fit.

# %%
# What the units look for
# -----------------------
# We compare the units with 25 principal components of the same patches.

components = PCA(25).fit(X).components_
figure, axes = plt.subplots(1, 2, figsize=(8, 4))
rhohat.plot_filters(autoencoder.maximal_inputs(), title="hidden units", ax=axes[0])
rhohat.plot_filters(components, title="principal components", ax=axes[1])

# %%
# Left: what each hidden unit looks for. Most units detect an edge at one place and one angle. Right: the
# principal components. They are waves and checks that cover the whole patch.

# %%
# How similar to an edge is a filter?
# -----------------------------------
# A Gabor function is a wave that fades out around its centre; it describes a small edge well.
# :func:`~rhohat.gabor_fit` finds the Gabor function that fits a filter best. If R² is 1, the filter is
# exactly a Gabor function.

for name, filters in (
    ("hidden units", autoencoder.components_),
    ("principal components", components),
):
    print(f"{name}: median R² {np.median(rhohat.gabor_fit(filters, (8, 8))):.3f}")
