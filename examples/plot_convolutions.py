"""
Filters that move over images
=============================

A :class:`~rhohat.ConvolutionalClassifier` looks at an image through small windows and uses the same weights
at every place. These weights are its *filters*: they show what it looks for. Its *feature maps* show where in
an image it finds it.
"""

# %%
# The network
# -----------
# The images are small digits. The network has 12 filters of 3×3 pixels. Of the activations of a filter, it
# keeps the largest one in each square of 2×2 places.

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import rhohat

digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images / 16, digits.target, random_state=0
)
classifier = rhohat.ConvolutionalClassifier(
    layers=[rhohat.Convolution(12, 3), rhohat.MaxPooling(2), rhohat.Dense(40, "tanh")],
    solver=rhohat.Adam(0.005, batch_size=64, schedule="cosine"),
    max_iter=20,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 20 epochs show enough
    classifier.fit(X, y)
print(f"{1 - classifier.score(X_test, y_test):.1%} of the test digits are wrong")

# %%
# The filters
# -----------

rhohat.plot_filters(classifier, columns=6, title="filters")
plt.show()

# %%
# This picture shows the 12 filters. They look for strokes in several directions, light next to dark.

# %%
# The feature maps
# ----------------
# For four of the filters, the next picture shows the digits that activate the filter most.

figure, ax = plt.subplots(figsize=(7, 4))
rhohat.plot_feature_maps(
    classifier,
    X_test,
    channels=[0, 3, 6, 9],
    layer=0,
    title="digits, and where a filter is active",
    ax=ax,
)
plt.show()

# %%
# Each row belongs to one filter. Beside each digit is the feature map: it is bright where the filter is
# active.
