"""
Train layer by layer, then fine-tune
====================================

:class:`~rhohat.StackedAutoencoderClassifier` first trains several autoencoders without labels: each one
learns from the codes of the one before. It then adds a softmax regression on top, and trains all layers
together with the labels. This last step is called *fine-tuning*.
"""

# %%
# The fit
# -------
# The classifier learns from a thousand handwritten digits. The other digits are the test data.

from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay

import rhohat

X, y = load_digits(return_X_y=True)
X = X / 16
train, test = slice(1000), slice(1000, None)

layer = {"sparsity": 0.1, "sparsity_weight": 0.3, "max_iter": 2000, "tol": 1e-4}
classifier = rhohat.StackedAutoencoderClassifier(
    [
        rhohat.SparseAutoencoder(n_components=64, **layer),
        rhohat.SparseAutoencoder(n_components=32, **layer),
    ],
    fine_tuning_weight_decay=1e-4,
    max_iter=2000,
    tol=1e-4,
    random_state=0,
).fit(X[train], y[train])

# %%
# What fine-tuning gains
# ----------------------
# The classifier keeps its state before fine-tuning, so we can compare both. We also compare them with a
# softmax regression that sees the pixels only.

before = classifier.softmax_.score(classifier.autoencoder_.transform(X[test]), y[test])
on_pixels = rhohat.SoftmaxRegression(max_iter=2000, tol=1e-4, random_state=0).fit(
    X[train], y[train]
)
print("accuracy on the test digits")
print(f"softmax regression on pixels: {on_pixels.score(X[test], y[test]):.3f}")
print(f"stack before fine-tuning: {before:.3f}")
print(f"stack after fine-tuning: {classifier.score(X[test], y[test]):.3f}")

# %%
# What the units look for
# -----------------------
# For each unit of the second layer, :meth:`~rhohat.StackedAutoencoder.maximal_inputs` searches the input of
# norm 1 that activates the unit most.

rhohat.plot_filters(classifier.maximal_inputs(), columns=8)

# %%
# Mistakes
# --------
# The confusion matrix shows which digits the classifier takes for which.

ConfusionMatrixDisplay.from_predictions(
    y[test], classifier.predict(X[test]), colorbar=False, cmap="Greys"
)
