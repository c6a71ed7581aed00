"""
Units that remember
===================

A recurrent network reads a sequence step by step. Here it reads waves of different lengths, some of which become faster
and some slower, and learns to tell which: a single step says nothing about that, so its units have to remember.
"""

# %%
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
    frequency = np.linspace(slow, fast, n_steps) if rises else np.linspace(fast, slow, n_steps)
    return np.sin(np.cumsum(frequency) + draw.uniform(0, 2 * np.pi))[:, None]


rises = draw.integers(0, 2, 600).astype(bool)
waves = [wave(one) for one in rises]
figure, ax = plt.subplots(figsize=(7, 2.5))
for one in waves[:4]:
    ax.plot(one)
ax.set(xlabel="step", title="four waves")
plt.show()

# %%
# A long short-term memory learns from 400 of them.

classifier = rhohat.RecurrentClassifier(
    layers=[rhohat.LSTM(16)],
    solver=rhohat.Adam(0.01, batch_size=50, schedule="cosine", max_gradient_norm=1.0),
    max_iter=30,
    random_state=0,
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 30 epochs show enough
    classifier.fit(waves[:400], rises[:400])
print(f"{classifier.score(waves[400:], rises[400:]):.1%} of the other waves are told apart")

# %%
# What its units do while it reads the four waves: some swing with the wave, others change slowly, and remember.

figure, ax = plt.subplots(figsize=(9, 4))
rhohat.plot_activations(classifier, waves[:4], title="activations of 16 units", ax=ax)
plt.show()
