"""
Filters that move over images
=============================

A :class:`~rhohat.ConvolutionalClassifier` looks at an image through small windows, with the same weights at every
place. What it looks for are its filters, and where it finds them are its feature maps.
"""

# %%
# Small digits, and a network of 12 filters of 3×3 pixels, of which it keeps the largest answer in each square of four.

import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

import rhohat

digits = load_digits()
X, X_test, y, y_test = train_test_split(digits.images / 16, digits.target, random_state=0)
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
# The filters: strokes in several directions, light against dark.

rhohat.plot_filters(classifier, columns=6, title="filters")
plt.show()

# %%
# For four filters, the digits that have most of what each of them looks for, and beside each digit where it is.

figure, ax = plt.subplots(figsize=(7, 4))
rhohat.plot_feature_maps(
    classifier, X_test, channels=[0, 3, 6, 9], layer=0, title="digits, and where a filter answers", ax=ax
)
plt.show()
