"""Activation functions: f forward, and its pull-back, side by side.

A layer computes z, its pre-activations, and from them a = f(z), its activations. What backpropagation needs of f is
here: `pull_back` turns ∂J/∂a into ∂J/∂z. What second-order methods need of it is here as well: `push_forward`
turns a tangent of z into one of a, and `curvature` is the derivative of both. Most functions work in place and write
their derivatives through the stored output a, so that a block of rows stays in cache.

To add one that acts on each unit by itself: a subclass of `ElementwiseActivation` with `apply` and `derivative`, and
its place in `ACTIVATIONS`. Any other: a subclass of `Activation`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar, NamedTuple

import numpy as np

from rhohat.arrays import FloatArray, array_namespace

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "ElementwiseActivation",
    "Identity",
    "LeakyReLU",
    "Maxout",
    "ParametricReLU",
    "ReLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Units",
    "as_activation",
]


class Units(NamedTuple):
    """What the units of a layer hold for a block of rows.

    Attributes
    ----------
    z : array of shape (n_rows, width)
        Pre-activations.
    a : array of shape (n_rows, n_units)
        Activations; the same memory as z where the activation works in place.
    parameters : array of shape (n_parameters,)
        The activation's own, learned with the weights; empty for most.
    """

    z: FloatArray
    a: FloatArray
    parameters: FloatArray


class Activation(ABC):
    """A function from the pre-activations z of a layer to its activations a = f(z).

    `pull_back` and `push_forward` are transposes of each other: φ · push_forward(β) = pull_back(φ) · β.

    Attributes
    ----------
    name : str
        By which it is asked for.
    bounds : tuple of two floats
        Smallest and largest activation, infinite where there is none. A penalty on mean activations needs both.
    in_place : bool
        Whether z and a share their memory: `forward` overwrites z, and everything else is written through a.
    monotonic : bool
        Whether each activation depends on one pre-activation alone and never falls with it, so that both are largest
        for the same input.
    """

    name: ClassVar[str]
    bounds: ClassVar[tuple[float, float]]
    in_place: ClassVar[bool] = True
    monotonic: ClassVar[bool] = True

    def width(self, n_units: int) -> int:
        """Return the number of pre-activations that a layer of so many units has."""
        return n_units

    def n_parameters(self, n_units: int) -> int:
        """Return the number of the function's own parameters in a layer of so many units."""
        return 0

    def initial_parameters(self, n_units: int) -> FloatArray:
        """Return the parameters to start from, of shape (n_parameters,)."""
        return np.zeros(self.n_parameters(n_units))

    @property
    def twice_differentiable(self) -> bool:
        """Whether `curvature` is there, which penalties on derivatives and Hessian-vector products need."""
        return True

    @property
    def thrice_differentiable(self) -> bool:
        """Whether `third_order` is there, which Hessian-vector products of penalties on derivatives need."""
        return type(self).third_order is not Activation.third_order

    @abstractmethod
    def forward(self, units: Units) -> None:
        """Write f(z) into a, which is z itself where the function works in place."""

    @abstractmethod
    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Turn ∂J/∂a into ∂J/∂z, and add ∂J/∂parameters, summed over rows, to `gradient`.

        Parameters
        ----------
        units : Units
            As `forward` left them. The content of z and a may be lost: nothing else needs it any more.
        delta : array of shape (n_rows, n_units)
            ∂J/∂a; its content may be lost.
        out : array of shape (n_rows, width)
            Receives ∂J/∂z; delta itself where the function works in place.
        gradient : array of shape (n_parameters,)
        """

    @abstractmethod
    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return α, the tangent of a, for β, the tangent of z, and a direction in the parameters (None: zero).

        Parameters
        ----------
        units : Units
            As `forward` left them; left as they are.
        beta : array of shape (n_rows, width)
        direction : array of shape (n_parameters,), or None

        Returns
        -------
        array of shape (n_rows, n_units)
        """

    @abstractmethod
    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return ∂/∂z of φ · push_forward(β), and add its derivative by the parameters to `gradient`.

        Arguments as for `push_forward`; phi has the shape (n_rows, n_units).

        Returns
        -------
        array of shape (n_rows, width)
        """

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return ∂²a/∂z² · β · ζ: the derivative of push_forward(β) along ζ, a second tangent of z, and the direction.

        Parameters
        ----------
        units : Units
        beta, zeta : arrays of shape (n_rows, width)
        direction : array of shape (n_parameters,), or None
            Belongs to ζ.

        Returns
        -------
        array of shape (n_rows, n_units)
        """
        raise NotImplementedError(f"{type(self).__name__} has no derivative of its curvature.")

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return the derivative of curvature(φ, β) along ζ, a second tangent of z.

        Parameters
        ----------
        units : Units
        phi : array of shape (n_rows, n_units)
        beta, zeta : arrays of shape (n_rows, width)

        Returns
        -------
        array of shape (n_rows, width)
        """
        raise NotImplementedError(f"{type(self).__name__} has no derivative of its curvature.")


class ElementwiseActivation(Activation):
    """A function of each unit by itself, without parameters, whose derivatives are written through its output a.

    A subclass has `name`, `bounds`, `apply` and `derivative`; with `second_derivative` it serves penalties on
    derivatives, and Newton's method without them; with `third_derivative` Newton's method with them.
    `multiply_by_derivative` is there to be made faster.
    """

    @abstractmethod
    def apply(self, z: FloatArray) -> None:
        """Overwrite z with f(z)."""

    @abstractmethod
    def derivative(self, a: FloatArray) -> FloatArray:
        """Return f′(z), given a = f(z)."""

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return f″(z), given a = f(z)."""
        raise NotImplementedError(f"{type(self).__name__} has no second derivative.")

    def third_derivative(self, a: FloatArray) -> FloatArray:
        """Return f‴(z), given a = f(z)."""
        raise NotImplementedError(f"{type(self).__name__} has no third derivative.")

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta ∘ f′(z), given a = f(z), whose content may be lost."""
        delta *= self.derivative(a)

    @property
    def twice_differentiable(self) -> bool:
        """Whether `second_derivative` is defined."""
        return type(self).second_derivative is not ElementwiseActivation.second_derivative

    @property
    def thrice_differentiable(self) -> bool:
        """Whether `third_derivative` is defined."""
        return type(self).third_derivative is not ElementwiseActivation.third_derivative

    def forward(self, units: Units) -> None:
        """Overwrite z, which is a, with f(z)."""
        self.apply(units.z)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Overwrite delta, which is out, with delta ∘ f′(z)."""
        self.multiply_by_derivative(units.a, delta)

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return f′(z) ∘ β."""
        return self.derivative(units.a) * beta

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return f″(z) ∘ φ ∘ β."""
        return self.second_derivative(units.a) * phi * beta

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return f″(z) ∘ β ∘ ζ."""
        return self.second_derivative(units.a) * beta * zeta

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return f‴(z) ∘ φ ∘ β ∘ ζ."""
        return self.third_derivative(units.a) * phi * beta * zeta


@dataclass(frozen=True)
class Identity(ElementwiseActivation):
    """f(z) = z, f′(z) = 1: linear units.

    Examples
    --------
    >>> z = np.array([[-2.0, 3.0]])
    >>> Identity().apply(z)
    >>> z
    array([[-2.,  3.]])
    """

    name: ClassVar[str] = "identity"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def apply(self, z: FloatArray) -> None:
        """Leave z as it is."""

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return ones."""
        return array_namespace(a).ones_like(a)

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return zeros."""
        return array_namespace(a).zeros_like(a)

    third_derivative = second_derivative

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Leave delta as it is."""


@dataclass(frozen=True)
class Sigmoid(ElementwiseActivation):
    """f(z) = 1 / (1 + exp(−z)), f′(z) = a (1 − a), f″(z) = f′(z) (1 − 2a).

    Notes
    -----
    exp(−z) overflows to infinity below z = −709 (float64), and 1 / (1 + ∞) is the right answer, 0; so the overflow
    is let through in silence. NumPy's vectorised exp makes this faster than `scipy.special.expit`,
    and it keeps full relative accuracy for small outputs, which tanh-based formulas lose.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 1.

    Examples
    --------
    >>> z = np.array([[-1000.0, 0.0, 1000.0]])
    >>> Sigmoid().apply(z)
    >>> z
    array([[0. , 0.5, 1. ]])
    """

    name: ClassVar[str] = "sigmoid"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with 1 / (1 + exp(−z))."""
        xp = array_namespace(z)
        xp.negative(z, out=z)
        with np.errstate(over="ignore", under="ignore"):
            xp.exp(z, out=z)
        z += 1
        xp.reciprocal(z, out=z)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return a (1 − a)."""
        return a - a * a

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return a (1 − a) (1 − 2a)."""
        return (a - a * a) * (1 - 2 * a)

    def third_derivative(self, a: FloatArray) -> FloatArray:
        """Return a (1 − a) (1 − 6 a (1 − a))."""
        derivative = a - a * a
        return derivative * (1 - 6 * derivative)

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta a (1 − a), as delta a − delta a²: three passes, no temporary."""
        delta *= a
        a *= delta
        delta -= a


@dataclass(frozen=True)
class Tanh(ElementwiseActivation):
    """f(z) = tanh(z), f′(z) = 1 − a², f″(z) = −2 a (1 − a²).

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 1.

    Examples
    --------
    >>> z = np.array([[-1000.0, 0.0, 1000.0]])
    >>> Tanh().apply(z)
    >>> z
    array([[-1.,  0.,  1.]])
    """

    name: ClassVar[str] = "tanh"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with tanh(z)."""
        array_namespace(z).tanh(z, out=z)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return 1 − a²."""
        return 1 - a * a

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return −2 a (1 − a²)."""
        return -2 * a * (1 - a * a)

    def third_derivative(self, a: FloatArray) -> FloatArray:
        """Return (1 − a²) (6 a² − 2)."""
        square = a * a
        return (1 - square) * (6 * square - 2)

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with delta (1 − a²), as delta − delta a²."""
        a *= a
        a *= delta
        delta -= a


@dataclass(frozen=True)
class ReLU(ElementwiseActivation):
    """f(z) = max(0, z), f′(z) = 1 where a > 0, else 0; f″ = 0. At the kink, z = 0, the derivative is taken as 0.

    References
    ----------
    Nair, V. and Hinton, G. E. (2010). Rectified linear units improve restricted Boltzmann machines. ICML.

    Examples
    --------
    >>> z = np.array([[-2.0, 3.0]])
    >>> ReLU().apply(z)
    >>> z
    array([[0., 3.]])
    """

    name: ClassVar[str] = "relu"
    bounds: ClassVar[tuple[float, float]] = (0.0, np.inf)

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with max(0, z)."""
        array_namespace(z).clip(z, 0, None, out=z)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return 1 where a > 0, else 0."""
        return array_namespace(a).sign(a)

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return zeros."""
        return array_namespace(a).zeros_like(a)

    third_derivative = second_derivative

    def multiply_by_derivative(self, a: FloatArray, delta: FloatArray) -> None:
        """Overwrite delta with 0 where a is 0."""
        array_namespace(a).sign(a, out=a)
        delta *= a


@dataclass(frozen=True)
class LeakyReLU(ElementwiseActivation):
    """f(z) = z where z > 0, else s z, with a fixed slope s; f′ is 1 or s, f″ = 0. The derivative at z = 0 is s.

    Parameters
    ----------
    slope : float, default=0.01
        s, in [0, 1).

    References
    ----------
    Maas, A. L., Hannun, A. Y. and Ng, A. Y. (2013). Rectifier nonlinearities improve neural network acoustic models.
    ICML.

    Examples
    --------
    >>> z = np.array([[-2.0, 3.0]])
    >>> LeakyReLU(slope=0.1).apply(z)
    >>> z
    array([[-0.2,  3. ]])
    """

    slope: float = 0.01
    name: ClassVar[str] = "leaky_relu"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)

    def __post_init__(self) -> None:
        if not 0 <= self.slope < 1:
            raise ValueError(f"slope of a leaky ReLU must lie in [0, 1); got {self.slope}.")

    def apply(self, z: FloatArray) -> None:
        """Overwrite z with max(z, s z)."""
        array_namespace(z).maximum(z, self.slope * z, out=z)

    def derivative(self, a: FloatArray) -> FloatArray:
        """Return 1 where a > 0, else s."""
        derivative = array_namespace(a).clip(array_namespace(a).sign(a), 0, None)
        derivative *= 1 - self.slope
        derivative += self.slope
        return derivative

    def second_derivative(self, a: FloatArray) -> FloatArray:
        """Return zeros."""
        return array_namespace(a).zeros_like(a)

    third_derivative = second_derivative


@dataclass(frozen=True)
class ParametricReLU(Activation):
    """f(z) = z where z > 0, else s_j z, with a slope s_j that is learned for every unit j.

    ∂f/∂s_j is min(z, 0). As the slope may become 0 or negative, z cannot be told from a; both are kept.

    Parameters
    ----------
    initial_slope : float, default=0.25
        Where every s_j starts.

    References
    ----------
    He, K., Zhang, X., Ren, S. and Sun, J. (2015). Delving deep into rectifiers. ICCV.

    Examples
    --------
    >>> z, a = np.array([[-2.0, 3.0]]), np.empty((1, 2))
    >>> ParametricReLU().forward(Units(z, a, np.array([0.5, 0.5])))
    >>> a
    array([[-1.,  3.]])
    """

    initial_slope: float = 0.25
    name: ClassVar[str] = "parametric_relu"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    in_place: ClassVar[bool] = False
    monotonic: ClassVar[bool] = False  # a slope may become negative

    def __post_init__(self) -> None:
        if not np.isfinite(self.initial_slope):
            raise ValueError(f"initial_slope must be finite; got {self.initial_slope}.")

    def n_parameters(self, n_units: int) -> int:
        """Return n_units: a slope each."""
        return n_units

    def initial_parameters(self, n_units: int) -> FloatArray:
        """Return the initial slope for every unit."""
        return np.full(n_units, float(self.initial_slope))

    def forward(self, units: Units) -> None:
        """Write z where z > 0, else s z, into a."""
        z, a, slopes = units
        xp = array_namespace(z)
        xp.clip(z, None, 0, out=a)
        a *= slopes
        a += xp.clip(z, 0, None)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Write delta ∘ f′(z) into out, and add Σ_rows delta min(z, 0) to the slopes' gradient."""
        xp = array_namespace(units.z)
        gradient += (delta * xp.clip(units.z, None, 0)).sum(0)
        xp.multiply(delta, self._derivative(units), out=out)

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return f′(z) ∘ β + min(z, 0) v, v being the direction in the slopes."""
        alpha = self._derivative(units) * beta
        if direction is not None:
            alpha += array_namespace(units.z).clip(units.z, None, 0) * direction
        return alpha

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return φ ∘ v where z ≤ 0, and add Σ_rows φ β there: ∂²f/∂z∂s is 1 where z ≤ 0 and 0 elsewhere."""
        mixed: FloatArray = phi * (units.z <= 0)
        gradient += (mixed * beta).sum(0)
        return array_namespace(mixed).zeros_like(mixed) if direction is None else mixed * direction

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return β ∘ v where z ≤ 0."""
        bent: FloatArray = (units.z <= 0) * beta
        return array_namespace(bent).zeros_like(bent) if direction is None else bent * direction

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return zeros: the curvature is constant."""
        return array_namespace(units.z).zeros_like(units.z)

    def _derivative(self, units: Units) -> FloatArray:
        derivative: FloatArray = units.parameters + (1 - units.parameters) * (units.z > 0)
        return derivative


@dataclass(frozen=True)
class Maxout(Activation):
    """a_j = max_p z_pj: each unit is the largest of its own linear pieces.

    The pieces are pre-activations of their own, with weights and a bias each: z has the columns of piece 0 for all
    units, then those of piece 1, and so on. The derivative goes to the piece that is largest, the first of equals.

    Parameters
    ----------
    n_pieces : int, default=2
        Linear pieces per unit, at least 2.

    References
    ----------
    Goodfellow, I. J., Warde-Farley, D., Mirza, M., Courville, A. and Bengio, Y. (2013). Maxout networks. ICML.

    Examples
    --------
    >>> z, a = np.array([[1.0, 2.0, 3.0, -4.0]]), np.empty((1, 2))
    >>> Maxout(n_pieces=2).forward(Units(z, a, np.empty(0)))
    >>> a
    array([[3., 2.]])
    """

    n_pieces: int = 2
    name: ClassVar[str] = "maxout"
    bounds: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    in_place: ClassVar[bool] = False
    monotonic: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not (isinstance(self.n_pieces, Integral) and self.n_pieces >= 2):
            raise ValueError(f"n_pieces of maxout must be an integer, at least 2; got {self.n_pieces!r}.")

    def width(self, n_units: int) -> int:
        """Return n_pieces n_units."""
        return self.n_pieces * n_units

    def forward(self, units: Units) -> None:
        """Write the largest piece of each unit into a."""
        z, a, _ = units
        xp = array_namespace(z)
        first, *others = self._pieces(z)
        a[:] = first
        for piece in others:
            xp.maximum(a, piece, out=a)

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Write delta into the columns of out that belong to the largest piece, and 0 into the others."""
        xp = array_namespace(units.z)
        for piece, piece_out in zip(self._pieces(units.z), self._pieces(out), strict=True):
            xp.multiply(delta, piece == units.a, out=piece_out)
            delta -= piece_out  # given away: an equal piece gets nothing more

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return the tangent of the largest piece."""
        z, a, _ = units
        xp = array_namespace(z)
        alpha, free = xp.zeros_like(a), xp.ones_like(a)
        for piece, piece_beta in zip(self._pieces(z), self._pieces(beta), strict=True):
            chosen = free * (piece == a)
            alpha += piece_beta * chosen
            free -= chosen
        return alpha

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return zeros: the pieces are linear."""
        return array_namespace(units.z).zeros_like(units.z)

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return zeros: the pieces are linear."""
        return array_namespace(units.a).zeros_like(units.a)

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return zeros: the pieces are linear."""
        return array_namespace(units.z).zeros_like(units.z)

    def _pieces(self, z: FloatArray) -> list[FloatArray]:
        """Return the columns of z that belong to each piece, as views."""
        n_units = z.shape[1] // self.n_pieces
        return [z[:, p * n_units : (p + 1) * n_units] for p in range(self.n_pieces)]


@dataclass(frozen=True)
class Softmax(Activation):
    """a_k = exp(z_k) / Σ_j exp(z_j): the units of a layer as probabilities; ∂a_k/∂z_j = a_k (1[j=k] − a_j).

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, equation 4.104 and section 5.2.

    Examples
    --------
    >>> z = np.array([[1000.0, 1000.0]])
    >>> Softmax().forward(Units(z, z, np.empty(0)))
    >>> z
    array([[0.5, 0.5]])
    """

    name: ClassVar[str] = "softmax"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    monotonic: ClassVar[bool] = False  # a unit's activation falls with the pre-activations of the others

    def forward(self, units: Units) -> None:
        """Overwrite z, which is a, with the softmax of each row."""
        z = units.z
        xp = array_namespace(z)
        z -= xp.amax(z, 1)[:, None]
        with np.errstate(under="ignore"):
            xp.exp(z, out=z)
        z /= z.sum(1)[:, None]

    def pull_back(self, units: Units, delta: FloatArray, out: FloatArray, gradient: FloatArray) -> None:
        """Overwrite delta, which is out, with a ∘ (delta − Σ_k delta_k a_k)."""
        self._multiply_by_jacobian(units.a, delta)

    def push_forward(self, units: Units, beta: FloatArray, direction: FloatArray | None) -> FloatArray:
        """Return a ∘ (β − Σ_k β_k a_k): the Jacobian is symmetric."""
        alpha: FloatArray = beta + array_namespace(units.a).zeros_like(units.a)
        self._multiply_by_jacobian(units.a, alpha)
        return alpha

    def curvature(
        self, units: Units, phi: FloatArray, beta: FloatArray, direction: FloatArray | None, gradient: FloatArray
    ) -> FloatArray:
        """Return the pull-back of ∂/∂a [Σ φ a β − (Σ φ a)(Σ β a)] = φ ∘ β − φ (Σ β a) − β (Σ φ a)."""
        by_a = self._bend(units.a, phi, beta)
        self._multiply_by_jacobian(units.a, by_a)
        return by_a

    def second_push_forward(
        self, units: Units, beta: FloatArray, zeta: FloatArray, direction: FloatArray | None
    ) -> FloatArray:
        """Return the derivative of a ∘ (β − Σ_k β_k a_k) along ζ, by which a changes by α."""
        alpha = self.push_forward(units, zeta, None)
        return self._turn(units.a, alpha, beta)

    def third_order(self, units: Units, phi: FloatArray, beta: FloatArray, zeta: FloatArray) -> FloatArray:
        """Return the derivative of the pull-back of φ ∘ β − φ (Σ β a) − β (Σ φ a) along ζ, by which a changes by α."""
        alpha = self.push_forward(units, zeta, None)
        changed = -phi * (beta * alpha).sum(1)[:, None] - beta * (phi * alpha).sum(1)[:, None]
        self._multiply_by_jacobian(units.a, changed)
        return changed + self._turn(units.a, alpha, self._bend(units.a, phi, beta))

    def _bend(self, a: FloatArray, phi: FloatArray, beta: FloatArray) -> FloatArray:
        """Return ∂/∂a of φ · J β, J being the Jacobian."""
        return phi * beta - phi * (beta * a).sum(1)[:, None] - beta * (phi * a).sum(1)[:, None]

    def _turn(self, a: FloatArray, alpha: FloatArray, vector: FloatArray) -> FloatArray:
        """Return the change of J times a vector, as a changes by α."""
        return alpha * (vector - (a * vector).sum(1)[:, None]) - a * (alpha * vector).sum(1)[:, None]

    def _multiply_by_jacobian(self, a: FloatArray, delta: FloatArray) -> None:
        delta -= array_namespace(a).einsum("ij,ij->i", delta, a)[:, None]
        delta *= a


ACTIVATIONS: dict[str, type[Activation]] = {
    cls.name: cls for cls in (Identity, Sigmoid, Tanh, ReLU, LeakyReLU, ParametricReLU, Maxout, Softmax)
}


def as_activation(activation: str | Activation) -> Activation:
    """Return the activation with the given name, or the object itself.

    Parameters
    ----------
    activation : str or Activation

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If no activation has that name.

    Examples
    --------
    >>> as_activation("tanh")
    Tanh()
    """
    if isinstance(activation, Activation):
        return activation
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]()
    raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)} or an Activation; got {activation!r}.")
