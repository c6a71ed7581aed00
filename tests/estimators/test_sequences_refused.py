"""What estimators of sequences refuse, in a sentence, before any work starts."""

import re

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import (
    LSTM,
    Contraction,
    Convolution,
    ConvolutionalAutoencoder,
    ConvolutionalClassifier,
    Dense,
    FeedforwardClassifier,
    KLSparsity,
    MaxPooling,
    Recurrent,
    RecurrentAutoencoder,
    RecurrentClassifier,
    SparseAutoencoder,
    StackedAutoencoder,
    as_sequences,
    open_rows,
)
from tests.estimators.sequences import (
    KINDS,
    LABELS,
    NUMBERS,
    SEQUENCES,
    STEP_LABELS,
    STEP_NUMBERS,
    autoencoder,
    classifier,
    padded,
    regressor,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The code is the same for every row:UserWarning"),
]


def changed(place, value, array=None):
    array = padded(0.5) if array is None else array
    array[place] = value
    return array


def replaced(one, sequences=SEQUENCES):
    return [*sequences[:-1], one]


def refuse(message, function, *args, **kwargs):
    with pytest.raises(ValueError, match=message):
        function(*args, **kwargs)


WRONG = {
    "a sequence without steps": (replaced(np.zeros((0, 2))), "sequence 39 has no steps; each sequence must have at le"),
    "a row of NaN": (changed(3, np.nan), "sequence 3 of X has no steps"),
    "NaN in the middle": (changed((3, 2), np.nan), "sequence 3 of X has missing numbers before its end"),
    "NaN in part of a step": (changed((3, 6, 1), np.nan), "sequence 3 of X has missing numbers before its end"),
    "NaN in another part": (changed((3, 6, 0), np.nan), "sequence 3 of X has missing numbers before its end"),
    "NaN in a list": (replaced(np.array([[1, 2], [np.nan, np.nan], [3, 4]])), "sequence 39 of X has missing numbers"),
    "infinity": (changed((3, 2, 1), np.inf), "infinity.* first infinite number is in row 3, column 5"),
    "infinity among missing steps": (changed((1, 6, 1), -np.inf, padded()), "infinity.* in row 1, column 13"),
    "other channels": (replaced(np.zeros((3, 3))), "same number of channels; sequence 0 has 2, but sequence 39 has 3"),
    "no channels": (replaced(np.zeros((3, 0))), "sequence 39 has no channels"),
    "channels that differ within": (replaced([[1, 2], [3]]), "its steps have different numbers of channels"),
    "strings": ([["a", "b"], ["c"]] * 20, "sequence 0 must be an array of numbers .* dtype <U1"),
    "four axes": (padded(0.0).reshape(40, 7, 1, 2), r"X must have the shape .* got rows of the shape \(7, 1, 2\)"),
    "a list of images": (list(padded(0.0).reshape(40, 7, 1, 2)), r"got one of the shape \(7, 1, 2\)"),
    "a single axis": (padded(0.0)[:, 0, 0], "Expected 2D array, got 1D array"),
    "nothing": ([], "there must be at least one sequence; got none"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("kind", KINDS)
def test_sequences_that_are_none(kind, what):
    model, targets = KINDS[kind]
    refuse(WRONG[what][1], clone(model).fit, WRONG[what][0], *targets)


@pytest.mark.parametrize("kind", ["classifier", "regressor of steps", "autoencoder"])
def test_the_same_in_files_and_in_all_methods(kind):
    model, targets = KINDS[kind]
    fitted = clone(model).fit(SEQUENCES, *targets)
    targets = [padded(0.0, STEP_NUMBERS)] if kind == "regressor of steps" else targets
    for bad, message in (
        (changed((3, 2), np.nan), "sequence 3 of .* has missing numbers before its end"),
        (changed((5, 6, 1), np.nan), "sequence 5 of .* has missing numbers before its end"),
        (changed(2, np.nan), "sequence 2 of .* has no steps"),
    ):
        refuse(message, clone(model).fit, open_rows(bad), *targets)
        for X in (bad, open_rows(bad)):
            refuse(message, fitted.predict, X)
            refuse(message, fitted.score, X, *targets)
    refuse(
        "NaN or infinity, first in row 4, column 3", clone(model).fit, open_rows(changed((4, 1, 1), np.inf)), *targets
    )
    refuse("NaN or infinity", fitted.predict, open_rows(changed((4, 1, 1), np.inf)))
    da = pytest.importorskip("dask.array")
    if kind == "autoencoder":
        lazy = fitted.reconstruct(da.from_array(changed((3, 2), np.nan), chunks=(20, 7, 2)))
        with pytest.raises(ValueError, match="has missing numbers before its end"):
            lazy.compute()


@pytest.mark.parametrize("kind", ["classifier", "regressor of steps", "autoencoder"])
def test_sequences_that_the_network_is_not_made_for(kind):
    model, targets = KINDS[kind]
    fitted = clone(model).fit(SEQUENCES, *targets)
    longer = replaced(np.zeros((9, 2)))
    for X in (longer, padded(sequences=longer, n_steps=9)):
        refuse("sequence 39 of X has more than 7 steps, for which the network is made", fitted.predict, X)
        refuse("fit anew with input_shape", clone(fitted).set_params(input_shape=(7, 2)).fit, X, *targets)
    for X in ([np.zeros((4, 3))], np.zeros((2, 7, 3)), np.zeros((2, 3, 3))):
        refuse("each step of a sequence of X has 3 channels, but the network is for steps with 2", fitted.predict, X)
    refuse(
        r"shape \(2, 7\), but the rows of the fit had the shape \(7, 2\)",
        fitted.predict,
        open_rows(np.zeros((3, 2, 7))),
    )
    refuse("X has 18 features, but Recurrent.* is expecting 14", fitted.predict, open_rows(np.zeros((3, 9, 2))))
    refuse("X has 9 features, but Recurrent.* is expecting 14", fitted.predict, np.zeros((3, 9)))
    refuse(
        "more than 7 steps", clone(fitted).set_params(warm_start=True).fit(SEQUENCES, *targets).fit, longer, *targets
    )
    for shape, message in (
        ((7, 2, 1), r"each step .* but|input_shape of sequences must be \(steps, channels\); got \(7, 2, 1\)"),
        ((14,), "has 2 channels, but the network is for steps with 1 channel"),
        ((0, 2), "input_shape must be"),
        ((7, 3), "has 2 channels, but the network is for steps with 3 channels"),
    ):
        refuse(message, clone(model).set_params(input_shape=shape).fit, SEQUENCES, *targets)
    refuse(
        r"input_shape=\(5, 3\) means 15 numbers",
        clone(model).set_params(input_shape=(5, 3)).fit,
        padded().reshape(40, 14),
        *targets,
    )


def test_images_of_another_shape_are_not_taken_for_those_of_the_fit():
    images = np.random.default_rng(0).random((20, 6, 4))
    fitted = ConvolutionalClassifier(layers=[Convolution(2, 2)], max_iter=2, random_state=0).fit(images, LABELS[:20])
    for other in (images.reshape(20, 4, 6), images.reshape(20, 3, 8, 1), open_rows(images.reshape(20, 4, 6))):
        refuse(r"but the rows of the fit had the shape \(6, 4, 1\)", fitted.predict, other)
    assert fitted.predict(images[..., None]).shape == (20,)


@pytest.mark.parametrize(
    "model",
    [FeedforwardClassifier(), SparseAutoencoder(), StackedAutoencoder()],
    ids=lambda model: type(model).__name__,
)
def test_estimators_without_layers_refuse_sequences_of_unequal_length(model):
    refuse(
        "X is a list of .* two-dimensional arrays, .* If they are sequences, use an estimator with recurrent layers",
        model.fit,
        SEQUENCES,
        LABELS,
    )
    refuse(
        "must all have the same length; got rows of 1 and of 7. For sequences .* recurrent",
        model.fit,
        [one[:, 0] for one in SEQUENCES],
        LABELS,
    )
    refuse("dim 3", model.fit, padded(), LABELS)
    refuse("NaN", model.fit, padded().reshape(40, 14), LABELS)


@pytest.mark.parametrize("model", [ConvolutionalClassifier, ConvolutionalAutoencoder, RecurrentClassifier])
@pytest.mark.parametrize("first", [Convolution(2, 1), Dense(3)])
def test_a_first_layer_that_is_not_recurrent_refuses_sequences_of_unequal_length(model, first):
    refuse(
        r"same shape; got rows of the shapes \(1, 2\) and \(2, 2\). Sequences .* LSTM",
        model(layers=[first]).fit,
        SEQUENCES,
        LABELS,
    )
    refuse("NaN", model(layers=[first]).fit, padded(), LABELS)


@pytest.mark.parametrize(
    "layers",
    [
        [LSTM(3, return_sequences=True), Dense(3)],
        [LSTM(3, return_sequences=True), MaxPooling(2), Dense(3)],
        [Dense(3, per_step=True)],
        [Dense(3, per_step=True), Convolution(2, 1), LSTM(3)],
    ],
)
def test_layers_that_need_all_steps_refuse_missing_ones(layers):
    message = "X has sequences of unequal length, but a layer of this network needs all steps"
    for X in (SEQUENCES, padded(), open_rows(padded())):
        refuse(message, classifier(layers=layers).fit, X, LABELS)
    fitted = classifier(layers=layers).fit(padded(0.0), LABELS)
    refuse(message, fitted.predict, SEQUENCES)
    refuse("contains NaN", fitted.predict, open_rows(padded()))


def test_layers_that_cannot_follow():
    refuse(
        r"layer 1 cannot be LSTM\(.*as its input has the shape \(3,\): LSTM needs sequences .* return all steps",
        classifier(layers=[LSTM(3, return_sequences=False), LSTM(3)]).fit,
        SEQUENCES,
        LABELS,
    )
    refuse(
        r"layer 1 cannot be LSTM\(.*its input has the shape \(2,\)",
        classifier(layers=[Dense(2), LSTM(3)]).fit,
        padded(0.0),
        LABELS,
    )
    refuse(
        "n_units of LSTM must be an integer of at least 1; got 0", classifier(layers=[LSTM(0)]).fit, SEQUENCES, LABELS
    )
    refuse(
        "cannot use the activation 'softmax'",
        classifier(layers=[Recurrent(3, activation="softmax")]).fit,
        SEQUENCES,
        LABELS,
    )
    refuse("layers must be a sequence of layers", classifier(layers=[LSTM]).fit, SEQUENCES, LABELS)
    refuse("layers must have at least one layer", RecurrentAutoencoder(layers=[]).fit, padded(0.0))
    refuse("must not be recurrent; use RecurrentAutoencoder", ConvolutionalAutoencoder(layers=[LSTM(3)]).fit, SEQUENCES)
    for layers in ([LSTM(3), Dense(3)], [LSTM(3, return_sequences=False)]):
        for model, y in ((classifier, STEP_LABELS), (regressor, STEP_NUMBERS)):
            refuse(
                r"per_step=True needs layers that return all steps, but the last of them has the output \(3,\)",
                model(layers=layers, per_step=True).fit,
                SEQUENCES,
                y,
            )
    refuse("is truncated", classifier(layers=[LSTM(3, truncate=2)]).fit, SEQUENCES, LABELS)
    refuse("from_weights", RecurrentClassifier.from_weights, [np.ones((4, 2))], [np.ones(2)])


def test_penalties_and_outputs_that_do_not_fit():
    relu = [Recurrent(3, activation="relu")]
    refuse("KL sparsity needs hidden units with bounded", autoencoder(layers=relu, sparsity_weight=0.1).fit, SEQUENCES)
    refuse(
        "KL sparsity needs hidden units with bounded",
        classifier(layers=relu, penalties=KLSparsity(0.1, 0.1)).fit,
        SEQUENCES,
        LABELS,
    )
    refuse(
        "output_activation='sigmoid' only reaches the range", autoencoder(output_activation="sigmoid").fit, SEQUENCES
    )
    refuse("cannot use the activation 'softmax'", autoencoder(output_activation="softmax").fit, np.abs(padded(0.0)) / 9)
    notes = regressor(per_step=True, output_activation="sigmoid", loss="binary_cross_entropy")
    refuse(r"binary_cross_entropy needs targets in \[0, 1\]", notes.fit, SEQUENCES, STEP_NUMBERS)
    refuse(
        "H must have 3 columns, one for each unit of the code; got 5",
        autoencoder().fit(SEQUENCES).inverse_transform,
        np.zeros((2, 5)),
    )
    refuse("H contains NaN", autoencoder().fit(SEQUENCES).inverse_transform, np.full((2, 3), np.nan))
    steps = autoencoder(layers=[Recurrent(3, return_sequences=True)]).fit(SEQUENCES)
    codes = steps.transform(SEQUENCES)
    codes[1, 4] = np.nan
    refuse("sequence 1 of H has missing numbers before its end", steps.inverse_transform, codes)
    assert Contraction(0.1).weight == 0.1


def cut(entries):
    return replaced(entries[-1][:-1], entries)


def grown(entries):
    return replaced(np.concatenate([entries[-1], entries[-1][:1]]), entries)


def test_labels_of_steps_that_do_not_fit():
    fit = classifier(per_step=True).fit
    fitted = classifier(per_step=True).fit(SEQUENCES, STEP_LABELS)
    for wrong in (cut(STEP_LABELS), grown(STEP_LABELS)):
        for X in (SEQUENCES, open_rows(padded())):
            refuse(
                r"y must have an entry for each step: sequence 39 has 5 steps, but y\[39\] has the shape \([46],\)",
                fit,
                X,
                wrong,
            )
            refuse("must have an entry for each step", fitted.score, X, wrong)
    refuse(r"sequence 0 has 3 steps, but y\[0\] has the shape \(\)", fit, SEQUENCES, LABELS)
    refuse(r"but y\[0\] has the shape \(7, 2\)", fit, padded(0.0), padded(0.0))
    refuse(r"sequence 0 has 7 steps, but y\[0\] has the shape \(4,\)", fit, padded(0.0), np.ones((40, 4), int))
    refuse(r"sequence 0 has 7 steps, but y\[0\] has the shape \(9,\)", fit, padded(0.0), np.ones((40, 9), int))
    refuse("y must have an entry for each of the 40 rows of X; got 39", fit, SEQUENCES, STEP_LABELS[:-1])
    refuse("the target y is None", fit, SEQUENCES, None)
    refuse(
        "class labels: .* for continuous numbers use RecurrentRegressor",
        fit,
        SEQUENCES,
        [one[:, 0] for one in SEQUENCES],
    )
    refuse("has only one class", fit, SEQUENCES, [np.zeros(len(one), int) for one in SEQUENCES])
    refuse("NaN", fit, padded(0.0), np.full((40, 7), np.nan))
    refuse("labels of one kind", fit, SEQUENCES, replaced(np.zeros(5, int), STEP_LABELS))
    refuse("y must be an array in memory", fit, SEQUENCES, open_rows(padded(0.0)[:, :, 0]))
    for y in (STEP_LABELS, np.ones((40, 7), int), padded(0.0)):
        refuse(
            "y must have one label for each sequence; if each step has its own, set per_step=True",
            classifier().fit,
            SEQUENCES,
            y,
        )


def test_numbers_of_steps_that_do_not_fit():
    fit = regressor(per_step=True).fit
    fitted = regressor(per_step=True).fit(SEQUENCES, STEP_NUMBERS)
    for wrong in (cut(STEP_NUMBERS), grown(STEP_NUMBERS)):
        for X in (SEQUENCES, open_rows(padded())):
            refuse(r"sequence 39 has 5 steps, but y\[39\] has the shape \([46], 2\)", fit, X, wrong)
            refuse("must have an entry for each step", fitted.score, X, wrong)
    refuse(r"sequence 0 has 3 steps, but y\[0\] has the shape \(\)", fit, SEQUENCES, NUMBERS)
    refuse(r"but y\[0\] has the shape \(4, 2\)", fit, padded(0.0), padded(0.0)[:, :4])
    refuse("y must have an entry for each of the 40 rows of X; got 39", fit, SEQUENCES, STEP_NUMBERS[:-1])
    refuse("the target y is None", fit, SEQUENCES, None)
    refuse("y contains infinite numbers", fit, SEQUENCES, replaced(np.full((5, 2), np.inf), STEP_NUMBERS))
    refuse("every number is NaN", fit, SEQUENCES, [np.full_like(one, np.nan) for one in STEP_NUMBERS])
    refuse(
        r"y\[39\] has a step in which some targets are NaN and others are not",
        fit,
        SEQUENCES,
        replaced(np.array([[1, np.nan]] * 5), STEP_NUMBERS),
    )
    refuse(
        "y must hold the targets of each step as numbers: .* sequence 0 has 2, but sequence 39 has 3",
        fit,
        SEQUENCES,
        replaced(np.ones((5, 3)), STEP_NUMBERS),
    )
    refuse("y must hold the targets of each step as numbers: .*dtype <U", fit, SEQUENCES, STEP_LABELS)
    refuse("y must have 2 targets for each step; got 1", fitted.score, SEQUENCES, [one[:, 0] for one in STEP_NUMBERS])
    for y in (STEP_NUMBERS, [one[:, 0] for one in STEP_NUMBERS], padded(0.0)):
        refuse("for each sequence; if each step has its own, set per_step=True", regressor().fit, SEQUENCES, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((padded(), [8] * 40), "lengths must be at least 1, and at most the 7 steps .* sequence 0 has the length 8"),
        ((padded(), [7, 0] * 20), "sequence 1 has the length 0"),
        ((padded(), [-1] * 40), "sequence 0 has the length -1"),
        ((padded(), [3] * 39), r"one for each of the 40 sequences; got an array of the shape \(39,\)"),
        ((padded(), [3.0] * 40), "lengths must be integers.* dtype float64"),
        ((padded(), np.ones((40, 1), int)), r"got an array of the shape \(40, 1\)"),
        (([],), "there must be at least one sequence; got none"),
        ((3.0,), "sequences must be a list of arrays, or an array; got 3.0"),
        ((None,), "sequences must be a list of arrays, or an array; got None"),
        (("abc",), "sequences must be a list of arrays, or an array; got 'abc'"),
        (([np.zeros((2, 1)), np.zeros(0)],), "sequence 1 has no steps"),
        ((["ab", "c"],), r"sequence 0 must be an array of numbers .* shape \(\) and dtype <U2"),
        (([[1j, 2j]],), "dtype complex128"),
    ],
)
def test_as_sequences_refuses(arguments, message):
    refuse(message, as_sequences, *arguments)


def test_as_sequences_refuses_an_impossible_number_of_steps():
    for n_steps in (0, -3, 8.0, "8"):
        refuse(
            f"n_steps must be an integer of at least 1; got {re.escape(repr(n_steps))}",
            as_sequences,
            SEQUENCES,
            n_steps=n_steps,
        )
    refuse("sequence 1 has 7 steps, which is more than n_steps=5", as_sequences, SEQUENCES, n_steps=5)
    assert as_sequences(padded(), [2] * 40, n_steps=3).shape == (40, 3, 2)


def test_a_file_of_sequences_is_read_without_a_warning_if_its_axes_are_said(tmp_path):
    np.save(tmp_path / "rows.npy", padded())
    with pytest.warns(UserWarning, match="if they are sequences, pass row_axes=1"):
        open_rows(tmp_path / "rows.npy").close()
    open_rows(tmp_path / "rows.npy", row_axes=1).close()
