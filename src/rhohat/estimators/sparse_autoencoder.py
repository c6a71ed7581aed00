"""The sparse autoencoder: one hidden layer, kept quiet by a penalty on its mean activations."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from rhohat.activations import ACTIVATIONS, Activation, as_activation
from rhohat.arrays import FloatArray
from rhohat.estimators.base import BaseAutoencoder
from rhohat.network import INITIAL_WEIGHTS, Network
from rhohat.penalties import KLSparsity, Penalty, WeightDecay
from rhohat.randomness import RandomState
from rhohat.solvers import SOLVERS, Callback, Solver

__all__ = ["SparseAutoencoder"]


class SparseAutoencoder(BaseAutoencoder):
    """Sparse autoencoder: learns hidden units that are rarely active, from which the input can be rebuilt.

    Minimises, over all rows at once,

        J = 1/m Σ_i ½‖x̂_i − x_i‖²  +  λ/2 (‖W1‖² + ‖W2‖²)  +  β Σ_j KL(ρ ‖ ρ̂_j)

    with h = f(x W1 + b1), x̂ = g(h W2 + b2), and ρ̂_j the mean activation of hidden unit j.

    Parameters
    ----------
    n_components : int, default=25
        Number of hidden units.
    activation : {"sigmoid", "tanh", "identity"} or Activation, default="sigmoid"
        f. Without bounds, as "identity", only with `sparsity_weight=0`.
    output_activation : {"auto", "sigmoid", "tanh", "identity"} or Activation, default="auto"
        g. "auto": sigmoid where all of X lies in [0, 1], else identity (a linear decoder).
    sparsity : float, default=0.01
        ρ, the mean activation that hidden units are held to, in (0, 1). For tanh units it is that of (1 + h)/2.
    sparsity_weight : float, default=3.0
        β, at least 0.
    weight_decay : float, default=1e-4
        λ, at least 0.
    solver : {"lbfgs", "gradient_descent"} or Solver, default="lbfgs"
        An object carries settings: ``GradientDescent(learning_rate=0.5)``.
    initial_weights : {"uniform", "normal"}, default="uniform"
        "uniform": in ±√(6 / (fan_in + fan_out + 1)). "normal": normal(0, 0.01²). Biases start at 0.
    max_iter : int, default=400
        Most iterations of the solver.
    tol : float, default=1e-5
        Converged when no component of the gradient exceeds this.
    warm_start : bool, default=False
        Start from the parameters of the previous fit, where there is one.
    random_state : int, RandomState, Generator or None, default=None
        For the initial weights. The same seed and data give the same bits.
    n_jobs : int, default=None
        Threads. None: as many as BLAS would use; −1: every core. It changes the speed, never a bit of the result.
    callbacks : sequence of callable, default=()
        Called with an `IterationState` after every iteration; the fit stops if one returns True.
    verbose : int, default=0
        Print a line to standard error about every `verbose`-th iteration; 0 prints nothing.

    Attributes
    ----------
    coefs_ : list of two arrays
        W1 of shape (n_features, n_components) and W2 of shape (n_components, n_features).
    intercepts_ : list of two arrays
        b1 of shape (n_components,) and b2 of shape (n_features,).
    components_ : array of shape (n_components, n_features)
        W1 transposed: row j is what unit j weighs its input with.
    mean_activation_ : array of shape (n_components,), float64
        ρ̂ over the training rows.
    output_activation_ : str
        Name of the output activation in use.
    network_ : Network
        The architecture.
    theta_ : array of shape (n_parameters,)
        All parameters as the flat vector [W1, W2, b1, b2] that `objective` takes.
    loss_curve_ : list of float, of length n_iter_
        J after each iteration.
    terms_curve_ : dict of str to list of float
        "squared_error", "weight_decay" and "kl_sparsity" after each iteration; they add up to J.
    n_iter_ : int
        Iterations done.
    n_evaluations_ : int
        Evaluations of J and its gradient.
    solver_status_ : {"converged", "max_iter", "stalled", "stopped", "not_finite"}
        Why the solver ended.
    solver_message_ : str
        The same as a sentence.
    n_features_in_ : int
    feature_names_in_ : array of shape (n_features_in_,)
        Only where X has column names that are all strings.

    Warns
    -----
    ConvergenceWarning
        Where the solver neither converged nor was stopped by a callback.

    Notes
    -----
    float32 data is computed on in float32 with float64 sums across blocks of rows, everything else in float64.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, Stanford University.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import SparseAutoencoder
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> autoencoder = SparseAutoencoder(n_components=4, sparsity=0.1, max_iter=2000, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (200, 4)
    >>> autoencoder.solver_status_
    'converged'
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions(set(ACTIVATIONS)), Activation],
        "output_activation": [StrOptions({"auto", *ACTIVATIONS}), Activation],
        "sparsity": [Interval(Real, 0, 1, closed="neither")],
        "sparsity_weight": [Interval(Real, 0, None, closed="left")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions(set(SOLVERS)), Solver],
        "initial_weights": [StrOptions(set(INITIAL_WEIGHTS))],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "warm_start": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
        "n_jobs": [None, Integral],
        "callbacks": ["array-like", None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        *,
        n_components: int = 25,
        activation: str | Activation = "sigmoid",
        output_activation: str | Activation = "auto",
        sparsity: float = 0.01,
        sparsity_weight: float = 3.0,
        weight_decay: float = 1e-4,
        solver: str | Solver = "lbfgs",
        initial_weights: str = "uniform",
        max_iter: int = 400,
        tol: float = 1e-5,
        warm_start: bool = False,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.activation = activation
        self.output_activation = output_activation
        self.sparsity = sparsity
        self.sparsity_weight = sparsity_weight
        self.weight_decay = weight_decay
        self.solver = solver
        self.initial_weights = initial_weights
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.verbose = verbose

    def maximal_inputs(self) -> FloatArray:
        """Return, for each hidden unit, the input of norm 1 that activates it most: x = w / ‖w‖.

        Returns
        -------
        array of shape (n_components, n_features)
            A unit whose weights are all zero gets zeros.

        References
        ----------
        Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 4.
        """
        check_is_fitted(self)
        norms = np.linalg.norm(self.components_, axis=1, keepdims=True)
        unit = np.zeros_like(self.components_)
        np.divide(self.components_, norms, out=unit, where=norms > 0)
        return unit

    def _make_network(self, n_features: int, output: Activation) -> Network:
        return Network((n_features, self.n_components, n_features), (as_activation(self.activation), output))

    def _make_penalties(self) -> list[Penalty]:
        return [WeightDecay(self.weight_decay), KLSparsity(self.sparsity, self.sparsity_weight)]
