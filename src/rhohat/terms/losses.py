"""Losses: the value and the derivative at the output of each loss, side by side.

A loss takes a block of outputs and targets and returns one number for each row; the objective takes the mean over all
rows once. Cross-entropies are computed from z, the pre-activations of the output layer, so that no logarithm of 0 can
occur; their attribute `contains` names the output activation that is part of the loss.

To add a loss, write a class in this module and list it in `LOSSES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve

from rhohat.common.arrays import FloatArray
from rhohat.ops import WithOps

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "GaussianLoss",
    "LabelNoiseCrossEntropy",
    "Loss",
    "SoftmaxCrossEntropy",
    "SquaredError",
    "as_loss",
]


class Loss(WithOps, ABC):
    """Base class of losses: the cost of an output, given its target.

    Attributes
    ----------
    name : str
        Name by which a user selects the loss, and the key of its value among the terms of J.
    contains : str or None
        Name of the output activation that is part of the loss, which then takes the pre-activations z of the output
        layer. None means that the loss takes the outputs a of any activation.
    """

    name: ClassVar[str]
    contains: ClassVar[str | None] = None

    def __init_subclass__(cls) -> None:
        """Reset `sum_and_derivative` to the default if a subclass overrides only `value_and_derivative`.

        Otherwise the subclass would inherit a faster sum that belongs to the function of its base class.
        """
        super().__init_subclass__()
        if "value_and_derivative" in cls.__dict__ and "sum_and_derivative" not in cls.__dict__:
            cls.sum_and_derivative = Loss.sum_and_derivative  # type: ignore[method-assign]

    def check_targets(self, y: FloatArray) -> None:
        """Raise ValueError if the targets, of shape (n_samples, n_outputs), are not valid for this loss."""

    @abstractmethod
    def value_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """Return the loss of each row, summed over outputs, and write its derivative with respect to the outputs.

        Parameters
        ----------
        outputs : array of shape (n_rows, n_outputs)
            Activations a, or pre-activations z if the loss contains an activation; they are not changed.
        y : array of shape (n_rows, n_outputs)
            Targets.
        out : array of shape (n_rows, n_outputs)
            Receives ∂loss/∂outputs.

        Returns
        -------
        array of shape (n_rows,)
        """

    def sum_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> float:
        """Return the loss summed over rows and outputs, and write its derivative into `out`.

        The arguments are those of `value_and_derivative`. Subclasses may override this method with a faster method.
        """
        values = self.value_and_derivative(outputs, y, out)
        return self.ops.number(values.sum(dtype=self.ops.xp.float64))

    def second_derivative(self, outputs: FloatArray, y: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return (∂²loss/∂outputs²) · tangent for each row; only Hessian-vector products need it.

        Parameters
        ----------
        outputs, y, tangent : arrays of shape (n_rows, n_outputs)

        Returns
        -------
        array of shape (n_rows, n_outputs)
        """
        raise NotImplementedError(f"{type(self).__name__} has no second derivative.")


@dataclass(frozen=True)
class SquaredError(Loss):
    """Squared error ½ ‖a − y‖², summed over outputs; its derivative is a − y.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 2.

    Examples
    --------
    >>> a, y, derivative = np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), np.empty((1, 2))
    >>> SquaredError().value_and_derivative(a, y, derivative)
    array([2.5])
    >>> derivative
    array([[ 1., -2.]])
    """

    name: ClassVar[str] = "squared_error"

    def value_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """Return ½ Σ_k (a_k − y_k)² and write a − y into `out`."""
        self.ops.xp.subtract(outputs, y, out=out)
        values = self.ops.row_products(out, out)
        values *= 0.5
        return values

    def sum_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> float:
        """Return ½ Σ_ik (a_ik − y_ik)², without computing a sum for each row, and write a − y into `out`."""
        return 0.5 * self.ops.squared_error(outputs, y, out)

    def second_derivative(self, outputs: FloatArray, y: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return the tangent unchanged, as the second derivative is the identity."""
        return tangent


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Cross-entropy −Σ_k y_k ln a_k + (1 − y_k) ln(1 − a_k) of sigmoid outputs a; ∂loss/∂z is a − y.

    The loss is computed from z as Σ_k ln(1 + exp(z_k)) − y_k z_k, with ln(1 + exp(z)) = max(z, 0) + ln(1 + exp(−|z|)).
    This is finite for every finite z. It is also accurate where a confident output is correct and the loss is small,
    because max(z, 0) − y z is 0 there before the small remainder is added. Targets lie in [0, 1].

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, equation 5.23.

    Examples
    --------
    >>> z, y, derivative = np.array([[0.0, 1000.0]]), np.array([[1.0, 0.0]]), np.empty((1, 2))
    >>> BinaryCrossEntropy().value_and_derivative(z, y, derivative)
    array([1000.69314718])
    >>> derivative
    array([[-0.5,  1. ]])
    """

    name: ClassVar[str] = "binary_cross_entropy"
    contains: ClassVar[str | None] = "sigmoid"

    def check_targets(self, y: FloatArray) -> None:
        """Raise ValueError if a target lies outside [0, 1]."""
        if y.min() < 0 or y.max() > 1:
            raise ValueError(
                f"{self.name} needs targets in [0, 1], but these targets lie in [{y.min():g}, {y.max():g}]; scale them,"
                " or use loss='squared_error'."
            )

    def value_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """Return Σ_k ln(1 + exp(z_k)) − y_k z_k and write 1 / (1 + exp(−z)) − y into `out`."""
        values: FloatArray = self.ops.binary_cross_entropy(outputs, y, out)
        return values

    def second_derivative(self, outputs: FloatArray, y: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return a (1 − a) ∘ tangent."""
        a = self._sigmoid(outputs)
        return (a - a * a) * tangent

    def _sigmoid(self, z: FloatArray) -> FloatArray:
        a: FloatArray = self.ops.xp.empty_like(z)
        self.ops.sigmoid(z, a)
        return a


@dataclass(frozen=True)
class LabelNoiseCrossEntropy(BinaryCrossEntropy):
    """Binary cross-entropy when a label is wrong with probability ε.

    The loss is −Σ y ln p + (1 − y) ln(1 − p), where p = (1 − ε) a + ε (1 − a) is the probability that the *label* is 1,
    and a, the sigmoid output, is the probability that the *true class* is 1. At ε = 0 it equals `BinaryCrossEntropy`.

    Parameters
    ----------
    epsilon : float, default=0.1
        ε, the probability that a label in the data is wrong, in [0, ½).

    Notes
    -----
    The loss is computed from z. With the sigmoid σ and c = ln((1 − ε)/ε), its derivative with respect to z is
    σ(z) − y σ(z + c) − (1 − y) σ(z − c).

    With e = exp(−|z|) and κ = ε/(1 − ε), the loss is a sum of terms. The first is −ln(1 − ε), the loss of a label that
    agrees with a confident output. The second is ln(1 + (1 − κ) e/(1 + κ e)), which is accurate also where it is small.
    If the label does not agree with the sign of z, ln((1 + κ e)/(κ + e)) is added.

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, exercise 5.4.

    Examples
    --------
    >>> z, y, derivative = np.array([[1000.0]]), np.array([[0.0]]), np.empty((1, 1))
    >>> LabelNoiseCrossEntropy(0.1).value_and_derivative(z, y, derivative)  # −ln 0.1
    array([2.30258509])
    """

    epsilon: float = 0.1
    name: ClassVar[str] = "label_noise_cross_entropy"

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 0.5:
            raise ValueError(
                f"epsilon, the probability that a label is wrong, must lie in [0, 0.5); got {self.epsilon}. Where more"
                " than half of the labels are wrong, swap the classes."
            )

    def value_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """Return the loss of each row and write σ(z) − y σ(z + c) − (1 − y) σ(z − c) into `out`."""
        if self.epsilon == 0:
            return super().value_and_derivative(outputs, y, out)
        z, c = outputs, self._log_odds
        out[:] = self._sigmoid(z) - y * self._sigmoid(z + c) - (1 - y) * self._sigmoid(z - c)
        xp = self.ops.xp
        kappa = max(self.epsilon, float(xp.finfo(z.dtype).tiny)) / (1 - self.epsilon)
        with np.errstate(under="ignore"):
            e = xp.exp(-xp.abs(z))
        near = 1 + kappa * e
        share = xp.abs(y - 0.5 - 0.5 * xp.sign(z))  # part of the label that disagrees with the sign of z
        values: FloatArray = (xp.log1p((1 - kappa) * e / near) + share * xp.log(near / (kappa + e))).sum(1)
        values -= z.shape[1] * float(np.log1p(-self.epsilon))
        return values

    def second_derivative(self, outputs: FloatArray, y: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return (σ′(z) − y σ′(z + c) − (1 − y) σ′(z − c)) ∘ tangent."""
        if self.epsilon == 0:
            return super().second_derivative(outputs, y, tangent)
        here, above, below = (self._sigmoid(outputs + shift) for shift in (0, self._log_odds, -self._log_odds))
        curvature = here * (1 - here) - y * above * (1 - above) - (1 - y) * below * (1 - below)
        return curvature * tangent

    @property
    def _log_odds(self) -> float:
        return float(np.log((1 - self.epsilon) / self.epsilon))


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """Cross-entropy −Σ_k y_k ln a_k of softmax outputs a; ∂loss/∂z is a − y.

    The loss is computed from z as ln(1 + Σ_others exp(z_k − m)) − Σ_k y_k (z_k − m), where m is the largest z_k of the
    row. This is accurate also where a confident output is correct and the loss is small, because both terms are small
    there. The targets of a row are probabilities: 1 for its class and 0 for the others, or any numbers that are not
    negative and add up to 1.

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, equation 5.24.

    Examples
    --------
    >>> z, y, derivative = np.array([[0.0, 1000.0]]), np.array([[1.0, 0.0]]), np.empty((1, 2))
    >>> SoftmaxCrossEntropy().value_and_derivative(z, y, derivative)
    array([1000.])
    >>> derivative
    array([[-1.,  1.]])
    """

    name: ClassVar[str] = "softmax_cross_entropy"
    contains: ClassVar[str | None] = "softmax"

    def check_targets(self, y: FloatArray) -> None:
        """Raise ValueError if a row of targets is not a probability distribution."""
        if y.min() < 0 or np.abs(y.sum(axis=1) - 1).max() > 1e-5:
            raise ValueError(
                f"{self.name} needs targets that are not negative and add up to 1 in every row: either 1 for the class"
                " of the row and 0 for the other classes, or a probability for each class. Use"
                " loss='binary_cross_entropy' for labels that are not mutually exclusive."
            )

    def value_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """Return ln Σ_k exp(z_k) − Σ_k y_k z_k and write softmax(z) − y into `out`."""
        values: FloatArray = self.ops.softmax_cross_entropy(outputs, y, out)
        return values

    def second_derivative(self, outputs: FloatArray, y: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return a ∘ (tangent − Σ_k a_k tangent_k)."""
        xp = self.ops.xp
        a = xp.empty_like(outputs)
        self.ops.softmax(outputs, a)
        product: FloatArray = a * (tangent - xp.einsum("ij,ij->i", a, tangent)[:, None])
        return product


class GaussianLoss(Loss):
    """Loss ½ (y − a)ᵀ Σ⁻¹ (y − a) for targets with Gaussian noise of covariance Σ; its derivative is Σ⁻¹ (a − y).

    Up to a constant that does not depend on the weights, the loss is the negative log-likelihood of a row; see
    `log_likelihood`. With Σ = I it equals `SquaredError`.

    Parameters
    ----------
    covariance : array-like of shape (n_outputs, n_outputs)
        Σ, symmetric and positive definite, in squared units of the targets.

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, exercise 5.3.

    Examples
    --------
    >>> loss = GaussianLoss([[4.0, 0.0], [0.0, 1.0]])
    >>> a, y, derivative = np.array([[2.0, 1.0]]), np.zeros((1, 2)), np.empty((1, 2))
    >>> loss.value_and_derivative(a, y, derivative)
    array([1.])
    >>> derivative
    array([[0.5, 1. ]])
    """

    name: ClassVar[str] = "gaussian"

    def __init__(self, covariance: ArrayLike) -> None:
        if np.iscomplexobj(covariance):
            raise ValueError("the noise covariance must be real; got a complex matrix.")
        covariance = np.array(covariance, dtype=np.float64)
        if covariance.ndim != 2 or covariance.shape[0] != covariance.shape[1] or covariance.size == 0:
            raise ValueError(f"the noise covariance must be a square matrix; got an array of shape {covariance.shape}.")
        if not np.all(np.isfinite(covariance)):
            raise ValueError("the noise covariance must be finite.")
        if not np.allclose(covariance, covariance.T, rtol=1e-8, atol=1e-12 * np.abs(covariance).max()):
            raise ValueError("the noise covariance must be symmetric; pass (S + S.T) / 2 instead of the matrix S.")
        try:
            self._factor = cho_factor(covariance, lower=True)
        except np.linalg.LinAlgError as error:
            smallest = float(np.linalg.eigvalsh(covariance)[0])
            raise ValueError(
                f"the noise covariance must be positive definite, but its smallest eigenvalue is {smallest:.2g}; add a"
                " small multiple of the identity, or leave out outputs that depend linearly on other outputs."
            ) from error
        self.covariance = covariance
        self.precision = cho_solve(self._factor, np.eye(len(covariance)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GaussianLoss) and np.array_equal(self.covariance, other.covariance)

    def __hash__(self) -> int:
        return hash(self.covariance.tobytes())

    def __repr__(self) -> str:
        return f"GaussianLoss({self.covariance.tolist()})"

    def check_targets(self, y: FloatArray) -> None:
        """Raise ValueError if the size of Σ is not the number of target columns."""
        if y.shape[1] != len(self.covariance):
            raise ValueError(
                f"the noise covariance must have the shape ({y.shape[1]}, {y.shape[1]}) for targets of {y.shape[1]}"
                f" columns; got {self.covariance.shape}."
            )

    def value_and_derivative(self, outputs: FloatArray, y: FloatArray, out: FloatArray) -> FloatArray:
        """Return ½ (y − a)ᵀ Σ⁻¹ (y − a) and write Σ⁻¹ (a − y) into `out`."""
        residual = outputs - y
        self.ops.xp.matmul(residual, self._precision_like(outputs), out=out)
        values = self.ops.row_products(residual, out)
        values *= 0.5
        return values

    def second_derivative(self, outputs: FloatArray, y: FloatArray, tangent: FloatArray) -> FloatArray:
        """Return Σ⁻¹ · tangent."""
        product: FloatArray = tangent @ self._precision_like(tangent)
        return product

    def _precision_like(self, rows: FloatArray) -> FloatArray:
        """Return Σ⁻¹ in the array library and dtype of the given rows."""
        precision: FloatArray = self.ops.asarray(self.precision, self.ops.dtype_of(rows))
        return precision

    def log_likelihood(self, residual: FloatArray, sample_weight: FloatArray | None = None) -> float:
        """Return the log-likelihood Σ_i w_i ln N(r_i | 0, C) of residuals r_i under normal noise of covariance C.

        The weight of row i is w_i, and ln N(r_i | 0, C) = −½ r_iᵀ C⁻¹ r_i − ½ (n_outputs ln 2π + ln det C). C is the
        attribute `covariance`, called Σ in the formulas of the class.

        Parameters
        ----------
        residual : array of shape (n_samples, n_outputs)
            Targets minus outputs; row i is r_i.
        sample_weight : array of shape (n_samples,), default=None
            Weight w_i of each row; None means 1.

        Returns
        -------
        float
            The log-likelihood, summed over samples, in nats.
        """
        log_determinant = 2 * float(np.log(np.diag(self._factor[0])).sum())
        constant = residual.shape[1] * float(np.log(2 * np.pi)) + log_determinant
        quadratic = np.einsum("ij,ij->i", residual @ self.precision, residual)
        weights = np.ones(len(residual)) if sample_weight is None else sample_weight
        return -0.5 * float(weights @ (quadratic + constant))


#: The losses that can be made without arguments, by name.
LOSSES: dict[str, type[Loss]] = {
    cls.name: cls for cls in (SquaredError, BinaryCrossEntropy, SoftmaxCrossEntropy, LabelNoiseCrossEntropy)
}


def as_loss(loss: str | Loss) -> Loss:
    """Return the loss with the given name and its default settings; a Loss is returned unchanged.

    Parameters
    ----------
    loss : str or Loss

    Returns
    -------
    Loss

    Raises
    ------
    ValueError
        If no loss has that name.

    Examples
    --------
    >>> as_loss("squared_error")
    SquaredError()
    """
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]()
    raise ValueError(f"loss must be one of {sorted(LOSSES)} or a Loss; got {loss!r}.")
