"""
Digits with missing pixels
==========================

A :class:`~rhohat.DenoisingAutoencoder` sees corrupted rows and has to reconstruct the clean ones. So it
learns which pixels depend on each other, and can fill in missing pixels of rows that it has never seen.
"""

# %%
# The fit
# -------
# Each pixel is masked with probability 0.3. A solver that uses mini-batches draws a new mask in every
# epoch.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import rhohat
from rhohat.terms.corruption import corrupt_rows

X = load_digits().data / 16
train, test = X[:1500], X[1500:]
noise = rhohat.MaskingNoise(0.3)
denoiser = rhohat.DenoisingAutoencoder(
    n_components=120,
    corruption=noise,
    loss="binary_cross_entropy",
    solver=rhohat.Adam(learning_rate=3e-3, batch_size=100, schedule="cosine"),
    max_iter=100,
    tol=0,
    random_state=0,
    callbacks=[lambda state: state.iteration == 100],  # the planned end
).fit(train)

# %%
# Restored digits
# ---------------
# The autoencoder now restores digits that it has not learned from.

corrupted = corrupt_rows(noise, test, seed=1)
restored = denoiser.reconstruct(corrupted)
figure, axes = plt.subplots(3, 1, figsize=(9, 2.6))
for ax, rows, title in zip(
    axes, (test, corrupted, restored), ("clean", "corrupted", "restored"), strict=True
):
    rhohat.plot_filters(rows[:16], columns=16, normalize=(0, 1), title=title, ax=ax)
figure.tight_layout()

# %%
# The first row shows clean digits, the second row the same digits with masked pixels, and the third row
# what the autoencoder makes of the second row.

# %%
# Comparison with principal components
# ------------------------------------
# Principal components can restore digits as well. Here we take the number of components that works best.


def error(reconstruction):
    """Return the root mean square of what is left, in units of a white pixel."""
    return np.sqrt(np.mean((reconstruction - test) ** 2))


linear = min(
    error(pca.inverse_transform(pca.transform(corrupted)))
    for pca in (PCA(k).fit(train) for k in range(2, 30, 2))
)
print(f"error of the corrupted digits: {error(corrupted):.3f}")
print(f"restored by principal components: {linear:.3f}")
print(f"restored by the autoencoder: {error(restored):.3f}")

# %%
# The error of the principal components is larger. They only know the covariance of the pixels.
