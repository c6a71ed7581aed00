"""
Which way the noise points
==========================

Three quantities are measured together, and their errors go together too: when the first comes out too high, so does
the second, and the third too low. Least squares takes the errors as independent and of one size. With
``noise_covariance="estimate"``, `rhohat.FeedforwardRegressor` learns the function and the covariance Σ of the noise in
turn, by maximum likelihood.

The data are made, so the true Σ is known. Two figures say how near the estimate comes to it: the relative error of the
matrix, and the largest error of an entry Σ_jk in units of √(Σ_jj Σ_kk). The log-likelihood of new rows says what it is
good for: it is compared with that of Σ = I, and of the estimate without its correlations.

Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 5.2 and exercise 5.3.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction

COVARIANCE = 0.25 * np.array([[1.0, 0.8, -0.5], [0.8, 1.0, -0.3], [-0.5, -0.3, 0.5]])


def run(seed, fast):
    """Fit with Σ estimated and with Σ = I; compare on new rows."""
    X, y = make_data(2000, seed)
    X_new, y_new = make_data(2000, 1000 + seed)
    full, plain = fit(X, y, "estimate", seed), fit(X, y, np.eye(3), seed)
    estimate = full.noise_covariance_
    relative, largest = errors(estimate)
    likelihood = log_likelihood_per_row(full, estimate, X_new, y_new)
    diagonal = log_likelihood_per_row(full, np.diag(np.diag(estimate)), X_new, y_new)
    figures = {
        "relative error of Σ": relative,
        "largest error of an entry": largest,
        "log-likelihood of a new row, estimated Σ": likelihood,
        "log-likelihood of a new row, its diagonal": diagonal,
        "log-likelihood of a new row, Σ = I": log_likelihood_per_row(plain, np.eye(3), X_new, y_new),
        "gained by the correlations": likelihood - diagonal,
    }
    return Outcome(figures, (y_new - full.predict(X_new), estimate))


def true_function(X):
    """Return three smooth functions of two variables, of shape (n_samples, 3)."""
    return np.column_stack([np.sin(np.pi * X[:, 0]), X[:, 0] * X[:, 1], np.cos(2 * X[:, 1])])


def make_data(n_samples, seed):
    """Return rows in [−1, 1]² and their targets, with noise of the covariance above."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n_samples, 2))
    return X, true_function(X) + rng.multivariate_normal(np.zeros(3), COVARIANCE, n_samples)


def fit(X, y, noise_covariance, seed):
    """Return a regressor of ten hidden units, with Σ given or to be estimated."""
    regressor = rhohat.FeedforwardRegressor(
        hidden_layer_sizes=(10,),
        activation="tanh",
        weight_decay=0.0,
        noise_covariance=noise_covariance,
        scale_targets=False,
        random_state=seed,
    )
    return regressor.fit(X, y)


def errors(estimate):
    """Return the relative error of Σ as a matrix, and the largest error of an entry relative to √(Σ_jj Σ_kk)."""
    difference = estimate - COVARIANCE
    scale = np.sqrt(np.outer(np.diag(COVARIANCE), np.diag(COVARIANCE)))
    return np.linalg.norm(difference) / np.linalg.norm(COVARIANCE), np.abs(difference / scale).max()


def log_likelihood_per_row(regressor, covariance, X, y):
    """Return the mean of ln N(y | the regressor's prediction, Σ) over rows."""
    return rhohat.GaussianLoss(covariance).log_likelihood(y - regressor.predict(X)) / len(X)


def draw(runs, path):
    """Draw the residuals of each pair of outputs, and where the Gaussian of either Σ has two standard deviations."""
    residual, estimate = runs[0]
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = 2 * np.array([np.cos(angle), np.sin(angle)])
    for ax, (j, k) in zip(axes, [(0, 1), (0, 2), (1, 2)], strict=True):
        ax.plot(residual[:, j], residual[:, k], ".", color="lightgray", markersize=3, label="residuals of new rows")
        for covariance, style, name in ((COVARIANCE, "k-", "true Σ"), (estimate, "r--", "estimated Σ")):
            ellipse = np.linalg.cholesky(covariance[np.ix_([j, k], [j, k])]) @ circle
            ax.plot(*ellipse, style, label=name)
        ax.set_xlabel(f"residual of output {j + 1}")
        ax.set_ylabel(f"residual of output {k + 1}")
        ax.set_aspect("equal", adjustable="datalim")
    axes[0].legend(loc="upper left")
    figure.suptitle("Noise of three outputs, and the covariance that the regressor found in it")
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="a derivation (Bishop, exercise 5.3)",
    figures=[
        Figure("relative error of Σ", at_most=0.1, fast=0.1),
        Figure("largest error of an entry", at_most=0.1, fast=0.1),
        Figure("gained by the correlations", at_least=0.2, fast=0.2),
        Figure("log-likelihood of a new row, estimated Σ"),
        Figure("log-likelihood of a new row, its diagonal"),
        Figure("log-likelihood of a new row, Σ = I"),
    ],
    run=run,
    draw=draw,
)
