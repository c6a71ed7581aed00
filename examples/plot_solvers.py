"""
A comparison of solvers
=======================

Four solvers minimise the same cost from the same start. All of them use all rows in every step. How low does
the cost get with 400 evaluations of J and its gradient?
"""

# %%
# The cost
# --------
# ``autoencoder.objective(X)`` is a function that takes θ and returns J and its gradient ∇J. A solver
# minimises any function of this kind. Here we wrap J, to count how often it is evaluated. Newton's method
# also needs products of the Hessian with a vector. Each takes about as long as two evaluations, and is
# counted as two.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import rhohat

X = load_digits().data / 16
J = rhohat.SparseAutoencoder(
    n_components=25, sparsity=0.1, sparsity_weight=1.0
).objective(X)
start = J.network.initial_theta(np.random.default_rng(0))
BUDGET = 400  # evaluations


class Counted:
    """J, and the number of evaluations so far."""

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
        """Keep J after an iteration; return True to end the run."""
        self.curve.append((self.spent, state.value))
        return self.spent >= BUDGET


# %%
# The result
# ----------

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
ax.set(
    xlabel="evaluations of J and its gradient",
    ylabel="J",
    xlim=(0, BUDGET),
    yscale="log",
)
ax.legend()
plt.show()

# %%
# The curves show how J falls with the number of evaluations, for each solver.
