"""
A gradient, checked
===================

:func:`~rhohat.check_gradient` compares a gradient with central differences. How well they agree depends on
the step ε. If ε is large, the central differences are inexact because of the third derivative. If ε is small,
they are inexact because numbers are rounded.
"""

# %%
# A check
# -------
# Here we check the gradient of a sparse autoencoder's cost, at the initial weights.

import matplotlib.pyplot as plt
import numpy as np

import rhohat

rng = np.random.default_rng(0)
J = rhohat.SparseAutoencoder(n_components=5, sparsity=0.05).objective(
    rng.random((100, 16))
)
theta = J.network.initial_theta(rng)
print(rhohat.check_gradient(J, theta))

# %%
# The error at different steps
# ----------------------------
# Now we check the same gradient with different steps ε, and then a gradient that is wrong in one component.


def wrong(theta):
    """Return J with a gradient of which one component is a thousandth too large."""
    value, gradient = J(theta)
    gradient[3] *= 1.001
    return value, gradient


steps = np.logspace(-8, -1, 22)
figure, ax = plt.subplots()
for objective, label in (
    (J, "gradient in closed form"),
    (wrong, "one component off by 0.1 %"),
):
    ax.loglog(
        steps,
        [
            rhohat.check_gradient(objective, theta, step).relative_difference
            for step in steps
        ],
        label=label,
    )
ax.axvline(1e-4, linestyle=":", color="gray", label="ε = 1e-4, the default")
ax.set(xlabel="step ε", ylabel="relative difference")
ax.legend()

# %%
# The gradient in closed form is correct: towards smaller ε its error falls as ε², until rounding makes it
# rise as 1/ε. The error of the wrong gradient does not fall.

# %%
# Finding the wrong component
# ---------------------------
# The check also says which component differs most:

print(rhohat.check_gradient(wrong, theta).worst_index)
plt.show()
