"""Functions to minimise, whose minimum is known by other means."""

import numpy as np
from scipy.optimize import rosen, rosen_der, rosen_hess_prod


class Quadratic:
    """½ θᵀAθ − bᵀθ in two named terms, counting its evaluations and Hessian products."""

    def __init__(self, seed=0, size=6):
        rng = np.random.default_rng(seed)
        root = rng.normal(size=(size, size))
        self.A, self.b = root @ root.T / size + np.eye(size), rng.normal(size=size)
        self.minimum = np.linalg.solve(self.A, self.b)
        self.start = rng.normal(size=size)
        self.calls = self.products = 0

    def __call__(self, theta):
        self.calls += 1
        terms = {"curved": 0.5 * theta @ self.A @ theta, "straight": -self.b @ theta}
        return sum(terms.values()), self.A @ theta - self.b, terms

    def hessian_vector_product(self, theta, v):
        self.products += 1
        return self.A @ v


class Quartic:
    """¼ Σ (θ − 1)⁴ in two named terms: no solver reaches the minimum in a few iterations, as its Hessian is 0."""

    start = np.linspace(-0.5, 2.2, 6)

    def __init__(self):
        self.calls = 0

    def __call__(self, theta):
        self.calls += 1
        quarters = (theta - 1) ** 4 / 4
        terms = {"left": float(quarters[:3].sum()), "right": float(quarters[3:].sum())}
        return sum(terms.values()), (theta - 1) ** 3, terms

    def hessian_vector_product(self, theta, v):
        return 3 * (theta - 1) ** 2 * v


class Rosenbrock:
    """Not convex: it has negative curvature at many points on the way to its minimum, where every θ is 1."""

    start = np.tile([-1.2, 1.0], 10)

    def __call__(self, theta):
        return rosen(theta), rosen_der(theta)

    def hessian_vector_product(self, theta, v):
        return rosen_hess_prod(theta, v)


class LogBarrier:
    """Σ θ − log θ, not finite where any θ ≤ 0; its minimum is 1."""

    def __init__(self):
        self.refused = 0

    def __call__(self, theta):
        if np.any(theta <= 0):
            self.refused += 1
            return np.nan, np.full_like(theta, np.nan)
        return float(np.sum(theta - np.log(theta))), 1 - 1 / theta

    def hessian_vector_product(self, theta, v):
        return v / theta**2


class LeastSquares:
    """½ mean (Xθ − y)² over rows, in shuffled mini-batches, with more rows held out."""

    def __init__(self, n_samples=50, noise=1e-3):
        rng = np.random.default_rng(0)
        self.n_samples = n_samples
        self.X = rng.normal(size=(n_samples, 5))
        self.y = self.X @ rng.normal(size=5) + noise * rng.normal(size=n_samples)
        self.minimum = np.linalg.lstsq(self.X, self.y)[0]
        self.start = np.zeros(5)
        self.epochs = []

    def over(self, rows, theta):
        residual = self.X[rows] @ theta - self.y[rows]
        value = 0.5 * float(np.mean(residual**2))
        return value, self.X[rows].T @ residual / len(residual), {"squared_error": value}

    def __call__(self, theta):
        return self.over(slice(None), theta)

    def rows(self, epoch, batch_size):
        order = np.random.default_rng([7, epoch]).permutation(self.n_samples)
        return [order[start : start + batch_size] for start in range(0, self.n_samples, batch_size)]

    def batches(self, epoch, batch_size):
        self.epochs.append(epoch)
        for rows in self.rows(epoch, batch_size):
            yield (lambda theta, rows=rows: self.over(rows, theta)), len(rows)
