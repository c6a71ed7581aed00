"""The fixtures: files that other libraries have written, with what these make of some rows."""

from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parent / "fixtures"


def folders(*libraries):
    """Return the folders of the fixtures of some libraries, by their names."""
    found = {}
    for library in libraries:
        for file in sorted((FIXTURES / library).rglob("expected.npz")):
            found[str(file.parent.relative_to(FIXTURES))] = file.parent
    assert found
    return found


def expected(folder):
    """Return rows, codes and reconstructions."""
    with np.load(folder / "expected.npz") as arrays:
        return arrays["rows"], arrays["codes"], arrays["reconstructions"]


def made_by(model, rows):
    """Return the codes and the reconstructions of a loaded model, dense."""
    made = model.predict(rows) if hasattr(model, "predict") else model.reconstruct(rows)
    return np.asarray(model.transform(rows).todense()), made


def precision_of(name):
    """Return how far apart results may be, where a library computes in less precision than rhohat."""
    return 3e-2 if "bfloat16" in name else 5e-3 if "float16" in name else 2e-6


def precision_of_rows(name):
    """Return how far apart reconstructions may be.

    With rows that are normalised, SAELens and OpenAI divide by the standard deviation plus 1e-5, and multiply by the
    standard deviation alone.
    """
    return 5e-5 if "layer_norm" in name or "openai" in name else precision_of(name)
