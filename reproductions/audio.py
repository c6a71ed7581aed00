"""
Audio
=====

One should see what vowels are made of, in small pieces of a spectrogram: the harmonics of a voice as stripes, the
resonances of a vocal tract as bright spots, and resonances that rise or fall on the way from one vowel to the next. The
units of a sparse autoencoder that has listened to a hundred speakers tell a linear classifier which vowel is spoken,
better than the spectrogram itself does: a unit responds to a combination of frequencies, and not to each of them.

The speech is synthesised, by a source and a filter: pulses of a glottis, of a pitch that wanders, through four
resonances (formants) that glide from vowel to vowel. Formants are the averages of Peterson and Barney for ten vowels of
men, women and children; length of the vocal tract, pitch, voice, pronunciation and noise differ from speaker to speaker.
The classifier learns from few frames, one for each vowel of a few speakers, and is tested on speakers that neither it
nor the autoencoder has heard. Frames, features and the controls are standardised, and have the λ of their classifier
chosen, in the same way. The controls are principal components, and the same units before they have learned.

Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, Stanford University: "also for audio".
Lee, H., Pham, P., Largman, Y. and Ng, A. (2009). Unsupervised feature learning for audio classification using
convolutional deep belief networks. NIPS 22. Abdallah, S. A. and Plumbley, M. D. (2006). Unsupervised analysis of
polyphonic music by sparse coding. IEEE Transactions on Neural Networks 17.
Peterson, G. E. and Barney, H. L. (1952). Control methods used in a study of the vowels. Journal of the Acoustical
Society of America 24.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import spectrogram
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction

VOWELS = ("i", "ɪ", "ɛ", "æ", "ɑ", "ɔ", "ʊ", "u", "ʌ", "ɝ")
PITCH = np.array([130, 220, 265])  # Hz: men, women, children
FORMANTS = np.array(  # Hz, of each vowel: the first three formants of men, women, children; the fourth is rounded
    [
        [[270, 390, 530, 660, 730, 570, 440, 300, 640, 490], [310, 430, 610, 860, 850, 590, 470, 370, 760, 500],
         [370, 530, 690, 1010, 1030, 680, 560, 430, 850, 560]],
        [[2290, 1990, 1840, 1720, 1090, 840, 1020, 870, 1190, 1350],
         [2790, 2480, 2330, 2050, 1220, 920, 1160, 950, 1400, 1640],
         [3200, 2730, 2610, 2320, 1370, 1060, 1410, 1170, 1590, 1820]],
        [[3010, 2550, 2480, 2410, 2440, 2410, 2240, 2240, 2390, 1690],
         [3310, 3070, 2990, 2850, 2810, 2710, 2680, 2670, 2780, 1960],
         [3730, 3600, 3570, 3320, 3170, 3180, 3310, 3260, 3360, 2160]],
        [[3500] * 10, [4000] * 10, [4500] * 10],
    ]
)  # fmt: skip
BANDWIDTHS = (60, 90, 150, 200)  # Hz
RATE = 10_000  # samples a second
VOWEL, GLIDE, WINDOW, HOP = 2_000, 800, 256, 100  # samples
N_BANDS, N_FRAMES, N_UNITS = 40, 8, 128


def speak(n_speakers, generator):
    """Return what speakers say, each the ten vowels in an order of their own, (samples, speakers); and the order."""
    who = generator.integers(0, 3, n_speakers)
    order = generator.permuted(np.tile(np.arange(10), (n_speakers, 1)), axis=1).T

    def vary(deviation, *shape):
        return np.exp(deviation * generator.standard_normal((*shape, n_speakers)))

    wander = uniform_filter1d(np.repeat(vary(0.1, 10), VOWEL, axis=0), VOWEL, axis=0)
    pitch = PITCH[who] * vary(0.12) * wander * np.repeat(vary(0.01, 10 * VOWEL // HOP), HOP, axis=0)
    phase = (np.cumsum(pitch / RATE, axis=0) + generator.random(n_speakers)) % 1
    opened = phase / generator.uniform(0.4, 0.7, n_speakers)  # the glottis is open for so much of a period
    rising, falling = 0.5 - 0.5 * np.cos(np.pi * opened / 0.7), np.cos(np.pi / 2 * (opened - 0.7) / 0.3)
    flow = np.where(opened < 0.7, rising, np.where(opened < 1, falling, 0))
    sound = np.diff(flow, axis=0, prepend=0) + 0.003 * generator.standard_normal(flow.shape)
    tract = vary(0.05)
    for means, bandwidth in zip(FORMANTS, BANDWIDTHS, strict=True):
        formants = np.repeat(means[who, order] * tract * vary(0.05, 10), VOWEL, axis=0)
        sound = resonate(sound, uniform_filter1d(formants, GLIDE, axis=0), bandwidth)
    noise = 10 ** generator.uniform(-1.5, -0.5, n_speakers) * generator.standard_normal(sound.shape)
    return sound / sound.std(axis=0) + noise, order


def resonate(sound, frequency, bandwidth):
    """Return sound after a resonator of two poles, whose frequency changes from sample to sample."""
    decay = np.exp(-np.pi * bandwidth / RATE)
    feedback = 2 * decay * np.cos(2 * np.pi * frequency / RATE)
    out = np.zeros((len(sound) + 2, sound.shape[1]))
    driven = (1 - feedback + decay**2) * sound
    for n in range(len(sound)):
        out[n + 2] = driven[n] + feedback[n] * out[n + 1] - decay**2 * out[n]
    return out[2:]


def listen(sound):
    """Return log spectrograms, (speakers, times, bands): bands as wide as their frequency is high, on the mel scale."""
    frequencies, _, power = spectrogram(sound.T, RATE, "hann", WINDOW, WINDOW - HOP, nfft=2 * WINDOW)
    edges = band_edges()[:, None]
    rising, falling = (frequencies - edges[:-2]), (edges[2:] - frequencies)
    bands = np.maximum(0, np.minimum(rising / np.diff(edges, axis=0)[:-1], falling / np.diff(edges, axis=0)[1:]))
    return np.log10(np.tensordot(power, bands / bands.sum(axis=1, keepdims=True), (1, 1)))


def band_edges():
    """Return the frequencies in Hz between which the triangular bands lie, at equal steps of the mel scale."""
    low, high = 2595 * np.log10(1 + np.array([100, RATE / 2]) / 700)
    return 700 * (10 ** (np.linspace(low, high, N_BANDS + 2) / 2595) - 1)


def cut(spectrograms):
    """Return all pieces of N_FRAMES successive frames, (speakers, times, N_BANDS N_FRAMES)."""
    pieces = np.lib.stride_tricks.sliding_window_view(spectrograms, N_FRAMES, axis=1)
    return pieces.reshape(*pieces.shape[:2], N_BANDS * N_FRAMES)


def make_labelled(n_speakers, generator):
    """Return the piece from the middle of each vowel of new speakers, and which vowel it is."""
    sound, order = speak(n_speakers, generator)
    middles = np.arange(10) * VOWEL // HOP + (VOWEL - WINDOW) // (2 * HOP) - N_FRAMES // 2 + 1
    return cut(listen(sound))[:, middles].reshape(10 * n_speakers, -1), order.T.ravel()


def run(seed, fast):
    """Learn from speech without labels, then vowels of few other speakers; test on many others again."""
    generator = np.random.default_rng(seed)
    sound, _ = speak(30 if fast else 100, generator)
    unlabelled = cut(listen(sound)).reshape(-1, N_BANDS * N_FRAMES)
    low, high = unlabelled.min(), unlabelled.max()

    def scale(rows):
        return (0.1 + 0.8 * (rows - low) / (high - low)).astype(np.float32)

    autoencoder = rhohat.SparseAutoencoder(
        n_components=N_UNITS, sparsity=0.05, sparsity_weight=1.0, weight_decay=3e-4, random_state=seed
    ).set_params(max_iter=30 if fast else 150)
    untrained = rhohat.SparseAutoencoder(n_components=N_UNITS, max_iter=1, random_state=seed)
    sets = [make_labelled(n, generator) for n in (50, 50, 100 if fast else 300)]
    ways = {
        "raw frames": lambda rows: rows,
        "features": autoencoder.fit(scale(unlabelled)).transform,
        "principal components": PCA(N_UNITS, random_state=seed).fit(scale(unlabelled)).transform,
    }
    figures = {
        f"accuracy of {name}": classify([(features(scale(rows)), y) for rows, y in sets], seed)
        for name, features in ways.items()
    }
    return Outcome(figures, (sound[:, :2], autoencoder.components_))
