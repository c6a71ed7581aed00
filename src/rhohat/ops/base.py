"""The interface that each array library implements: arrays, products, functions, and steps of optimisers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from rhohat.ops.fused import ChainPasses, GRUSteps, LSTMSteps, MaxPooling, SimpleSteps
from rhohat.ops.rooms import Room

__all__ = ["Arrays", "Composed", "Functions", "Ops", "Places", "Products", "Steps"]

Array = Any  # an array of the library

_FEW_CHANNELS = 8  # fewer are copied faster one number of the window after another


class Arrays(ABC):
    """Creation and conversion of arrays. Data types are given as NumPy's dtypes for all libraries.

    Attributes
    ----------
    xp : module
        Module with elementary functions under their NumPy names, such as ``xp.exp(z, out=z)``, ``xp.clip(z, 0, None)``
        and ``xp.zeros_like(a)``. Arguments other than ``out`` are passed by position, because their names differ
        between libraries.
    """

    xp: Any

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an uninitialised C-ordered array."""

    @abstractmethod
    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array of zeros."""

    @abstractmethod
    def ones(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array of ones."""

    @abstractmethod
    def copy(self, array: Array) -> Array:
        """Return a copy of an array."""

    @abstractmethod
    def asarray(self, values: Any, dtype: DTypeLike | None = None) -> Array:
        """Convert an array of this library or of NumPy to this library, without a copy where that is possible.

        Parameters
        ----------
        values : array
            Array of this library or of NumPy.
        dtype : dtype-like, default=None
            Data type of the result, given as a NumPy dtype. If None, it is the data type of `values`.
        """

    @abstractmethod
    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        """Convert an array of this library or of NumPy to NumPy, without a copy where that is possible."""

    @abstractmethod
    def like(self, given: Array, array: Array) -> Array:
        """Convert `array` to the library of `given`; each of them is an array of this library or of NumPy."""

    @abstractmethod
    def dtype_of(self, array: Array) -> np.dtype[Any]:
        """Return the data type of an array as a NumPy dtype."""

    @abstractmethod
    def transpose(self, array: Array) -> Array:
        """Return a view of an array with its axes in reverse order."""

    @abstractmethod
    def windows(self, array: Array, length: int, step: int = 1) -> Array:
        """Return a view of the windows of `length` entries along the last axis, every `step` entries.

        The window is a new last axis; the axis before it counts the windows.
        """


class Places(Arrays):
    """What differs between arrays of the host and those of a device, which gets work that is not waited for."""

    @abstractmethod
    def take(self, array: Array, rows: Any, out: Array) -> None:
        """Write rows of an array into `out`; their numbers are an array that `row_numbers` returned."""

    @abstractmethod
    def row_numbers(self, rows: np.ndarray[Any, Any]) -> Array:
        """Return numbers of rows as an array of this library."""

    @abstractmethod
    def holds(self, array: Array) -> bool:
        """Return whether an array is one of this library, and on this device."""

    def room(self, shape: tuple[int, int], dtype: DTypeLike, stored: DTypeLike) -> Room:
        """Return memory for rows that are read as `stored` and computed as `dtype`."""
        return Room(self.empty(shape, dtype))

    @abstractmethod
    def number(self, value: Any) -> Any:
        """Return a number as a float, or as an array without axes if a device would have to be waited for."""

    @abstractmethod
    def numbers(self, values: Array) -> list[Any]:
        """Return the numbers of an array with one axis, each as `number` returns it."""


class Products(ABC):
    """Matrix products and sums over rows; float32 numbers are added up in partial sums, so that few digits are lost."""

    @abstractmethod
    def multiply(self, A: Array, B: Array, out: Array) -> None:
        """Write A B into `out`.

        Parameters
        ----------
        A : array of shape (n_rows, k)
        B : array of shape (k, n)
        out : array of shape (n_rows, n)
        """

    @abstractmethod
    def multiply_transposed(self, A: Array, B: Array, out: Array) -> None:
        """Write Aᵀ B, a sum over rows, into `out`.

        Parameters
        ----------
        A : array of shape (n_rows, k)
        B : array of shape (n_rows, n)
        out : array of shape (k, n)
        """

    @abstractmethod
    def add_row(self, X: Array, row: Array) -> None:
        """Add a row, of shape (n,), to each row of X, of shape (n_rows, n), in place."""

    @abstractmethod
    def sum_of_squares(self, X: Array) -> float:
        """Return the sum of the squares of all numbers in an array of any shape, as `number` returns it."""

    @abstractmethod
    def row_products(self, A: Array, B: Array) -> Array:
        """Return Σ_j a_ij b_ij for each row, of shape (n_rows,), for arrays of shape (n_rows, n)."""

    @abstractmethod
    def sum_rows(self, X: Array, ones: Array, out: Array, weights: Array | None = None) -> None:
        """Write the sum, or a weighted sum, of all rows into `out`.

        Parameters
        ----------
        X : array of shape (n_rows, n)
        ones : array of shape (1, n_rows)
            Ones, for implementations that compute the sum as a product.
        out : array of shape (1, n)
        weights : array of shape (1, n_rows), default=None
            Weight of each row in the sum; None means 1 for every row.
        """

    @abstractmethod
    def column_sums(self, X: Array) -> Array:
        """Return the sum of all rows of X, which has the shape (n_rows, n); it needs no array of ones."""


class Functions(ABC):
    """Functions of pre-activations; the elementwise functions are exact to rounding, however small their values are."""

    @abstractmethod
    def sigmoid(self, z: Array, out: Array) -> None:
        """Write 1 / (1 + exp(−z)) into `out`, which may be z."""

    @abstractmethod
    def sigmoid_with_bias(self, z: Array, bias: Array) -> None:
        """Overwrite z, of shape (n_rows, n), with the sigmoid of z + bias, where the bias has the shape (n,)."""

    @abstractmethod
    def softplus_tail(self, z: Array) -> Array:
        """Return ln(1 + exp(−|z|)), the difference between the softplus, ln(1 + exp(z)), and max(z, 0)."""

    @abstractmethod
    def softmax(self, z: Array, out: Array) -> None:
        """Write exp(z_k) / Σ_j exp(z_j) of each row into `out`, which may be z."""

    @abstractmethod
    def softmax_cross_entropy(self, z: Array, y: Array, out: Array) -> Array:
        """Return ln Σ_k exp(z_k) − Σ_k y_k z_k of each row, where Σ_k y_k is 1, and write softmax(z) − y into `out`.

        With m the largest number of a row, this is computed as ln(1 + Σ_others exp(z_k − m)) − Σ_k y_k (z_k − m). Both
        terms are small where the prediction is confident and right, so that no digits are lost in the difference.

        Parameters
        ----------
        z, y, out : arrays of shape (n_rows, n)

        Returns
        -------
        array of shape (n_rows,)
        """


class Composed(Places, Products, Functions):
    """Primitives that are made of others, which an implementation may override to compute them in one pass."""

    def product(self, A: Array, B: Array) -> Array:
        """Return A B, of shape (n_rows, n), for arrays of shape (n_rows, k) and (k, n)."""
        return A @ B

    def sigmoid_pull_back(self, a: Array, delta: Array) -> None:
        """Overwrite delta with delta a (1 − a), where a is a sigmoid; a is overwritten as well.

        This is computed as delta a − delta a², in three passes over the arrays and without a temporary array.
        """
        delta *= a
        a *= delta
        delta -= a

    def tanh(self, z: Array, out: Array) -> None:
        """Write tanh(z) into `out`, which may be z."""
        self.xp.tanh(z, out=out)

    def tanh_with_bias(self, z: Array, bias: Array) -> None:
        """Overwrite z, of shape (n_rows, n), with tanh(z + bias), where the bias has the shape (n,)."""
        self.add_row(z, bias)
        self.tanh(z, z)

    def tanh_pull_back(self, a: Array, delta: Array) -> None:
        """Overwrite delta with delta (1 − a²), where a is a tanh; a is overwritten as well."""
        a *= a
        a *= delta
        delta -= a

    def relu_with_bias(self, z: Array, bias: Array) -> None:
        """Overwrite z, of shape (n_rows, n), with max(0, z + bias), where the bias has the shape (n,)."""
        self.add_row(z, bias)
        self.xp.clip(z, 0, None, out=z)

    def relu_pull_back(self, a: Array, delta: Array) -> None:
        """Overwrite delta with 0 where a is 0, where a is not negative; a is overwritten as well."""
        self.xp.sign(a, out=a)
        delta *= a

    def all_finite(self, X: Array) -> bool:
        """Return whether no number of an array is NaN or infinite."""
        return bool(self.xp.isfinite(X).all())

    def gather(self, images: Array, out: Array, first: int, stride: tuple[int, int]) -> None:
        """Write the numbers in a window at each of its places in images into `out`.

        Parameters
        ----------
        images : array of shape (n_rows, height, width, channels)
        out : array of shape (n_rows, places down, places to the right, window's rows, window's columns, channels)
        first : int
            Number of the window's first row that is written.
        stride : tuple of two int
            Distances of successive places down and to the right.
        """
        n, down, across, n_lines, n_columns, channels = out.shape
        lines = [slice(u, u + (down - 1) * stride[0] + 1, stride[0]) for u in range(first, first + n_lines)]
        if channels < _FEW_CHANNELS:
            for index, line in enumerate(lines):
                for v in range(n_columns):
                    out[:, :, :, index, v] = images[:, line, v : v + (across - 1) * stride[1] + 1 : stride[1]]
            return
        windows = self.windows(images.reshape(n, images.shape[1], -1), n_columns * channels, stride[1] * channels)
        flat = out.reshape(n, down, across, n_lines, -1)
        for index, line in enumerate(lines):
            flat[:, :, :, index] = windows[:, line]

    def scatter(self, gathered: Array, out: Array, stride: tuple[int, int]) -> None:
        """Write, for each number of an image, the sum over the windows that contain it; the transpose of `gather`.

        Parameters
        ----------
        gathered : array of shape (n_rows, places down, places to the right, window's rows, window's columns, channels)
        out : array of shape (n_rows, height, width, channels)
        stride : tuple of two int
            As for `gather`.
        """
        _, down, across, n_lines, n_columns, _ = gathered.shape
        out[:] = 0
        for u in range(n_lines):
            for v in range(n_columns):
                line = slice(u, u + (down - 1) * stride[0] + 1, stride[0])
                out[:, line, v : v + (across - 1) * stride[1] + 1 : stride[1]] += gathered[:, :, :, u, v]

    def squared_error(self, outputs: Array, y: Array, out: Array) -> float:
        """Return Σ_ik (outputs_ik − y_ik)² as `number` does, and write outputs − y into `out`."""
        self.xp.subtract(outputs, y, out=out)
        return self.sum_of_squares(out)

    def binary_cross_entropy(self, z: Array, y: Array, out: Array) -> Array:
        """Return Σ_k ln(1 + exp(z_k)) − y_k z_k of each row, and write 1 / (1 + exp(−z)) − y into `out`.

        Parameters
        ----------
        z, y, out : arrays of shape (n_rows, n)

        Returns
        -------
        array of shape (n_rows,)
        """
        self.sigmoid(z, out)
        out -= y
        return (self.xp.clip(z, 0, None) - y * z + self.softplus_tail(z)).sum(1)


class Steps(ABC):
    """Steps of optimisers, computed in place for θ or a part of θ."""

    @abstractmethod
    def momentum_step(
        self, theta: Array, gradient: Array, velocity: Array, scratch: Array, *, momentum: float, learning_rate: float
    ) -> None:
        """Take a step with momentum, v ← μ v − α g and θ ← θ + v; all arrays have the same shape."""

    @abstractmethod
    def adam_step(
        self,
        theta: Array,
        gradient: Array,
        sums: tuple[Array, Array],
        scratch: Array,
        *,
        betas: tuple[float, float],
        rate: float,
        epsilon: float,
    ) -> None:
        """Take an Adam step: s ← β₁ s + g, q ← β₂ q + g², θ ← θ − rate s / (√q + ε), where `sums` is (s, q).

        All arrays have the same shape.
        """


class Ops(Composed, Steps):
    """The primitives of an array library; instances of the same class are equal, unless they differ in their device.

    Attributes
    ----------
    name : str
        Name of the implementation: "numpy", "compiled" or "torch".
    library : str
        Name of the array library: "numpy" or "torch".
    device : object
        Where the arrays are, whose text is "cpu" for the memory of the host.
    lstm_steps, gru_steps : LSTMSteps, GRUSteps, or None
        The steps of recurrent layers in one call each; None where they are made of other primitives.
    max_pooling : MaxPooling or None
        Max pooling in one call each way; None where it is made of other primitives.
    """

    name: ClassVar[str]
    library: ClassVar[str]
    device: Any = "cpu"
    lstm_steps: ClassVar[LSTMSteps | None] = None
    gru_steps: ClassVar[GRUSteps | None] = None
    max_pooling: ClassVar[MaxPooling | None] = None

    @property
    def in_memory_of_host(self) -> bool:
        """Whether the arrays are in the memory of the host, and not on a device."""
        return str(self.device) == "cpu"

    def chain_passes(self, sizes: Sequence[int], activations: Sequence[str], loss: str) -> ChainPasses | None:
        """Return the passes of a network of dense layers, or None if they are best made of other primitives.

        Parameters
        ----------
        sizes : sequence of int
            Numbers of units, from the input to the output.
        activations : sequence of str
            Names of the activations of all layers but the input.
        loss : str
            Name of the loss.
        """
        return None

    def simple_steps(self, activation: str) -> SimpleSteps | None:
        """Return the steps of a simple recurrent layer, or None if they are best made of other primitives.

        Parameters
        ----------
        activation : str
            Name of the activation.
        """
        return None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))
