"""
Units that remember
===================

A recurrent network reads a sequence step by step. In this example it reads waves of different lengths. Some
waves become faster and others become slower. The network learns to tell which. A single step is not enough
for that, so the units have to remember the steps before.
"""

# %%
# The data
# --------
# Sequences of unequal length are a list of arrays.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.exceptions import ConvergenceWarning

import rhohat

draw = np.random.default_rng(0)


def wave(rises):
    """Return a wave whose frequency rises or falls, from a random phase, of a random length."""
    n_steps, slow, fast = draw.integers(30, 60), *draw.uniform((0.1, 0.5), (0.3, 0.9))
    frequency = (
        np.linspace(slow, fast, n_steps) if rises else np.linspace(fast, slow, n_steps)
    )
    return np.sin(np.cumsum(frequency) + draw.uniform(0, 2 * np.pi))[:, None]


rises = draw.integers(0, 2, 600).astype(bool)
waves = [wave(one) for one in rises]
figure, ax = plt.subplots(figsize=(7, 2.5))
for one in waves[:4]:
    ax.plot(one)
ax.set(xlabel="step", title="four waves")
plt.show()

# %%
# The fit
# -------
# A network with long short-term memory (LSTM) learns from 400 of the waves.

classifier = rhohat.RecurrentClassifier(
    layers=[rhohat.LSTM(16)],
    solver=rhohat.Adam(0.01, batch_size=50, schedule="cosine", max_gradient_norm=1.0),
    max_iter=30,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 30 epochs show enough
    classifier.fit(waves[:400], rises[:400])
accuracy = classifier.score(waves[400:], rises[400:])
print(f"correct for {accuracy:.1%} of the other 200 waves")

# %%
# What the units do
# -----------------
# The next picture shows the activations of the units while the network reads the four waves from above.

figure, ax = plt.subplots(figsize=(9, 4))
rhohat.plot_activations(classifier, waves[:4], title="activations of 16 units", ax=ax)
plt.show()

# %%
# Some units follow the wave. Others change slowly: they remember.
