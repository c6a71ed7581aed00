"""What is handed to a contender: its settings, and the rows and parameters that all contenders of a case share.

NumPy is imported where arrays are loaded only. The process that starts the others has to stay small, because the peak
memory that the system reports for a process begins with that of the one it was started from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Job", "Record", "Settings", "Task"]

#: What came of a job; with the key "unavailable", why nothing did.
Record = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What a contender has to compute, and for how long. Each uses what concerns it.

    Attributes
    ----------
    recipe : {"uniform", "normal", "patches", "digits", "all digits", "imports"}
        What the data are; see `benchmarks.data`.
    network : {"autoencoder", "dictionary", "lenet", "lstm"}
        What the parameters at the start are of; see `benchmarks.data`.
    sizes : tuple of int
        Rows and features of those that are made up, rows alone of patches.
    dtype : {"float64", "float32"}
        Of rows and arithmetic.
    n_hidden : int
    weight_decay, sparsity, sparsity_weight : float
        λ, ρ and β.
    n_rows : int, default=None
        How many of the rows to use; None means all.
    n_threads : int, default=None
        None leaves every library at its own default.
    seconds : float
        How long to measure, where calls are measured.
    max_iter : int
        Iterations of a descent that has no cost to reach.
    target_cost : float, default=None
        J at which a descent is over.
    limit : float, default=None
        Seconds after which a descent is broken off.
    memory : int
        Pairs that L-BFGS keeps, except rhohat's.
    lbfgs : mapping
        Parameters of rhohat's LBFGS that differ from the defaults.
    epochs, batch_size : int
    learning_rate : float
    masked : float
        Fraction of the inputs that is set to 0, drawn afresh for every batch; 0 leaves the rows as they are.
    output : str
        "sigmoid" or "identity", the output activation of what is trained in mini-batches.
    fused : bool
        Whether PyTorch updates all parameters in one kernel.
    selection : {"topk", "batchtopk", "jumprelu"}
        Which latents of a dictionary are active.
    k : int
        How many of them in a row.
    encoder_bias, threshold, bandwidth : float
        Of JumpReLU at the start: biases and thresholds with which about as many latents are active as in the end.
    """

    recipe: str = "uniform"
    network: str = "autoencoder"
    sizes: tuple[int, ...] = ()
    dtype: str = "float64"
    n_hidden: int = 25
    weight_decay: float = 1e-4
    sparsity: float = 0.01
    sparsity_weight: float = 3.0
    n_rows: int | None = None
    n_threads: int | None = None
    seconds: float = 0.4
    max_iter: int = 400
    target_cost: float | None = None
    limit: float | None = None
    memory: int = 10
    lbfgs: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 2
    batch_size: int = 256
    learning_rate: float = 1e-3
    masked: float = 0.0
    output: str = "sigmoid"
    fused: bool = False
    selection: str = "topk"
    k: int = 32
    encoder_bias: float = 0.0
    threshold: float = 0.0
    bandwidth: float = 0.05


@dataclass(frozen=True)
class Job:
    """What one process does: call `function` of `module` on a task.

    Attributes
    ----------
    module, function : str
    folder : str
        Where the data of the case lie.
    settings : Settings
    """

    module: str
    function: str
    folder: str
    settings: Settings

    def to_json(self) -> str:
        """Return the job as text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "settings": Settings(**fields["settings"])})


@dataclass(frozen=True)
class Task:
    """A job with its data in memory.

    Attributes
    ----------
    folder : Path
    settings : Settings
    X : array of shape (n_rows, n_features), of the settings' dtype
        Empty where the case has no rows.
    theta : array of shape (n_parameters,), float64
        Where every contender starts: all weight matrices, then all biases, flat. Empty where there is no network.
    """

    folder: Path
    settings: Settings
    X: np.ndarray
    theta: np.ndarray

    @classmethod
    def load(cls, job: Job) -> Task:
        """Read the data of a job."""
        import numpy as np

        folder = Path(job.folder)
        X, theta = np.empty((0, 0)), np.empty(0)
        if (folder / "X.npy").exists():
            X = _read_rows(folder / "X.npy", job.settings.n_rows, job.settings.dtype)
            theta = np.load(folder / "theta.npy")
        return cls(folder, job.settings, X, theta)

    @property
    def labels(self) -> np.ndarray:
        """A class from 0 to 9 for each row of 784 numbers: the brightest of ten strips of the image."""
        strips = self.X[:, :780].reshape(-1, 10, 78).sum(axis=2)
        classes: np.ndarray = (strips - strips.mean(axis=0)).argmax(axis=1)
        return classes

    @property
    def decoder(self) -> np.ndarray:
        """Rows of norm 1, one for each latent of a dictionary, which all contenders start from."""
        rows: np.ndarray = self.theta.astype(self.settings.dtype).reshape(self.settings.n_hidden, -1)
        return rows

    @property
    def layer_sizes(self) -> tuple[int, int, int]:
        """Units of the input, of the hidden layer and of the output."""
        return self.X.shape[1], self.settings.n_hidden, self.X.shape[1]

    @property
    def parameter_sizes(self) -> list[int]:
        """Lengths of the parts of θ: W1, W2, b1, b2."""
        n, h, _ = self.layer_sizes
        return [n * h, h * n, h, n]

    def initial_parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return W1, W2, b1 and b2 at the start, of the settings' dtype."""
        import numpy as np

        n, h, _ = self.layer_sizes
        W1, W2, b1, b2 = np.split(self.theta.astype(self.settings.dtype), np.cumsum(self.parameter_sizes)[:-1])
        return W1.reshape(n, h), W2.reshape(h, n), b1, b2


def _read_rows(path: Path, n_rows: int | None, dtype: str) -> np.ndarray:
    """Return the first rows of an array in a file, a few at a time: a second copy would count as peak memory."""
    import numpy as np

    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        (n_stored, n_features), _, stored = np.lib.format.read_array_header_1_0(file)
        X = np.empty((n_stored if n_rows is None else min(n_rows, n_stored), n_features), dtype)
        for start in range(0, len(X), 1000):
            block = X[start : start + 1000]
            block[:] = np.fromfile(file, stored, block.size).reshape(block.shape)
    return X
