"""A demonstration from end to end: edge detectors learned from photographs, with the numbers that verify them."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.checking.gradcheck import GradientCheck, check_gradient
from rhohat.cli.files import write_rows
from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ConvergenceWarning
from rhohat.common.extras import import_extra
from rhohat.common.randomness import keyed_generator
from rhohat.data import PatchNormalizer, photographs, sample_patches, whiten_image
from rhohat.estimators import SparseAutoencoder
from rhohat.inspection.gabor import gabor_fit
from rhohat.inspection.metrics import ActivationStatistics, default_threshold
from rhohat.inspection.plots import plot_filters, plot_loss_curve, plot_reconstructions
from rhohat.layers.activations import as_activation
from rhohat.models.model_card import ModelCard
from rhohat.models.model_file import save
from rhohat.solvers import Callback

__all__ = ["DemoResult", "run_demo"]

PATCH_SIZE = 8


@dataclass(frozen=True)
class DemoResult:
    """Results of the demo.

    Attributes
    ----------
    autoencoder : SparseAutoencoder
        The fitted autoencoder.
    cost : float
        J on the patches.
    terms : dict of str to float
        The terms of J.
    gradient_check : GradientCheck
        Comparison of the gradient of J with central differences, on a small case.
    explained_variance : float
        Fraction of the patches' variance that the reconstructions explain.
    gabor_r2, gabor_r2_pca : arrays of shape (n_components,)
        R² of the best-fitting Gabor function for each hidden unit, and for each of the first `n_components` principal
        components of the patches.
    n_dead : int
        Number of hidden units that are as active on every patch, and so detect nothing.
    seconds : dict of str to float
        Wall time of each step, in seconds.
    pictures : list of Path
        Paths of the pictures that were written.
    files : tuple of (Path, Path)
        Paths of the model file, and of the file of patches as they are before the model's preprocessing.
    """

    autoencoder: SparseAutoencoder
    cost: float
    terms: dict[str, float]
    gradient_check: GradientCheck
    explained_variance: float
    gabor_r2: FloatArray
    gabor_r2_pca: FloatArray
    n_dead: int
    seconds: dict[str, float]
    pictures: list[Path]
    files: tuple[Path, Path]


@dataclass
class _Stopwatch:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def run_demo(
    folder: Path,
    *,
    n_patches: int = 10_000,
    n_components: int = 25,
    max_iter: int = 400,
    seed: int = 0,
    n_jobs: int | None = None,
    callback: Callback | None = None,
    announce: Callable[[str], None] = lambda step: None,
) -> DemoResult:
    """Learn edge detectors from the photographs in scikit-image, and write pictures of them, the model and the patches.

    Parameters
    ----------
    folder : Path
        Folder for the pictures `filters.png`, `patches.png`, `reconstructions.png` and `loss.png`, and for the files
        `model.safetensors` and `patches.npy`, which other commands take. It is created if it does not exist.
    n_patches : int, default=10000
        Number of whitened, normalised patches of 8×8 pixels to learn from.
    n_components : int, default=25
        Number of hidden units.
    max_iter : int, default=400
        Largest number of iterations.
    seed : int, default=0
        Seed of every random draw.
    n_jobs : int, default=None
        Number of threads.
    callback : callable, default=None
        Function that is called after every iteration of the fit.
    announce : callable, optional
        Function that is called before each step with a description of the step. By default nothing is announced.

    Returns
    -------
    DemoResult

    Raises
    ------
    OSError
        If the folder cannot be written to. This is checked before any work is done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()  # better to fail here than after the fit
    watch = _Stopwatch()
    announce("reading and whitening photographs")
    with watch.step("patches"):
        cut, normalizer = _cut_patches(n_patches, seed), PatchNormalizer()
        patches = normalizer.fit_transform(cut)

    autoencoder = SparseAutoencoder(
        n_components=n_components,
        sparsity=0.01,
        sparsity_weight=3.0,
        weight_decay=1e-4,
        max_iter=max_iter,
        random_state=seed,
        n_jobs=n_jobs,
        callbacks=[] if callback is None else [callback],
    )
    announce("checking the gradient")
    with watch.step("gradient check"):
        gradient_check = _check_small_case(autoencoder, patches[:100], seed)

    announce(f"fitting {n_components} hidden units to {n_patches} patches")
    with watch.step("fit"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # expected, as the demo limits the number of iterations
        autoencoder.fit(patches)
        cost, terms = autoencoder.cost(patches)

    announce("comparing units and principal components with Gabor functions")
    with watch.step("Gabor fits"):
        gabor_r2 = gabor_fit(autoencoder.components_, (PATCH_SIZE, PATCH_SIZE))
        gabor_r2_pca = gabor_fit(_principal_components(patches, n_components), (PATCH_SIZE, PATCH_SIZE))

    announce("drawing")
    with watch.step("pictures"):
        dead = _is_dead(autoencoder.transform(patches))
        pictures = _draw(folder, autoencoder, patches, dead)
    return DemoResult(
        autoencoder=autoencoder,
        cost=cost,
        terms=terms,
        gradient_check=gradient_check,
        explained_variance=autoencoder.score(patches),
        gabor_r2=gabor_r2,
        gabor_r2_pca=gabor_r2_pca,
        n_dead=int(dead.sum()),
        seconds=watch.seconds,
        pictures=pictures,
        files=_save(folder, normalizer, autoencoder, cut),
    )


def _cut_patches(n_patches: int, seed: int) -> FloatArray:
    """Return patches of the photographs in scikit-image, which are whitened first."""
    images = [whiten_image(image, boundary="reflect") for image in photographs()]
    return sample_patches(images, PATCH_SIZE, n_patches, seed)


def _save(folder: Path, normalizer: Any, autoencoder: Any, patches: FloatArray) -> tuple[Path, Path]:
    """Write the model and its patches as train and patches would write them; return the paths."""
    from sklearn.pipeline import make_pipeline

    model, rows = folder / "model.safetensors", folder / "patches.npy"
    write_rows(rows, [patches.reshape(-1, PATCH_SIZE, PATCH_SIZE).astype(np.float32)], len(patches))
    card = ModelCard(data=f"{len(patches):,} patches of photographs, cut by rhohat demo.")
    save(make_pipeline(normalizer, autoencoder), model, card=card)
    return model, rows


def _principal_components(patches: FloatArray, n_components: int) -> FloatArray:
    """Return principal components of the patches, at most as many as there are."""
    from sklearn.decomposition import PCA  # imported here, as it loads packages that no other command needs

    components: FloatArray = PCA(min(n_components, patches.shape[1])).fit(patches).components_
    return components


def _check_small_case(autoencoder: SparseAutoencoder, patches: FloatArray, seed: int) -> GradientCheck:
    """Check every component of the gradient of the cost J for 5 hidden units on the given patches."""
    objective = SparseAutoencoder(**{**autoencoder.get_params(), "n_components": 5}).objective(patches)
    theta = objective.network.initial_theta(keyed_generator(seed, "gradient check"))
    return check_gradient(objective, theta)


def _is_dead(codes: FloatArray) -> NDArray[np.bool_]:
    """Return which units are active on no patch, of shape (n_components,)."""
    statistics = ActivationStatistics(default_threshold(as_activation("sigmoid")))
    statistics.update(codes)
    dead: NDArray[np.bool_] = statistics.activation_frequency == 0
    return dead


def _title_of_filters(dead: NDArray[np.bool_]) -> str:
    """Say what the picture of all units shows, whose dead units come last."""
    n_dead = int(dead.sum())
    title = "What each hidden unit looks for"
    if n_dead == 0:
        return title
    if n_dead == len(dead):
        return f"{title}\nAll units are dead: no patch activates them"
    last = "Last square: a dead unit, which no patch activates"
    if n_dead > 1:
        last = f"Last {n_dead} squares: dead units, which no patch activates"
    return f"{title}\n{last}"


def _draw(folder: Path, autoencoder: SparseAutoencoder, patches: FloatArray, dead: NDArray[np.bool_]) -> list[Path]:
    """Write the four pictures and return their paths."""
    inputs = autoencoder.maximal_inputs()[np.argsort(dead, kind="stable")]
    titles = {
        "filters": _title_of_filters(dead),
        "patches": "100 of the patches, whitened",
        "loss": "The cost J falls, first on a part of the patches",
    }
    figure_class = import_extra("matplotlib.figure", "app").Figure
    by_contrast = np.argsort(-patches.std(axis=1))
    shown = patches[by_contrast[: len(patches) // 20 : max(1, len(patches) // 20 // 14)][:14]]
    drawings: dict[str, tuple[tuple[float, float], Callable[..., object]]] = {
        "filters.png": ((6, 6.5), lambda ax: plot_filters(inputs, title=titles["filters"], ax=ax)),
        "patches.png": (
            (6, 6.3),
            lambda ax: plot_filters(patches[:100], normalize=(0.1, 0.9), title=titles["patches"], ax=ax),
        ),
        "reconstructions.png": (
            (9, 1.8),
            lambda ax: plot_reconstructions(shown, autoencoder.reconstruct(shown), n_images=14, ax=ax),
        ),
        "loss.png": ((7, 4.5), lambda ax: plot_loss_curve(autoencoder, ax=ax).set_title(titles["loss"])),
    }
    paths = []
    for name, (size, draw) in drawings.items():
        figure = figure_class(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        figure.savefig(folder / name, dpi=120)
        paths.append(folder / name)
    return paths
