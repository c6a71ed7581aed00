"""What is compared: the cases, their sizes, who takes part, and the targets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from benchmarks.harness import Case, Contender
from benchmarks.tasks import Settings

__all__ = ["DESCENTS_OF_REFERENCES", "available_cores", "make_cases", "settings_of_mnist", "shrunk"]

#: What of rhohat goes down in `patches` and in `mnist`: the first is what targets are about, the others are shown
#: beside it. Parameters of LBFGS, or of the fit.
RHOHAT_ON_PATCHES: dict[str, dict[str, Any]] = {
    "rhohat": {},
    "rhohat, float32 first": {"lbfgs": {"float32_first": True}},
    "rhohat, without warm-up": {"lbfgs": {"warm_up": False}},
}
RHOHAT_ON_MNIST: dict[str, dict[str, Any]] = {
    "rhohat, float32 first": {"lbfgs": {"float32_first": True}},
    "rhohat, float32 rows": {"dtype": "float32"},
    "rhohat, float64": {},
}

#: The descents that `benchmarks.references` runs whole, by the names under which their evaluations are kept.
DESCENTS_OF_REFERENCES = {
    "float64": Contender("textbook", "textbook", "descent", sets_target=True),
    "PyTorch float32": Contender("PyTorch", "pytorch", "descent", {"dtype": "float32"}),
    "JAX float32": Contender("JAX", "jax", "descent", {"dtype": "float32"}),
}

_NO_REFERENCES = "benchmarks/references.json has nothing for it; run make bench-references, or make bench FULL=1"


def make_cases(quick: bool = False, full: bool = False, references: Mapping[str, Any] | None = None) -> dict[str, Case]:
    """Return all cases by name.

    Parameters
    ----------
    quick : bool, default=False
        Tiny sizes, one repeat, made-up rows: whether everything runs, not how fast.
    full : bool, default=False
        Run the descents on MNIST to their ends, whoever goes down, and all variants of them.
    references : mapping, default=None
        What `references.json` has for MNIST.
    """
    cases = [
        _evaluation("small64", "10,000 × 64, 25 hidden", (10_000, 64), 25, "float64", (5.0, 2.5, 1.3, 0.60)),
        _evaluation("small32", "10,000 × 64, 25 hidden", (10_000, 64), 25, "float32", (9.0, 2.0, 1.2, 0.50)),
        _evaluation("large64", "10,000 × 784, 196 hidden", (10_000, 784), 196, "float64", (1.8, 1.7, 1.5, 0.90)),
        _evaluation("large32", "10,000 × 784, 196 hidden", (10_000, 784), 196, "float32", (4.2, 1.6, 1.4, 0.90)),
        _patches(),
        _mnist(full or quick, references),
        _adam(),
        _plain_adam(),
        _lenet(),
        _lstm(),
        _import(),
        _rows(),
        _threads(),
        _transform(),
        _dictionary("topk"),
        _dictionary("batchtopk"),
        _dictionary("jumprelu", encoder_bias=-2.66, threshold=0.05, sparsity_weight=1.0),
        _dictionary_encoding(),
    ]
    return {case.name: _shrunk(case) if quick else case for case in cases}


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settings_of_mnist() -> Settings:
    """Return the settings of the descents on MNIST: Ng's exercise, on the digits 5 to 9."""
    return Settings(recipe="digits", n_hidden=200, sparsity=0.1, weight_decay=3e-3, max_iter=400)


def _evaluation(
    name: str, size: str, sizes: tuple[int, int], n_hidden: int, dtype: str, targets: tuple[float, float, float, float]
) -> Case:
    textbook, pytorch, jax, share = targets
    contenders = [
        Contender("rhohat", "rhohat", "evaluation"),
        Contender("textbook NumPy, float64", "textbook", "evaluation", {"dtype": "float64"}, target=textbook),
        Contender("PyTorch autograd", "pytorch", "evaluation", target=pytorch),
        Contender("JAX jit", "jax", "evaluation", target=jax),
        Contender("products alone", "bounds", "products", compared="share", target=share),
        Contender("reading the rows once", "bounds", "reading", compared="share", repeats=1),
    ]
    if dtype == "float32":
        contenders.insert(2, Contender("textbook NumPy, float32", "textbook", "evaluation"))
    settings = Settings(sizes=sizes, n_hidden=n_hidden, dtype=dtype)
    return Case(name, f"J and ∇J, {size}, {dtype}", settings, tuple(contenders), repeats=3)


def _patches() -> Case:
    textbook = Contender("textbook NumPy, SciPy", "textbook", "descent", sets_target=True, target=20.0)
    peers = [
        Contender("PyTorch, SciPy", "pytorch", "descent", target=6.0),
        Contender("JAX, SciPy", "jax", "descent", target=4.0),
        Contender("PyTorch, SciPy, 50 pairs", "pytorch", "descent", {"memory": 50}, repeats=1),
        Contender("JAX, SciPy, 50 pairs", "jax", "descent", {"memory": 50}, repeats=1),
        Contender("PyTorch's own L-BFGS, 10 pairs", "pytorch", "own_descent", repeats=1),
        Contender("PyTorch's own L-BFGS, 50 pairs", "pytorch", "own_descent", {"memory": 50}, repeats=1),
    ]
    ours = [Contender(name, "rhohat", "descent", settings) for name, settings in RHOHAT_ON_PATCHES.items()]
    return Case(
        "patches",
        "to the textbook's cost after 400 iterations, 10,000 patches of 8×8, 25 hidden",
        Settings(recipe="patches", sizes=(10_000,), n_hidden=25),
        (textbook, *ours, *peers),
        repeats=2,
    )


def _mnist(full: bool, references: Mapping[str, Any] | None) -> Case:
    """Return the descents on MNIST; the slow ones in full, or for some seconds from which the rest follows."""
    float32 = {"dtype": "float32"}
    ours = [Contender(name, "rhohat", "descent", settings) for name, settings in RHOHAT_ON_MNIST.items()]
    textbook = Contender("textbook NumPy, SciPy", "textbook", "descent", target=15.0, reference="float64")
    peers = [
        Contender("PyTorch, SciPy", "pytorch", "descent", target=5.0, reference="float64"),
        Contender("JAX, SciPy", "jax", "descent", target=4.0, reference="float64"),
        Contender("PyTorch float32, SciPy", "pytorch", "descent", float32, target=6.0, reference="PyTorch float32"),
        Contender("JAX float32, SciPy", "jax", "descent", float32, target=5.5, reference="JAX float32"),
    ]
    more_pairs = [
        Contender("PyTorch, SciPy, 50 pairs", "pytorch", "descent", {"memory": 50}),
        Contender("JAX, SciPy, 50 pairs", "jax", "descent", {"memory": 50}),
    ]
    title = "to the textbook's cost after 400 iterations, 29,404 digits of MNIST, 200 hidden"
    if full:
        contenders = (replace(textbook, sets_target=True, reference=None), *ours, *peers, *more_pairs)
        return Case("mnist", title, settings_of_mnist(), contenders, repeats=1)
    broken_off = [replace(one, settings={**one.settings, "limit": 5.0}) for one in (textbook, *peers)]
    missing = "" if references else _NO_REFERENCES
    settings = settings_of_mnist()
    contenders = (ours[0], *broken_off)
    return Case("mnist", title, settings, contenders, repeats=1, references=references, unavailable=missing)


def _adam() -> Case:
    return Case(
        "adam",
        "an epoch of Adam, denoising autoencoder, 50,000 × 784, 1,000 hidden, float32",
        Settings(sizes=(50_000, 784), n_hidden=1000, dtype="float32", masked=0.25),
        (
            Contender("rhohat", "rhohat", "training"),
            Contender("PyTorch", "pytorch", "training", target=1.3),
            Contender("PyTorch, fused Adam", "pytorch", "training", {"fused": True}, repeats=1),
            Contender("JAX jit", "jax", "training", target=1.1),
            Contender("products alone", "bounds", "training_products", compared="share", target=0.85),
        ),
        repeats=2,
        agreement=0.02,  # each draws its own batches and masks
    )


def _lenet() -> Case:
    return Case(
        "lenet",
        "an epoch of Adam, LeNet: convolutions of 20 and 50 maps of 5×5, 500 hidden, 10,000 × 28×28, float32",
        Settings(network="lenet", sizes=(10_000, 784), dtype="float32", batch_size=128, epochs=3),
        (
            Contender("rhohat", "rhohat", "lenet_training"),
            Contender("PyTorch", "pytorch", "lenet_training", target=1.0),
            Contender("products alone", "bounds", "lenet_products", compared="share"),
        ),
        repeats=2,
        agreement=0.1,  # each draws its own batches
    )


def _lstm() -> Case:
    float32 = {"dtype": "float32"}
    ours = _alone("rhohat, float32", "rhohat", "lstm_training", **float32)
    return Case(
        "lstm",
        "an epoch of Adam, long short-term memory of 128 units, 10,000 digits of 28 steps × 28, float64",
        Settings(recipe="all digits", network="lstm", sizes=(10_000, 784), batch_size=128, epochs=3),
        (
            Contender("rhohat", "rhohat", "lstm_training"),
            Contender("PyTorch", "pytorch", "lstm_training", target=1.5),
            Contender("products alone", "bounds", "lstm_products", compared="share"),
            ours,
            Contender("PyTorch, float32", "pytorch", "lstm_training", float32, beside=ours.name),
        ),
        repeats=2,
        agreement=0.1,  # each draws its own batches
    )


def _plain_adam() -> Case:
    return Case(
        "adam-plain",
        "an epoch of Adam, plain autoencoder with identity output, 50,000 × 784, 1,000 hidden, float32",
        Settings(sizes=(50_000, 784), n_hidden=1000, dtype="float32", output="identity"),
        (
            Contender("rhohat", "rhohat", "training"),
            Contender("scikit-learn MLPRegressor", "scikit_learn", "training"),
        ),
        repeats=1,
        agreement=0.02,
    )


def _import() -> Case:
    return Case(
        "import",
        "import, in a fresh interpreter",
        Settings(recipe="imports"),
        (
            Contender("import rhohat", "imports", "import_rhohat"),
            Contender("import what it needs", "imports", "import_needs", compared="overhead", target=1.15),
        ),
        repeats=10,
    )


def _rows() -> Case:
    sizes = (2_500, 5_000, 10_000, 20_000, 40_000, 80_000)
    return Case(
        "rows",
        "J and ∇J against the number of rows, 784 features, 196 hidden, float32",
        Settings(sizes=(max(sizes), 784), n_hidden=196, dtype="float32", seconds=0.3),
        tuple(_alone(f"rhohat, {n:,} rows", "rhohat", "evaluation", n_rows=n) for n in sizes),
        repeats=2,
        curve="n_rows",
    )


def _threads() -> Case:
    contenders: list[Contender] = []
    cores = available_cores()
    for n in sorted({cores, *(2**k for k in range(cores.bit_length()))}):
        ours = _alone(f"rhohat, {n} threads", "rhohat", "evaluation", n_threads=n)
        bound = replace(ours, name=f"products, {n} threads", module="bounds", function="products", compared="share")
        contenders += [ours, bound]
    return Case(
        "threads",
        "J and ∇J against the number of threads, 10,000 × 784, 196 hidden, float64",
        Settings(sizes=(10_000, 784), n_hidden=196),
        tuple(contenders),
        repeats=3,
        curve="n_threads",
    )


def _transform() -> Case:
    contenders: list[Contender] = []
    for method, work, product in (
        ("transform", "transformation", "encoding"),
        ("reconstruct", "reconstruction", "decoding"),
    ):
        ours = _alone(f"rhohat, {method}", "rhohat", work)
        contenders += [
            ours,
            replace(ours, name=f"PyTorch under no_grad, {method}", module="pytorch", target=1.4),
            replace(
                ours, name=f"products alone, {method}", module="bounds", function=product, compared="share", target=0.85
            ),
        ]
    return Case(
        "transform",
        "transform and reconstruct, 50,000 × 784 → 196, float32",
        Settings(sizes=(50_000, 784), n_hidden=196, dtype="float32", seconds=0.3),
        tuple(contenders),
        repeats=2,
        rate=True,
    )


_BOUND = "the encoder's product and a pass over θ and moments"
_DICTIONARY = Settings(
    recipe="normal",
    network="dictionary",
    sizes=(16_384, 384),
    n_hidden=8192,
    dtype="float32",
    batch_size=4096,
    seconds=6,
)


def _dictionary(selection: str, **settings: Any) -> Case:
    return Case(
        selection,
        f"a training step of a dictionary, {selection}, 4,096 × 384, 8,192 latents, 32 active, float32",
        replace(_DICTIONARY, selection=selection, learning_rate=1e-4, **settings),
        (
            Contender("rhohat", "rhohat", "dictionary_training"),
            Contender("PyTorch, written densely", "pytorch_dictionaries", "dictionary_training", target=5.0),
            Contender("SAELens", "sae_lens", "dictionary_training"),
            Contender("dictionary-learning", "dictionary_learning", "dictionary_training"),
            Contender(_BOUND, "bounds", "dictionary_step", compared="share", target=0.7),
        ),
        repeats=2,
        agreement=1e-3,
    )


def _dictionary_encoding() -> Case:
    return Case(
        "encoding",
        "sparse codes of 4,096 × 384, 8,192 latents, 32 active, float32",
        replace(_DICTIONARY, seconds=2.0),
        (
            Contender("rhohat", "rhohat", "dictionary_encoding"),
            Contender("PyTorch, product and topk", "pytorch_dictionaries", "dictionary_encoding", target=1.5),
            Contender("the encoder's product", "bounds", "dictionary_product", compared="share"),
        ),
        repeats=2,
    )


def _alone(name: str, module: str, function: str, **settings: Any) -> Contender:
    """Return a contender that is beside itself: others of its kind are compared with it."""
    return Contender(name, module, function, settings, beside=name)


def _shrunk(case: Case) -> Case:
    """Return a case that takes no time."""
    settings = shrunk(case.settings)
    contenders = tuple(
        replace(one, settings={**one.settings, "n_rows": one.settings["n_rows"] // 300})
        if "n_rows" in one.settings
        else one
        for one in case.contenders
    )
    return replace(case, settings=settings, contenders=contenders, repeats=1)


def shrunk(settings: Settings) -> Settings:
    """Return settings of a task that takes no time, on rows that are made up."""
    recipe = "uniform" if settings.recipe in ("patches", "digits", "all digits") else settings.recipe
    sizes = (300, 784) if settings.network in ("lenet", "lstm") else (300, 16)
    small: dict[str, Any] = {"sizes": sizes, "n_hidden": 5, "seconds": 0.01, "max_iter": 5, "batch_size": 64, "k": 2}
    return replace(settings, recipe=recipe, **small)
