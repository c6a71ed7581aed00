"""
Convolutions restore digits better
==================================

A dense autoencoder does not know which pixels are neighbours, and has to learn a stroke anew at every place. A
convolutional one shares its weights over all places. Both learn from the same 3,000 digits of which half of the pixels
are masked, and have to give back the whole digits. Their codes have equally many numbers, 392, which are 8 feature maps
of 7×7 places for the convolutional one. One should see a lower error where weights are shared, with far fewer of them.

The error is the squared difference between a digit and what is made of its corrupted version, summed over the pixels
and averaged over the 10,000 test digits. Kernels, activations, learning rates and epochs were chosen on 2,000 of the
training digits, from which neither had learned; the dense one was given as much of a choice.

The picture shows the 16 filters of the first layer, white where ink speaks for the filter and black where it speaks
against it, and, for each channel of the code, the corrupted digits that activate it most, beside its maps.

Masci, J., Meier, U., Ciresan, D. and Schmidhuber, J. (2011). Stacked convolutional auto-encoders for hierarchical
feature extraction. ICANN, 52-59.
Vincent, P., Larochelle, H., Lajoie, I., Bengio, Y. and Manzagol, P.-A. (2010). Stacked denoising autoencoders. JMLR 11,
3371-3408.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._reproduction import Figure, Outcome, Reproduction

MASKED = 0.5
CODE_SHAPE = (7, 7, 8)
N_SHOWN = 500  # corrupted digits among which those of the picture are looked for


def run(seed, fast):
    """Learn to restore digits, with and without convolutions; measure the errors on test digits."""
    n_rows, epochs, dense_epochs = (1_500, 30, 40) if fast else (3_000, 25, 60)
    data = load_mnist()
    X, clean = data.X[:n_rows].astype(np.float32), data.X_test.astype(np.float32)
    corrupted = clean * (np.random.default_rng(seed).random(clean.shape) >= MASKED).astype(np.float32)
    models = {
        "dense": learn_dense(X, seed, dense_epochs),
        "convolutional": learn_convolutional(X.reshape(-1, *DIGIT_SHAPE), seed, epochs),
    }
    errors = {}
    for name, model in models.items():
        shape = (*DIGIT_SHAPE, 1) if name == "convolutional" else (clean.shape[1],)
        restored = model.reconstruct(corrupted.reshape(-1, *shape)).reshape(clean.shape)
        errors[name] = float(((restored - clean) ** 2).sum(axis=1).mean())
    figures = {
        "error of the convolutional one, of the dense one's": errors["convolutional"] / errors["dense"],
        "error of the convolutional one": errors["convolutional"],
        "error of the dense one": errors["dense"],
        "error of the corrupted digits": float(((corrupted - clean) ** 2).sum(axis=1).mean()),
        "weights of the convolutional one": float(len(models["convolutional"].theta_)),
        "weights of the dense one": float(len(models["dense"].theta_)),
    }
    return Outcome(figures, (models["convolutional"], corrupted[:N_SHOWN].reshape(-1, *DIGIT_SHAPE)))


def learn_dense(X, seed, epochs):
    """Return an autoencoder with a dense layer of as many units as the code of the convolutional one has numbers."""
    return rhohat.DenoisingAutoencoder(
        n_components=int(np.prod(CODE_SHAPE)), activation="relu", **_settings(seed, epochs)
    ).fit(X)


def learn_convolutional(X, seed, epochs):
    """Return an autoencoder of two convolutions, each with a stride of 2, and their mirror images."""
    return rhohat.ConvolutionalAutoencoder(
        layers=[
            rhohat.Convolution(16, 5, stride=2, padding="same"),
            rhohat.Convolution(CODE_SHAPE[2], 5, stride=2, padding="same"),
        ],
        activation="relu",
        **_settings(seed, epochs),
    ).fit(X)


def _settings(seed, epochs):
    return {
        "corruption": rhohat.MaskingNoise(MASKED),
        "loss": "binary_cross_entropy",
        "weight_decay": 0.0,
        "solver": rhohat.Adam(learning_rate=6e-3, batch_size=100, schedule="cosine"),
        "max_iter": epochs,
        "random_state": seed,
    }


def draw(runs, path):
    """Draw the filters of the first layer, and digits beside the maps of the code."""
    autoencoder, digits = runs[0]
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    rhohat.plot_filters(autoencoder, title="filters of the first layer", ax=axes[0])
    rhohat.plot_feature_maps(autoencoder, digits, title="corrupted digits, and the maps of 8 channels", ax=axes[1])
    figure.savefig(path, dpi=100)
    plt.close(figure)


REPRODUCTION = Reproduction(
    published="a claim without a figure: sharing weights over an image suits it better than dense layers (Masci et al.,"
    " 2011)",
    figures=[
        Figure("error of the convolutional one, of the dense one's", at_most=0.9, fast=0.95, form=".2f"),
        Figure("error of the convolutional one", form=".2f"),
        Figure("error of the dense one", form=".2f"),
        Figure("error of the corrupted digits", form=".2f"),
        Figure("weights of the convolutional one", form=",.0f"),
        Figure("weights of the dense one", form=",.0f"),
    ],
    run=run,
    draw=draw,
    n_seeds=2,
)
