"""
Audio
=====

One should see what vowels are made of, in small pieces of a spectrogram: the harmonics of a voice as stripes, the
resonances of a vocal tract as bright spots, and here and there one that rises or falls on the way from one vowel to the
next. The units of a sparse autoencoder that has listened to 100 speakers tell a linear classifier which vowel is
spoken, better than the spectrogram does: each responds to several frequencies at once.

The speech is synthesised, by a source and a filter: puffs of air from a glottis, at a pitch that wanders, pass four
resonators (formants) that glide from vowel to vowel. The formants are the averages of Peterson and Barney for men,
women and children; pitch, voice, length of the vocal tract, pronunciation and noise differ from speaker to speaker.

The classifier learns from the middle of each vowel of 100 speakers, eight frames at a time. The scale of its input and
its λ are chosen on 100 other speakers, and it is tested on 300 more; the autoencoder has heard none of them, nor were
its settings chosen with any. All that is compared is treated in this way, principal components and random units too.

Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, Stanford University.
Lee, H., Pham, P., Largman, Y. and Ng, A. (2009). Unsupervised feature learning for audio classification using
convolutional deep belief networks. NIPS 22.
Peterson, G. E. and Barney, H. L. (1952). Control methods used in a study of the vowels. Journal of the Acoustical
Society of America 24, 175-184.
"""  # noqa: D205, D400 - it begins with the title of a section

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import spectrogram
from scipy.special import expit
from sklearn.decomposition import PCA

import rhohat
from reproductions._reproduction import Figure, Outcome, Reproduction

VOWELS = ("i", "ɪ", "ɛ", "æ", "ɑ", "ɔ", "ʊ", "u", "ʌ", "ɝ")
MAN, CHILD = 0, 2
PITCH = np.array([130, 220, 265])  # Hz: of men, women, children
FORMANTS = np.array(  # Hz: of men, women, children for each vowel; the fourth is rounded, and the same for all
    [[[270, 390, 530, 660, 730, 570, 440, 300, 640, 490],
      [310, 430, 610, 860, 850, 590, 470, 370, 760, 500],
      [370, 530, 690, 1010, 1030, 680, 560, 430, 850, 560]],
     [[2290, 1990, 1840, 1720, 1090, 840, 1020, 870, 1190, 1350],
      [2790, 2480, 2330, 2050, 1220, 920, 1160, 950, 1400, 1640],
      [3200, 2730, 2610, 2320, 1370, 1060, 1410, 1170, 1590, 1820]],
     [[3010, 2550, 2480, 2410, 2440, 2410, 2240, 2240, 2390, 1690],
      [3310, 3070, 2990, 2850, 2810, 2710, 2680, 2670, 2780, 1960],
      [3730, 3600, 3570, 3320, 3170, 3180, 3310, 3260, 3360, 2160]],
     [[3500] * 10, [4000] * 10, [4500] * 10]]
)  # fmt: skip
BANDWIDTHS = (60, 90, 150, 200)  # Hz: of the four formants
RATE = 10_000  # samples a second
VOWEL, GLIDE, WINDOW, HOP = 2_000, 800, 256, 100  # samples
N_BANDS, N_FRAMES, N_UNITS = 40, 8, 128


def speak(n_speakers, generator):
    """Return samples (time, speakers) of ten vowels, in which order each speaker says them, and who they are."""
    who = generator.integers(0, 3, n_speakers)
    order = generator.permuted(np.tile(np.arange(10), (n_speakers, 1)), axis=1).T

    def vary(deviation, *shape):
        return np.exp(deviation * generator.standard_normal((*shape, n_speakers)))

    wander = uniform_filter1d(np.repeat(vary(0.1, 10), VOWEL, axis=0), VOWEL, axis=0)
    jitter = np.repeat(vary(0.01, 10 * VOWEL // HOP), HOP, axis=0)
    phase = (np.cumsum(PITCH[who] * vary(0.12) * wander * jitter / RATE, axis=0) + generator.random(n_speakers)) % 1
    phase /= generator.uniform(0.4, 0.7, n_speakers)  # the glottis is open until 1: Rosenberg's pulse
    opening, closing = 0.5 - 0.5 * np.cos(np.pi * phase / 0.7), np.cos(np.pi / 2 * (phase - 0.7) / 0.3)
    flow = np.where(phase < 0.7, opening, np.where(phase < 1, closing, 0))
    sound = np.diff(flow, axis=0, prepend=0) + 0.003 * generator.standard_normal(flow.shape)  # lips radiate changes
    tract = vary(0.05)
    for means, bandwidth in zip(FORMANTS, BANDWIDTHS, strict=True):
        steps = np.repeat(means[who, order] * tract * vary(0.05, 10), VOWEL, axis=0)
        sound = resonate(sound, uniform_filter1d(steps, GLIDE, axis=0), bandwidth)
    noise = 10 ** generator.uniform(-1.5, -0.5, n_speakers) * generator.standard_normal(sound.shape)
    return sound / sound.std(axis=0) + noise, order, who


def resonate(sound, frequency, bandwidth):
    """Return what a resonator of two poles makes of sound, its frequency in Hz being given for each sample."""
    decay = np.exp(-np.pi * bandwidth / RATE)
    feedback = 2 * decay * np.cos(2 * np.pi * frequency / RATE)
    drive = (1 - feedback + decay**2) * sound
    out = np.zeros((len(sound) + 2, sound.shape[1]))
    for n in range(len(sound)):
        out[n + 2] = drive[n] + feedback[n] * out[n + 1] - decay**2 * out[n]
    return out[2:]


def band_edges():
    """Return the frequencies in Hz at which triangular bands begin, peak and end, at equal steps on the mel scale."""
    mel = np.linspace(*np.log1p(np.array([100, RATE / 2]) / 700), N_BANDS + 2)
    return 700 * np.expm1(mel)


def listen(sound):
    """Return logarithms of power, of shape (speakers, time, bands)."""
    frequencies, _, power = spectrogram(sound.T, RATE, "hann", WINDOW, WINDOW - HOP, nfft=2 * WINDOW)
    start, peak, end = (band_edges()[i : i + N_BANDS, None] for i in range(3))
    bands = np.maximum(0, np.minimum((frequencies - start) / (peak - start), (end - frequencies) / (end - peak)))
    return np.log10(np.tensordot(power, bands / bands.sum(axis=1, keepdims=True), (1, 1)))


def cut(spectrograms):
    """Return the pieces of successive frames that begin at each time, of shape (speakers, time, bands × frames)."""
    pieces = np.lib.stride_tricks.sliding_window_view(spectrograms, N_FRAMES, axis=1)
    return pieces.reshape(*pieces.shape[:2], N_BANDS * N_FRAMES)


def middles(n_speakers, generator):
    """Return the piece in the middle of each vowel that new speakers say, and which vowel it is."""
    sound, order, _ = speak(n_speakers, generator)
    begin = (np.arange(0.5, 10) * VOWEL - WINDOW / 2) / HOP - (N_FRAMES - 1) / 2
    return cut(listen(sound))[:, begin.round().astype(int)].reshape(-1, N_BANDS * N_FRAMES), order.T.ravel()


def run(seed, fast):
    """Learn from speech without labels, then vowels from few other speakers; test on many others again."""
    generator = np.random.default_rng(1000 + seed)  # other speakers than the settings were chosen with
    sound, order, who = speak(30 if fast else 100, generator)
    spectrograms = listen(sound)
    unlabelled = cut(spectrograms)[:, ::2].reshape(-1, N_BANDS * N_FRAMES)  # every second, as they overlap
    sets = [middles(n_speakers, generator) for n_speakers in ((50, 50, 60) if fast else (100, 100, 300))]
    low, high = unlabelled.min(), unlabelled.max()
    unlabelled, *frames = (
        np.float32(0.1 + 0.8 * (X - low) / (high - low)) for X in (unlabelled, *(X for X, _ in sets))
    )
    autoencoder = rhohat.SparseAutoencoder(
        n_components=N_UNITS,
        sparsity=0.05,
        sparsity_weight=1.0,
        weight_decay=3e-4,
        max_iter=40 if fast else 100,
        random_state=seed,
    ).fit(unlabelled)
    pca = PCA(N_UNITS, svd_solver="randomized", random_state=seed).fit(unlabelled)
    projection = generator.standard_normal((N_BANDS * N_FRAMES, N_UNITS))
    mean, deviation = (statistic(unlabelled @ projection, axis=0) for statistic in (np.mean, np.std))
    representations = {
        "raw frames": lambda X: X,
        "learned features": autoencoder.transform,
        f"{N_UNITS} principal components": pca.transform,
        f"{N_UNITS} random sigmoid units": lambda X: expit(2 * (X @ projection - mean) / deviation - 2),
    }
    figures = {
        f"accuracy on {name}": classify([represent(X) for X in frames], [y for _, y in sets], seed)
        for name, represent in representations.items()
    }
    figures["gain over raw frames"] = figures["accuracy on learned features"] - figures["accuracy on raw frames"]
    shown = [(spectrograms[i], order[:, i]) for i in (list(who).index(MAN), list(who).index(CHILD))]
    return Outcome(figures, (shown, autoencoder.components_))


def classify(rows, labels, seed):
    """Return the accuracy of softmax regression on the third set, fitted to the first, chosen on the second."""
    mean, deviation = rows[0].mean(axis=0), rows[0].std(axis=0)
    best = (-1.0, np.nan)
    for scale in (deviation, np.sqrt(np.mean(deviation**2))):  # of each column, or one of all
        train, held_out, test = ((X - mean) / scale for X in rows)
        for weight_decay in (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1):
            classifier = rhohat.SoftmaxRegression(weight_decay=weight_decay, tol=1e-4, random_state=seed)
            classifier.fit(train, labels[0])
            accuracies = classifier.score(held_out, labels[1]), classifier.score(test, labels[2])
            best = max(best, accuracies, key=lambda pair: pair[0])
    return best[1]


def draw(runs, path):
    """Draw the spectrograms of a man and of a child, and what the units look for."""
    voices, filters = runs[0]
    figure = plt.figure(figsize=(11, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.15))
    ticks = np.array([200, 500, 1000, 2000, 4000])
    for row, ((spectrum, order), name) in enumerate(zip(voices, ("a man", "a child"), strict=True)):
        ax = figure.add_subplot(grid[row, 0])
        begin, end = ((WINDOW - HOP) / 2 + np.array([0, len(spectrum)]) * HOP) / RATE
        ax.imshow(spectrum.T, origin="lower", aspect="auto", cmap="magma", extent=(begin, end, -0.5, N_BANDS - 0.5))
        ax.set_yticks(np.interp(ticks, band_edges()[1:-1], np.arange(N_BANDS)), ticks)
        ax.set_ylabel("frequency, Hz")
        ax.set_title(f"speech of {name}")
        for i, vowel in enumerate(order):
            ax.text((i + 0.5) * VOWEL / RATE, N_BANDS - 1.5, VOWELS[vowel], color="white", ha="center", va="top")
    ax.set_xlabel("time, seconds")
    images = filters.reshape(-1, N_BANDS, N_FRAMES)[:, ::-1]  # the lowest band at the bottom
    chosen = np.argsort(np.abs(images).max(axis=2).argmax(axis=1))[:: N_UNITS // 64]  # from high to low frequencies
    ax = figure.add_subplot(grid[:, 1])
    rhohat.plot_filters(images[chosen].reshape(len(chosen), -1), (N_BANDS, N_FRAMES), columns=16, ax=ax)
    ax.set_aspect("auto")
    ax.set_title(f"what {len(chosen)} units look for: {N_FRAMES * HOP / RATE:.2f} s of 0.1 to 5 kHz, low at the bottom")
    figure.savefig(path, dpi=100)
    plt.close(figure)


REPRODUCTION = Reproduction(
    published="sparse features “also for audio” (CS294A notes); better than the spectrogram for speech (Lee et al.)",
    figures=[
        Figure("gain over raw frames", at_least=0.03, fast=0.02, form=".2%"),
        Figure("accuracy on learned features", form=".2%"),
        Figure("accuracy on raw frames", form=".2%"),
        Figure(f"accuracy on {N_UNITS} principal components", form=".2%"),
        Figure(f"accuracy on {N_UNITS} random sigmoid units", form=".2%"),
    ],
    run=run,
    draw=draw,
)
