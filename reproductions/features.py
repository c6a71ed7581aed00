"""
Features of five autoencoders, and few labels
=============================================

Five autoencoders of equal size learn from the same digits without labels. Then a linear classifier learns from 1,000 or
10,000 labels, on the codes or on the raw pixels. One should see the codes beat the pixels: they were made from 20,000
digits, and 1,000 labels say little of 784 pixels. Where nothing presses but to give the input back, units mix what the
classifier would have to keep apart. The plain autoencoder has two matrices; the others have tied weights, and noise,
contraction or sparsity beside, so these three are to be compared with the one that is only tied.

The weight decay of each classifier is the one under which a fifth of its labels, held out, are most likely; then it
learns from all of them.

Vincent, P., Larochelle, H., Lajoie, I., Bengio, Y. and Manzagol, P.-A. (2010). Stacked denoising autoencoders. JMLR 11,
3371-3408. Rifai, S., Vincent, P., Muller, X., Glorot, X. and Bengio, Y. (2011). Contractive auto-encoders. ICML.
Coates, A., Lee, H. and Ng, A. (2011). An analysis of single-layer networks in unsupervised feature learning. AISTATS.
"""  # noqa: D205, D400 - it begins with the title of a section

import numpy as np
from sklearn.base import clone

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

N_UNITS = 400
N_LABELS = (1_000, 10_000)
DECAYS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
AUTOENCODERS = {
    "plain": rhohat.SparseAutoencoder(sparsity_weight=0.0, weight_decay=0.0),
    "tied": rhohat.SparseAutoencoder(sparsity_weight=0.0, weight_decay=0.0, tied_weights=True),
    "sparse": rhohat.SparseAutoencoder(sparsity=0.05, sparsity_weight=1.0, weight_decay=1e-4, tied_weights=True),
    "denoising": rhohat.DenoisingAutoencoder(corruption=rhohat.MaskingNoise(0.3), tied_weights=True),
    "contractive": rhohat.ContractiveAutoencoder(contraction_weight=0.1, tied_weights=True),
}


def run(seed, fast):
    """Learn codes from digits without labels; classify with few labels on each, and on the pixels."""
    X, y, X_test, y_test = load_mnist()
    order = np.random.default_rng(seed).permutation(len(X))
    unlabelled, few = X[order[: 10_000 if fast else 20_000]], order[-max(N_LABELS) :]
    figures, filters = {}, {}
    for name in ("raw pixels", *AUTOENCODERS):
        codes, test_codes = X[few], X_test
        if name in AUTOENCODERS:
            autoencoder = learn(name, unlabelled, seed)
            filters[name] = autoencoder.components_
            codes, test_codes = autoencoder.transform(codes), autoencoder.transform(X_test)
        for n in N_LABELS:
            classifier = classify(codes[:n], y[few[:n]], seed)
            figures[f"{name}, {n:,} labels"] = classifier.score(test_codes, y_test)
    for name in AUTOENCODERS:
        figures[gain(name)] = figures[f"{name}, 1,000 labels"] - figures["raw pixels, 1,000 labels"]
    return Outcome(figures, filters)


def gain(name):
    """Return the name of the figure for what a code gains over raw pixels with few labels."""
    return f"{name} above raw pixels, 1,000 labels"


def learn(name, X, seed):
    """Return an autoencoder that has learned from the digits."""
    solver = rhohat.Adam(learning_rate=3e-3, batch_size=200, schedule="cosine")
    settings = {
        "n_components": N_UNITS,
        "solver": solver,
        "initial_weights": "normal",
        "max_iter": 15,
        "random_state": seed,
    }
    return clone(AUTOENCODERS[name]).set_params(**settings).fit(X)


def classify(codes, y, seed):
    """Return a softmax regression that has learned from labels, with the weight decay that suits them best."""
    held_out = np.arange(len(y)) % 5 == 0

    def fit(decay, rows):
        return rhohat.SoftmaxRegression(weight_decay=decay, max_iter=100, random_state=seed).fit(codes[rows], y[rows])

    likelihoods = []
    for decay in DECAYS:
        log_probabilities = fit(decay, ~held_out).predict_log_proba(codes[held_out])
        likelihoods.append(np.mean(log_probabilities[np.arange(held_out.sum()), y[held_out]]))
    return fit(DECAYS[int(np.argmax(likelihoods))], slice(None))


def draw(runs, path):
    """Draw the first hundred filters of each."""
    panels = {name: filters[:100] for name, filters in runs[0].items()}
    draw_filters(panels, path, DIGIT_SHAPE, size=(4 * len(panels), 4.4), dpi=80)


REPRODUCTION = Reproduction(
    published="learned features beat raw pixels (lectures); which does how much was not published in this form",
    figures=[
        *(
            Figure(gain(name), **({"at_least": 0.02, "fast": 0.01} if name == "contractive" else {}), form=".2%")
            for name in AUTOENCODERS
        ),
        *(Figure(f"{name}, {n:,} labels", form=".2%") for n in N_LABELS for name in ("raw pixels", *AUTOENCODERS)),
    ],
    run=run,
    draw=draw,
    n_seeds=4,
)
