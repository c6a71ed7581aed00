"""
Solvers side by side
====================

One cost, one start, four solvers that see all rows: how far each gets with so many evaluations of J and its gradient.
"""

# %%
# ``autoencoder.objective(X)`` is J itself, θ → (J, ∇J), and a solver minimises any such callable: here one that counts
# what is asked of it. A Hessian-vector product, which Newton's method needs, takes about as long as two evaluations.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rhohat

X = load_digits().data / 16
J = rhohat.SparseAutoencoder(n_components=25, sparsity=0.1, sparsity_weight=1.0).objective(X)
start = J.network.initial_theta(np.random.default_rng(0))
BUDGET = 400  # evaluations


class Counted:
    """J, and what was spent on it so far, in evaluations."""

    def __init__(self):
        self.spent, self.curve = 0, []

    def __call__(self, theta):
        """Return J and its gradient."""
        self.spent += 1
        return J(theta)

    def hessian_vector_product(self, theta, v):
        """Return the product of the Hessian with v."""
        self.spent += 2
        return J.hessian_vector_product(theta, v)

    def note(self, state):
        """Keep J after an iteration; True ends the run, where the budget is spent."""
        self.curve.append((self.spent, state.value))
        return self.spent >= BUDGET


# %%
# Each minimises from the same θ.

figure, ax = plt.subplots()
for solver in (
    rhohat.LBFGS(),
    rhohat.ConjugateGradient(),
    rhohat.NewtonCG(),
    rhohat.GradientDescent(learning_rate="adaptive", momentum=0.9),
):
    counted = Counted()
    result = solver.minimize(counted, start, max_iter=BUDGET, callbacks=[counted.note])
    name = type(solver).__name__
    print(f"{name}: J = {result.value:.4f} after {counted.spent} evaluations")
    ax.plot(*np.array(counted.curve).T, label=name)
ax.set(xlabel="evaluations of J and its gradient", ylabel="J", xlim=(0, BUDGET), yscale="log")
ax.legend()
plt.show()
