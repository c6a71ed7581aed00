"""The limited-memory BFGS method (L-BFGS)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from scipy.linalg import solve_triangular

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import held_off
from rhohat.solvers._checks import check_count
from rhohat.solvers.base import FullBatchSolver
from rhohat.solvers.interrupts import interrupts_held
from rhohat.solvers.line_search import search_line
from rhohat.solvers.run import Run
from rhohat.solvers.states import RunState

__all__ = ["LBFGS"]

_MOST_PAIRS, _FEWEST_PAIRS = 50, 10
_MEMORY_BYTES = 2**26  # limit on the memory of the pairs, if they are more than the fewest


@dataclass(frozen=True)
class LBFGS(FullBatchSolver):
    """Limited-memory BFGS: θ ← θ − α H ∇J(θ), where H is built from recent pairs of steps and gradient differences.

    Parameters
    ----------
    memory : int or None, default=None
        Number of pairs kept; each pair is two vectors of θ's length. If None, 50 pairs are kept. If 50 pairs take more
        than 64 MB, only the pairs that fit into 64 MB are kept, but at least 10. More pairs reduce the number of
        iterations, and cost little compared with an evaluation over many rows.
    warm_up, float32_first, min_improvement
        See `FullBatchSolver`; keyword-only.

    Notes
    -----
    H is applied in its compact form, by four products of a vector with the matrix of pairs and by solving three small
    triangular systems. The line search satisfies the strong Wolfe conditions; most iterations take one evaluation.

    References
    ----------
    Liu, D. C. and Nocedal, J. (1989). On the limited memory BFGS method for large scale optimization. Mathematical
    Programming 45, 503-528.

    Byrd, R. H., Nocedal, J. and Schnabel, R. B. (1994). Representations of quasi-Newton matrices and their use in
    limited memory methods. Mathematical Programming 63, 129-156, theorem 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> result = LBFGS().minimize(lambda x: (float(x @ x), 2 * x), np.array([3.0, -4.0]))
    >>> result.status, result.n_iter
    ('converged', 2)
    """

    memory: int | None = None

    resumable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory is not None:
            check_count("memory", self.memory, "pair")

    def pairs(self, n_parameters: int) -> int:
        """Return the number of pairs that the solver keeps for a given number of parameters.

        Parameters
        ----------
        n_parameters : int
            Length of θ.

        Returns
        -------
        int

        Examples
        --------
        >>> LBFGS().pairs(3_289), LBFGS().pairs(314_784), LBFGS(memory=20).pairs(314_784)
        (50, 13, 20)
        """
        if self.memory is not None:
            return self.memory
        return int(np.clip(_MEMORY_BYTES // (2 * 8 * max(n_parameters, 1)), _FEWEST_PAIRS, _MOST_PAIRS))

    def held(self, n_parameters: int) -> dict[str, int]:
        """Return the number of bytes of the pairs, by their description."""
        n_pairs = self.pairs(n_parameters)
        return {f"the {n_pairs} pairs of L-BFGS": 2 * n_pairs * 8 * n_parameters}

    @property
    def advice_on_memory(self) -> str:
        """Advice to keep fewer pairs."""
        return ", or keep fewer pairs with solver=LBFGS(memory=10)"

    def _iterate(self, run: Run) -> None:
        hessian = _InverseHessian(self.pairs(run.point.theta.size), run.point.theta.size)
        direction = self._turn(run, hessian, partial(self._first_direction, run, hessian))
        while True:
            step = 1.0
            if not hessian.n_pairs:  # the scale is unknown, so the first step has length 1 at most
                norm = float(np.linalg.norm(run.point.gradient))
                if norm == 0:  # also if the gradient is so small that its square underflows
                    run.stop_as_stalled()
                step = min(1.0, 1 / norm)
            before, point = run.point, search_line(run, direction, step)
            if point is not None:
                run.accept(point)
                s, y = point.theta - before.theta, point.gradient - before.gradient
                direction = self._turn(run, hessian, partial(hessian.multiply_next, s, y, point.gradient))
            elif hessian.n_pairs:
                direction = self._turn(run, hessian, partial(hessian.start_anew, run.point.gradient))
            else:
                run.stop_as_stalled()

    @staticmethod
    def _first_direction(run: Run, hessian: _InverseHessian) -> FloatArray:
        """Return −d for the first direction d, at the start of a run or when it is resumed."""
        return hessian.multiply(run.point.gradient) if run.resumed is None else hessian.restore(run.resumed)

    @staticmethod
    def _turn(run: Run, hessian: _InverseHessian, multiply: Callable[[], FloatArray]) -> FloatArray:
        """Return −H ∇J, or −∇J if −H ∇J does not lead downhill, and offer the state, with Ctrl-C deferred."""
        with interrupts_held():
            run.withdraw()
            with held_off():
                direction = -multiply()
                if not run.point.gradient @ direction < 0:  # rounding has spoilt the pairs
                    direction = -hessian.start_anew(run.point.gradient)
            run.offer(partial(hessian.state, direction))
        return direction


class _InverseHessian:
    """The approximation H ≈ (∇²J)⁻¹ from pairs s = θ' − θ and y = ∇J(θ') − ∇J(θ).

    S and Y are the matrices whose rows are the vectors s and y of the pairs, oldest first; R is the upper triangle of
    S Yᵀ, D its diagonal, and γ = s·y / y·y for the newest pair. Then

        H g = γ g + Sᵀ w − γ Yᵀ u,    R u = S g,    Rᵀ w = (D + γ Y Yᵀ) u − γ Y g.
    """

    def __init__(self, memory: int, size: int) -> None:
        self._S, self._Y = np.empty((memory, size)), np.empty((memory, size))
        self._SY, self._YY = np.empty((memory, memory)), np.empty((memory, memory))
        self._order: list[int] = []  # indices of the rows in use, oldest pair first
        self._Sg, self._Yg = np.empty(memory), np.empty(memory)  # products with the g that was multiplied last

    @property
    def n_pairs(self) -> int:
        return len(self._order)

    def start_anew(self, g: FloatArray) -> FloatArray:
        """Drop all pairs, and return H g, which is then equal to g."""
        self._order.clear()
        return self.multiply(g)

    def state(self, direction: FloatArray) -> RunState:
        """Return the pairs, and the direction computed from them, as a state."""
        used = slice(self.n_pairs)
        arrays: dict[str, FloatArray] = {
            "S": self._S[used],
            "Y": self._Y[used],
            "SY": self._SY[used, used],
            "YY": self._YY[used, used],
        }
        arrays |= {"Sg": self._Sg[used], "Yg": self._Yg[used], "direction": direction}
        return RunState({"order": list(self._order)}, arrays)

    def restore(self, state: RunState) -> FloatArray:
        """Move the pairs out of a state, so that they are not held twice, and return the product H g stored in it."""
        self._order = list(state.record["order"])
        used = slice(self.n_pairs)
        self._S[used], self._Y[used] = state.arrays.pop("S"), state.arrays.pop("Y")
        self._SY[used, used], self._YY[used, used] = state.arrays["SY"], state.arrays["YY"]
        self._Sg[used], self._Yg[used] = state.arrays["Sg"], state.arrays["Yg"]
        return -state.arrays["direction"]

    def multiply_next(self, s: FloatArray, y: FloatArray, g: FloatArray) -> FloatArray:
        """Add a pair, replacing the oldest one if the memory is full, and return H g for the gradient g after the step.

        y is the difference between g and the gradient that was multiplied before. So S y and Y y, which R and Y Yᵀ
        need, are differences of products S g and Y g, which H g needs anyway. This saves two of six passes over the
        pairs.
        """
        new: int | None = None
        if s @ y > np.finfo(np.float64).eps * (y @ y) > 0:  # a pair without positive curvature is left out
            new = self._order.pop(0) if self.n_pairs == len(self._S) else self.n_pairs
            self._order.append(new)
            self._S[new], self._Y[new] = s, y
        used = slice(self.n_pairs)
        Sg, Yg = self._S[used] @ g, self._Y[used] @ g
        if new is not None:
            self._SY[used, new] = Sg - self._Sg[used]
            self._YY[used, new] = self._YY[new, used] = Yg - self._Yg[used]
            self._SY[new, new], self._YY[new, new] = s @ y, y @ y
        return self._combine(g, Sg, Yg)

    def multiply(self, g: FloatArray) -> FloatArray:
        """Return the product H g."""
        used = slice(self.n_pairs)
        return self._combine(g, self._S[used] @ g, self._Y[used] @ g)

    def _combine(self, g: FloatArray, Sg: FloatArray, Yg: FloatArray) -> FloatArray:
        """Return H g, given the products of S and Y with g, and store these products."""
        used, order = slice(self.n_pairs), np.array(self._order, dtype=np.intp)
        self._Sg[used], self._Yg[used] = Sg, Yg
        if not self._order:
            return g.copy()
        pairs = np.ix_(order, order)
        R, YY = self._SY[pairs], self._YY[pairs]
        gamma = R[-1, -1] / YY[-1, -1]
        u = solve_triangular(R, Sg[order], check_finite=False)
        right = R.diagonal() * u + gamma * (YY @ u) - gamma * Yg[order]
        w = solve_triangular(R, right, trans="T", check_finite=False)
        # These are the coefficients in the order of the stored rows.
        of_s, of_y = np.empty_like(w), np.empty_like(u)
        of_s[order], of_y[order] = w, -gamma * u
        product: FloatArray = of_s @ self._S[used]
        product += of_y @ self._Y[used]
        product += gamma * g
        return product
