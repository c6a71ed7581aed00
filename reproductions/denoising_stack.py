"""
A stack of denoising autoencoders
=================================

Three layers of 1,000 units, each trained to restore digits, or codes of them, of which a part was masked: 10, 20 and
30 %. Then the labels tune the whole. One should see an error on the test digits about as low as the published one, that
of a support vector machine with Gaussian kernel at most, the standard to beat when these networks were new; and hours
that have become minutes.

Not all is as it was then. The units are rectified linear, not sigmoid; the digits have Gaussian noise (σ = 0.4) while
the labels tune the network, too; the upper layers restore codes in squared error; Adam takes the place of gradient
descent, in fewer epochs. This was chosen on 10,000 of the training digits, held out. Here all 60,000 train; the
tutorial kept 10,000 back to know when to stop.

Vincent, P., Larochelle, H., Lajoie, I., Bengio, Y. and Manzagol, P.-A. (2010). Stacked denoising autoencoders. JMLR 11,
3371-3408, table 3. Deep Learning Tutorials, LISA lab, University of Montreal: stacked denoising autoencoders.
"""  # noqa: D205, D400 - it begins with the title of a section

import rhohat
from reproductions._data import DIGIT_SHAPE, load_mnist
from reproductions._pictures import draw_filters
from reproductions._reproduction import Figure, Outcome, Reproduction

MASKED = (0.1, 0.2, 0.3)


def make_stack(seed, n_units, epochs, fine_tuning_epochs):
    """Return the classifier: denoising autoencoders, a softmax, and fine-tuning on digits with noise."""
    solver = rhohat.Adam(learning_rate=1e-3, batch_size=200, schedule="cosine")
    layers = [
        rhohat.DenoisingAutoencoder(
            n_components=n_units,
            activation="relu",
            loss="binary_cross_entropy" if layer == 0 else "squared_error",
            corruption=rhohat.MaskingNoise(q),
            tied_weights=True,
            solver=solver,
            max_iter=epochs,
        )
        for layer, q in enumerate(MASKED)
    ]
    return rhohat.StackedAutoencoderClassifier(
        layers,
        fine_tuning_weight_decay=0.0,
        corruption=rhohat.GaussianNoise(0.4),
        solver=solver,
        max_iter=fine_tuning_epochs,
        random_state=seed,
    )


def run(seed, fast):
    """Pre-train, fine-tune, and test."""
    X, y, X_test, y_test = load_mnist()
    n_rows = 5_000 if fast else len(X)
    stack = make_stack(seed, *((200, 4, 10) if fast else (1_000, 5, 12))).fit(X[:n_rows], y[:n_rows])
    figures = {
        "test error": 1 - stack.score(X_test, y_test),
        "test error before fine-tuning": 1 - stack.softmax_.score(stack.autoencoder_.transform(X_test), y_test),
    }
    return Outcome(figures, stack.autoencoder_.components_)


def draw(runs, path):
    """Draw the first 225 filters of the first layer."""
    draw_filters({"": runs[0][:225]}, path, DIGIT_SHAPE, size=(8, 8))


REPRODUCTION = Reproduction(
    published="1.3 % test error, in 17 hours on one core (LISA tutorial); 1.28 % (Vincent et al., 2010), an SVM 1.40 %",
    figures=[
        Figure("test error", at_most=0.014, fast=0.08, form=".2%"),
        Figure("test error before fine-tuning", form=".2%"),
    ],
    run=run,
    draw=draw,
    n_seeds=3,
)
