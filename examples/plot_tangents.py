"""
Teach a network to ignore rotations
===================================

A digit that is shifted or rotated a little is still the same digit. :func:`~rhohat.image_tangents` computes
how the pixels change in such a movement. These changes are called *tangents*.
:class:`~rhohat.TangentPropagation` is a penalty on outputs that change along the tangents.
"""

# %%
# The tangents of a digit
# -----------------------
# A tangent is what is added to the pixels when the digit is shifted, rotated, scaled or thickened a little.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import rhohat

# sphinx_gallery_thumbnail_number = 2
X, y = load_digits(return_X_y=True)
X = X / 16
names = ("horizontal_shift", "vertical_shift", "rotation", "scaling", "thickening")
tangents = rhohat.image_tangents(X, (8, 8), names, smoothing=0.6)
figure, axes = plt.subplots(1, 6, figsize=(11, 2.2))
rhohat.plot_filters(X[:1], normalize=(0, 1), title="digit", ax=axes[0])
for k, name in enumerate(names):
    rhohat.plot_filters(tangents[:1, k], title=name.replace("_", " "), ax=axes[k + 1])

# %%
# Left is the digit, and beside it are five of its tangents. Grey means that a pixel does not change.

# %%
# Rotated digits
# --------------
# A network learns from 500 upright digits. It is tested on other digits that are rotated. We compare
# networks without the penalty (weight 0) and with a weight of 10 and 100, with the tangents of rotation.

train, test = slice(500), slice(500, None)
rotation = tangents[:, names.index("rotation")][:, np.newaxis]
angles = np.arange(-20, 21, 5)


def rotated(rows, angle):
    """Return images that are rotated by some degrees."""
    images = ndimage.rotate(
        rows.reshape(-1, 8, 8), angle, axes=(1, 2), reshape=False, order=1
    )
    return images.reshape(rows.shape)


figure, ax = plt.subplots(figsize=(6, 4))
for weight in (0, 10, 100):
    errors = np.zeros(len(angles))
    for seed in range(3):
        classifier = rhohat.FeedforwardClassifier(
            hidden_layer_sizes=(40,),
            activation="tanh",
            tangent_weight=weight,
            max_iter=200,
            random_state=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ConvergenceWarning
            )  # 200 iterations show enough
            classifier.fit(X[train], y[train], tangents=rotation[train])
        errors += [
            1 - classifier.score(rotated(X[test], angle), y[test]) for angle in angles
        ]
    print(
        f"weight {weight}:",
        ", ".join(
            f"{error:.1%} at {a}°" for error, a in zip(errors / 3, angles, strict=True)
        ),
    )
    ax.plot(angles, errors / 3 * 100, "o-", label=f"weight {weight}")
ax.set(
    xlabel="degrees by which the test digits are rotated",
    ylabel="% wrong, mean over 3 seeds",
)
ax.legend()
plt.show()

# %%
# The more the digits are rotated, the more the penalty helps.
