"""`make bench-digits`: classifiers with their defaults on scikit-learn's digits, in 5-fold cross-validation.

The table has the accuracy on the folds that were held out, mean and standard deviation over the folds, and the seconds
of all five fits. Each classifier uses the whole machine as it does by default.
"""

from __future__ import annotations

import time
import warnings

import sklearn
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neural_network import MLPClassifier

import rhohat
from benchmarks.processors import busy_processes

_FOLDS = 5


def main() -> None:
    """Measure, and print the table."""
    for process in busy_processes():
        print(f"Another process keeps a core busy, so that the seconds are too many: {process}.")
    X, y = load_digits(return_X_y=True)
    classifiers = {
        f"rhohat {rhohat.__version__}, `FeedforwardClassifier()`": rhohat.FeedforwardClassifier(random_state=0),
        f"scikit-learn {sklearn.__version__}, `MLPClassifier()`": MLPClassifier(random_state=0),
    }
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    print("| classifier | accuracy | seconds |\n|---|---|---|")
    for name, classifier in classifiers.items():
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # MLPClassifier's 200 epochs end before it converges
            scores = cross_val_score(classifier, X / 16, y, cv=folds)
        seconds = time.perf_counter() - start
        print(f"| {name} | {scores.mean():.1%} ± {scores.std():.1%} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
