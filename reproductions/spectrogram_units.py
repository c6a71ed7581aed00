"""
Units that hear in time
=======================

A recurrent autoencoder listens to noisy spectrograms, one frame after the other, and has to write them again without
the noise, from a sparse code of 60 units for each frame. One should see units that go on as long as a tone does, units
that answer to its beginning, and units that hand a gliding pitch on to one another. The noise is what they need a
memory for: a frame alone does not tell what was there.

The sounds are synthesised, as no recordings come with the project: tones of a flute, a clarinet, a plucked string and a
bell, chords of plucked strings, and tones that glide up or down by an octave. Frames are 20 ms apart, and have the
logarithm of the power in 36 bands.

Whether the code has a memory is measured with gliding tones. A linear classifier sees the code in the middle of a glide
and is to say whether the pitch rises or falls. Glides up and down pass the same pitches, so a single frame does not
tell; an autoencoder of single frames with as many units, the same noise and the same ρ is measured beside. The
classifier learns from other clips than the autoencoders, and is tested on others again. The settings were chosen with
other seeds.

Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, Stanford University. Srivastava, N., Mansimov, E. and
Salakhutdinov, R. (2015). Unsupervised learning of video representations using LSTMs. ICML, 843-852.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import spectrogram

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction

RATE, HOP, WINDOW = 8_000, 160, 512  # samples a second, between frames, and in a frame
SEEDS_FROM = 1000  # smaller seeds were for the choice of settings
N_BANDS, N_UNITS, SPARSITY = 36, 60, 0.08
N_EVENTS, EVENT = 4, 4_000  # sounds in a clip, and samples of each
KINDS = ("flute", "clarinet", "string", "bell", "chord", "rise", "fall")
RISE, FALL = KINDS.index("rise"), KINDS.index("fall")
#: Partials of a tone: multiples of its pitch, their strengths, and seconds in which the lowest fades, if it does.
PARTIALS = {
    "flute": ((1, 2, 3), (1, 0.2, 0.05), None),
    "clarinet": ((1, 3, 5, 7, 9), (1, 0.7, 0.5, 0.3, 0.2), None),
    "string": ((1, 2, 3, 4, 5, 6), (1, 0.8, 0.6, 0.5, 0.4, 0.3), 0.15),
    "bell": ((1, 2.76, 5.4), (1, 0.8, 0.6), 0.3),
}
MAJOR = 2 ** (np.array([0, 4, 7]) / 12)


def play(kind, generator):
    """Return the samples of one sound."""
    time = np.arange(EVENT) / RATE
    pitch = 220 * 2 ** generator.uniform(0, 2)
    if kind in ("rise", "fall"):
        octaves = (time / time[-1] - 0.5) * (1 if kind == "rise" else -1)
        phase = 2 * np.pi * np.cumsum(2 * pitch * 2**octaves) / RATE
        sound = np.sin(phase)
    else:
        name = "string" if kind == "chord" else kind
        multiples, strengths, decay = PARTIALS[name]
        sound = np.zeros(EVENT)
        for tone in pitch * MAJOR if kind == "chord" else [pitch]:
            for multiple, strength in zip(multiples, strengths, strict=True):
                if tone * multiple < RATE / 2:
                    partial = np.sin(2 * np.pi * (tone * multiple * time + generator.random()))
                    sound += strength * partial * (1 if decay is None else np.exp(-time * multiple**0.5 / decay))
    edges = np.minimum(1, np.minimum(time / 0.01, (time[-1] - time) / 0.03))
    return sound * edges / np.sqrt(np.mean(sound**2)) * 10 ** generator.uniform(-0.3, 0)


def record(n_clips, generator):
    """Return clips as sequences of frames, of shape (n_clips, n_frames, bands), and the kinds of sounds in each."""
    kinds = generator.integers(0, len(KINDS), (n_clips, N_EVENTS))
    sound = np.array([np.concatenate([play(KINDS[kind], generator) for kind in clip]) for clip in kinds])
    sound += 0.01 * generator.standard_normal(sound.shape)
    return listen(sound), kinds


def listen(sound):
    """Return logarithms of the power in bands, from about 0 for silence to about 1 for the loudest."""
    frequencies, _, power = spectrogram(sound, RATE, "hann", WINDOW, WINDOW - HOP, nfft=2 * WINDOW)
    edges = np.geomspace(150, RATE / 2, N_BANDS + 2)
    start, peak, end = (edges[i : i + N_BANDS, None] for i in range(3))
    bands = np.maximum(0, np.minimum((frequencies - start) / (peak - start), (end - frequencies) / (end - peak)))
    loudness = np.log10(np.tensordot(power, bands / bands.sum(axis=1, keepdims=True), (1, 1)) + 1e-8)
    return np.float32((loudness + 8) / 6)


def middles(codes, kinds):
    """Return the codes in the middle of each glide, and which of them rise."""
    frames = ((np.arange(N_EVENTS) + 0.5) * EVENT - WINDOW / 2) / HOP
    glides = (kinds == RISE) | (kinds == FALL)
    return codes[:, frames.round().astype(int)][glides], kinds[glides] == RISE


def run(seed, fast):
    """Learn from clips without labels; then tell glides up from glides down, with others to learn from and to test."""
    generator = np.random.default_rng(SEEDS_FROM + seed)
    sizes = (150, 150, 150) if fast else (300, 300, 300)
    clips, labelled, tests = (record(n, generator) for n in sizes)
    settings = {
        "output_activation": "identity",
        "corruption": rhohat.GaussianNoise(0.4),
        "sparsity": SPARSITY,
        "weight_decay": 1e-5,
        "random_state": seed,
    }
    recurrent = rhohat.RecurrentAutoencoder(
        layers=[rhohat.Recurrent(N_UNITS, return_sequences=True, activation="sigmoid")],
        sparsity_weight=1.0,
        solver=rhohat.Adam(0.01, batch_size=20, schedule="cosine", max_gradient_norm=5.0),
        max_iter=50 if fast else 100,
        **settings,
    ).fit(clips[0])
    single = rhohat.SparseAutoencoder(
        n_components=N_UNITS, sparsity_weight=1.0 / clips[0].shape[1], max_iter=100, **settings
    ).fit(clips[0].reshape(-1, N_BANDS))
    shape = (-1, clips[0].shape[1], N_UNITS)
    representations = {
        "recurrent units": lambda X: recurrent.transform(X).reshape(shape),
        "units of single frames": lambda X: single.transform(X.reshape(-1, N_BANDS)).reshape(shape),
        "frames themselves": lambda X: X,
    }
    figures = {}
    for name, represent in representations.items():
        (X, y), (X_test, y_test) = (middles(represent(one), kinds) for one, kinds in (labelled, tests))
        scale = X.mean(axis=0), X.std(axis=0) + 1e-3
        classifier = rhohat.SoftmaxRegression(weight_decay=1e-2, tol=1e-4).fit((X - scale[0]) / scale[1], y)
        figures[f"rise told from fall, by {name}"] = classifier.score((X_test - scale[0]) / scale[1], y_test)
    codes = representations["recurrent units"](tests[0])
    figures["variance that the recurrent units explain"] = recurrent.score(tests[0])
    figures["mean activation of the recurrent units"] = codes.mean()
    return Outcome(figures, choose(tests, codes, recurrent))


def choose(tests, codes, autoencoder):
    """Return a clip with as many kinds of sounds as possible, its code, its reconstruction, and what is heard."""
    spectrograms, kinds = tests
    glides = np.isin(kinds, (RISE, FALL)).sum(axis=1) == 2
    best = np.argmax([len(set(clip)) + 2 * bool(both) for clip, both in zip(kinds, glides, strict=True)])
    again = autoencoder.reconstruct(spectrograms[best : best + 1]).reshape(spectrograms.shape[1:])
    return spectrograms[best], codes[best], again, kinds[best]


def draw(runs, path):
    """Draw a clip, its reconstruction, and under them the units that are most active in it, by when they are active."""
    clip, code, again, kinds = runs[0]
    busy = np.argsort(code.max(axis=0))[-40:]
    order = busy[np.argsort(code[:, busy].argmax(axis=0))]
    figure, axes = plt.subplots(3, 1, figsize=(10, 8), sharex=True, layout="constrained", height_ratios=(1, 1, 1.3))
    extent = (WINDOW / 2 / RATE, (WINDOW / 2 + len(clip) * HOP) / RATE)
    for ax, image, title in ((axes[0], clip, "spectrogram"), (axes[1], again, "written again from the code")):
        ax.imshow(image.T, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1, extent=(*extent, 0, N_BANDS))
        ax.set_ylabel("band")
        ax.set_title(title)
    axes[2].imshow(code[:, order].T, aspect="auto", cmap="gray_r", vmin=0, vmax=1, extent=(*extent, len(order), 0))
    axes[2].set_ylabel("unit")
    axes[2].set_title(f"activations of {len(order)} of {N_UNITS} units, in the order in which they are most active")
    axes[2].set_xlabel("time, seconds")
    for index, kind in enumerate(kinds):
        axes[0].text((index + 0.5) * EVENT / RATE, N_BANDS - 1, KINDS[kind], color="white", ha="center", va="top")
    figure.savefig(path, dpi=100)


REPRODUCTION = Reproduction(
    published="sparse features “also for audio” (CS294A notes), here in time; what is asked for was not published in"
    " this form",
    figures=[
        Figure("rise told from fall, by recurrent units", at_least=0.9, fast=0.75, form=".1%"),
        Figure("rise told from fall, by units of single frames", form=".1%"),
        Figure("rise told from fall, by frames themselves", form=".1%"),
        Figure("variance that the recurrent units explain", at_least=0.8, form=".1%"),
        Figure("mean activation of the recurrent units", at_most=0.15, form=".3f"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
