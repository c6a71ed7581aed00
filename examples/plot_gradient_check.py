"""
A gradient, checked
===================

:func:`~rhohat.check_gradient` compares a gradient with central differences. How well they can agree depends on the
step ε: where it is large, the third derivative spoils the differences; where it is small, rounding does.
"""

# %%
# The sparse cost of a small autoencoder, at its initial weights.

import matplotlib.pyplot as plt
import numpy as np

import rhohat

rng = np.random.default_rng(0)
J = rhohat.SparseAutoencoder(n_components=5, sparsity=0.05).objective(rng.random((100, 16)))
theta = J.network.initial_theta(rng)
print(rhohat.check_gradient(J, theta))

# %%
# The error falls as ε² on the right, and as 1/ε on the left. A gradient that is wrong in one place shows as a line that
# does not fall.


def wrong(theta):
    """Return J with a gradient of which one component is a thousandth too large."""
    value, gradient = J(theta)
    gradient[3] *= 1.001
    return value, gradient


steps = np.logspace(-8, -1, 22)
figure, ax = plt.subplots()
for objective, label in ((J, "gradient in closed form"), (wrong, "one component off by 0.1 %")):
    ax.loglog(steps, [rhohat.check_gradient(objective, theta, step).relative_difference for step in steps], label=label)
ax.axvline(1e-4, linestyle=":", color="gray", label="ε = 1e-4, the default")
ax.set(xlabel="step ε", ylabel="relative difference")
ax.legend()

# %%
# The check says where to look:

print(rhohat.check_gradient(wrong, theta).worst_index)
plt.show()
