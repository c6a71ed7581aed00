"""Write a model file, and the codes that it must give, as this version of rhohat does; once for every release.

python -m tests.models.model_file.released.write
"""

import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

import rhohat
from rhohat.layers.activations import Tanh

FOLDER = Path(__file__).parent


def main():
    X = np.random.default_rng(0).random((50, 9))
    layers = [
        rhohat.SparseAutoencoder(n_components=5, activation=Tanh(), tied_weights=True, max_iter=20, random_state=1),
        rhohat.DenoisingAutoencoder(n_components=3, solver="adam", max_iter=3, random_state=2),
    ]
    classifier = rhohat.StackedAutoencoderClassifier(layers, max_iter=10, random_state=3)
    models = {
        "patches": make_pipeline(rhohat.ZCAWhitening(), rhohat.PatchNormalizer(), layers[0]).fit(X),
        "classifier": classifier.fit(X, np.where(X[:, 0] > 0.5, "right", "left")),
    }
    for name, model in models.items():
        stem = f"{rhohat.__version__}-{name}"
        rhohat.save(model, FOLDER / f"{stem}.safetensors")
        outputs = model.transform(X) if name == "patches" else model.predict_proba(X)
        np.savez(FOLDER / f"{stem}.npz", X=X, outputs=outputs)


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        main()
