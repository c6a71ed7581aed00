"""
Layer by layer, then as a whole
===============================

:class:`~rhohat.StackedAutoencoderClassifier` trains autoencoders one upon the other without labels, puts a softmax
regression on top, and then trains all of it further with the labels: it is *fine-tuned*.
"""

# %%
# A thousand handwritten digits to learn from, the others to see how well that went.

from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay

import rhohat

X, y = load_digits(return_X_y=True)
X = X / 16
train, test = slice(1000), slice(1000, None)

layer = {"sparsity": 0.1, "sparsity_weight": 0.3, "max_iter": 2000, "tol": 1e-4}
classifier = rhohat.StackedAutoencoderClassifier(
    [rhohat.SparseAutoencoder(n_components=64, **layer), rhohat.SparseAutoencoder(n_components=32, **layer)],
    fine_tuning_weight_decay=1e-4,
    max_iter=2000,
    tol=1e-4,
    random_state=0,
).fit(X[train], y[train])

# %%
# The classifier keeps what it was before fine-tuning. Beside it, a softmax regression on pixels, without layers.

before = classifier.softmax_.score(classifier.autoencoder_.transform(X[test]), y[test])
on_pixels = rhohat.SoftmaxRegression(max_iter=2000, tol=1e-4, random_state=0).fit(X[train], y[train])
print(f"right on digits not seen: {on_pixels.score(X[test], y[test]):.3f} by softmax regression on pixels,")
print(f"{before:.3f} by the stack before fine-tuning, {classifier.score(X[test], y[test]):.3f} after it")

# %%
# What units of the second layer look for is found by ascent: the input of norm 1 that activates each most.

rhohat.plot_filters(classifier.maximal_inputs(), columns=8)

# %%
# What is taken for what:

ConfusionMatrixDisplay.from_predictions(y[test], classifier.predict(X[test]), colorbar=False, cmap="Greys")
