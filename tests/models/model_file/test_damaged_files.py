"""Files that are damaged or forged are refused with the reason, and nothing in them runs."""

import json

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save_file

import rhohat
from rhohat.common.exceptions import ModelFileError
from tests.models.model_file.models import fitted
from tests.models.model_file.mutations import _header_of, _sealed, _with_header, try_many


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def forge(path, edit, kind="sparse"):
    """Write the model of a kind with its description and tensors edited, and the digest right."""
    rhohat.save(fitted(kind), path)
    content = path.read_bytes()
    metadata = dict(_header_of(content)[0]["__metadata__"])
    record, arrays = json.loads(metadata["record"]), dict(load_tensors(content))
    edit(record, arrays, metadata)
    path.write_bytes(_sealed(record, arrays, metadata))


def a_kind_that_is_none(record, arrays, metadata):
    record["model"]["kind"] = "VariationalAutoencoder"


def a_part_that_is_code(record, arrays, metadata):
    record["model"]["parameters"]["solver"] = {"kind": "os.system", "settings": {"command": "true"}}


def a_newer_version(record, arrays, metadata):
    metadata["format"] = "rhohat model 2"


def a_parameter_that_is_none(record, arrays, metadata):
    record["model"]["parameters"]["n_topics"] = 5


def a_parameter_out_of_range(record, arrays, metadata):
    record["model"]["parameters"]["sparsity"] = 1.5


def no_weights(record, arrays, metadata):
    del arrays["coefs_.1"]


def other_weights(record, arrays, metadata):
    arrays["coefs_.1"] = arrays["coefs_.1"].T


def one_more_tensor(record, arrays, metadata):
    arrays["coefs_.2"] = arrays["coefs_.1"]


def weights_that_are_nan(record, arrays, metadata):
    arrays["intercepts_.0"] = arrays["intercepts_.0"] * np.nan


def weights_that_are_integers(record, arrays, metadata):
    arrays["coefs_.0"] = arrays["coefs_.0"].astype(np.int64)


def weights_of_two_precisions(record, arrays, metadata):
    arrays["coefs_.1"] = arrays["coefs_.1"].astype(np.float32)


def a_huge_layer(record, arrays, metadata):
    record["model"]["network"]["layer_sizes"][1] = 2**50


def another_architecture(record, arrays, metadata):
    record["model"]["network"]["layer_sizes"] = [6, 4, 6, 6]
    record["model"]["network"]["activations"] *= 2
    record["model"]["network"]["activations"].pop()


def too_few_names(record, arrays, metadata):
    record["model"]["feature_names"] = ["one"]


def no_curve(record, arrays, metadata):
    del arrays["loss_curve_"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            a_kind_that_is_none,
            "a model of the class 'VariationalAutoencoder', which this version of rhohat does not know",
        ),
        (a_part_that_is_code, "an object of the class 'os.system', which this version of rhohat does not know"),
        (a_newer_version, "written by a newer version of rhohat, in version 2 of the format"),
        (a_parameter_that_is_none, "SparseAutoencoder has no parameters 'n_topics'"),
        (a_parameter_out_of_range, "'sparsity' parameter of SparseAutoencoder must be"),
        (no_weights, "the file lacks the tensor coefs_.1"),
        (other_weights, r"the tensor coefs_.1 has the shape \(6, 4\), but must have \(4, 6\)"),
        (one_more_tensor, "tensors that do not belong to its model: 'coefs_.2'"),
        (weights_that_are_nan, "the tensor intercepts_.0 has numbers that are not finite"),
        (weights_that_are_integers, "the tensor coefs_.0 holds int64, but must hold float32 or float64"),
        (weights_of_two_precisions, "the tensor coefs_.1 holds float32, but must hold float64"),
        (a_huge_layer, r"must have \(6, 1125899906842624\)"),
        (another_architecture, "the file lacks the tensor|an autoencoder cannot have layers of the sizes"),
        (too_few_names, "the model has 6 columns, but names for 1"),
        (no_curve, "the file lacks the curve loss_curve_"),
    ],
)
def test_what_is_wrong_is_said(edit, message, path):
    forge(path, edit)
    with pytest.raises(ModelFileError, match=message):
        rhohat.load(path)


@pytest.mark.parametrize("shape", [[3, 2, 2], [6], [-3, -2], [2.0, 3.0], "6x1"])
def test_a_shape_of_rows_that_does_not_fit_is_refused(shape, path):
    def another_shape_of_rows(record, arrays, metadata):
        record["model"]["reading"]["row_shape"] = shape

    forge(path, another_shape_of_rows, "rows of several axes")
    with pytest.raises(ModelFileError, match=r"the model was fitted to rows of the shape|must be of type|row_shape"):
        rhohat.load(path)


def swapped_classes(record, arrays, metadata):
    record["model"]["classes"]["texts"].reverse()


def a_class_too_many(record, arrays, metadata):
    record["model"]["classes"]["texts"].append("zero")


def endless_classes(record, arrays, metadata):
    record["model"]["classes"]["texts"][0] = "a" * 3_000_000


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (swapped_classes, "not sorted"),
        (a_class_too_many, "4 classes, but output units for 3"),
        (endless_classes, "names that are too long"),
    ],
)
def test_classes_that_do_not_fit_are_refused(edit, message, path):
    forge(path, edit, "classifier")
    with pytest.raises(ModelFileError, match=message):
        rhohat.load(path)


def _of_layer(**settings):
    def edit(record, arrays, metadata):
        record["model"]["network"]["layers"][0]["settings"].update(settings)

    return edit


def _of_network(**items):
    def edit(record, arrays, metadata):
        record["model"]["network"].update(items)

    return edit


@pytest.mark.parametrize(
    "kind",
    [
        "recurrent classifier",
        "classifier of steps",
        "recurrent regressor",
        "regressor of steps",
        "recurrent autoencoder",
        "autoencoder of steps",
    ],
)
@pytest.mark.parametrize(
    "edit",
    [
        _of_layer(n_steps=6, n_channels=1),
        _of_layer(n_steps=2),
        _of_layer(n_steps=10**12),
        _of_layer(n_steps=-3),
        _of_layer(n_steps="3"),
        _of_layer(n_units=5),
        _of_layer(return_sequences="yes"),
        _of_layer(truncate=0),
        _of_layer(truncate="all"),
        _of_layer(n_gates=9),
        _of_network(row_shape=[2, 3]),
        _of_network(row_shape=[6]),
        _of_network(row_shape=[3, 2, 1]),
        _of_network(row_shape=None),
        _of_network(tied=True),
    ],
)
def test_networks_of_sequences_that_do_not_fit_are_refused(kind, edit, path):
    forge(path, edit, kind)
    with pytest.raises(ModelFileError):
        rhohat.load(path)


def a_scale_of_nothing(record, arrays, metadata):
    arrays["steps.1.scale_"] = np.zeros(())


def a_scaler_of_other_columns(record, arrays, metadata):
    record["model"]["steps"][0][1]["learned"]["n_features_in_"] = 2
    for name, shape in (("mean_", 2), ("whitening_", (2, 2)), ("dewhitening_", (2, 2)), ("training_range_", (2, 2))):
        arrays[f"steps.0.{name}"] = np.ones(shape)


def no_last_step(record, arrays, metadata):
    record["model"]["steps"][2][1] = "passthrough"
    for name in [name for name in arrays if name.startswith("steps.2.")]:
        del arrays[name]


def a_folder_to_write_into(record, arrays, metadata):
    record["model"]["steps"][2][1]["parameters"]["checkpoint"] = "/tmp/anywhere"  # noqa: S108


def a_former_parameter_in_another_place(record, arrays, metadata):
    record["model"]["steps"][1][1]["parameters"]["checkpoint_every"] = "60 s"


def something_else(record, arrays, metadata):
    record["model"]["steps"][2][1]["padding"] = [[]] * 1000


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (a_scale_of_nothing, "PatchNormalizer has a scale or a range that is not positive"),
        (a_scaler_of_other_columns, "ZCAWhitening returns 2 columns, but PatchNormalizer, the next step, expects 6"),
        (no_last_step, "must end in a transformer or an estimator"),
        (a_folder_to_write_into, "SparseAutoencoder has no parameters 'checkpoint'"),
        (a_former_parameter_in_another_place, "PatchNormalizer has no parameters 'checkpoint_every'"),
        (something_else, "the description of the model has entries that are not known: 'padding'"),
    ],
)
def test_pipelines_whose_steps_do_not_fit_are_refused(edit, message, path):
    forge(path, edit, "patches")
    with pytest.raises(ModelFileError, match=message):
        rhohat.load(path)


def a_larger_image(record, arrays, metadata):
    record["model"]["learned"]["image_shape"] = [3, 3, 1]


def an_image_of_no_size(record, arrays, metadata):
    record["model"]["learned"]["image_shape"] = [3, 2]


def an_endless_image(record, arrays, metadata):
    record["model"]["parameters"]["image_shape"] = {"tuple": [2**40, 2]}
    record["model"]["learned"]["image_shape"] = [2**40, 2, 1]


def regions_without_end(record, arrays, metadata):
    record["model"]["parameters"]["regions"] = 2**62


def a_kernel_of_another_shape(record, arrays, metadata):
    arrays["kernel_"] = arrays["kernel_"][:1]


def a_kernel_of_float32(record, arrays, metadata):
    arrays["kernel_"] = arrays["kernel_"].astype(np.float32)


def a_kernel_that_is_infinite(record, arrays, metadata):
    arrays["kernel_"] = arrays["kernel_"] / 0


def no_bias(record, arrays, metadata):
    del arrays["bias_"]


def a_scaler_in_place_of_the_autoencoder(record, arrays, metadata):
    record["model"]["learned"]["autoencoder"] = record["model"]["learned"]["autoencoder"]["steps"][0][1]
    for name in [name for name in arrays if name.startswith("autoencoder.")]:
        array = arrays.pop(name)
        if name.startswith("autoencoder.steps.0."):
            arrays[name.replace("steps.0.", "")] = array


def an_autoencoder_that_is_none(record, arrays, metadata):
    record["model"]["learned"]["autoencoder"] = None


def an_autoencoder_among_the_parameters(record, arrays, metadata):
    record["model"]["parameters"]["autoencoder"] = {"kind": "SparseAutoencoder", "settings": {}}


def something_else_learned(record, arrays, metadata):
    record["model"]["learned"]["more"] = 1


def another_pooling(record, arrays, metadata):
    record["model"]["parameters"]["pooling"] = "min"


@pytest.mark.filterwarnings("ignore:divide by zero|invalid value:RuntimeWarning")
@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (a_larger_image, r"image_shape=\(3, 2\) means 6 numbers"),
        (an_image_of_no_size, "images must have three sizes, integers from 1 to 65536"),
        (an_endless_image, "images must have three sizes, integers from 1 to 65536"),
        (regions_without_end, "regions must be at most 2 down and 1 across"),
        (a_kernel_of_another_shape, r"kernel_ has the shape \(1, 2, 1, 5\), but must have \(2, 2, 1, 5\)"),
        (a_kernel_of_float32, "kernel_ holds float32, but must hold"),
        (a_kernel_that_is_infinite, "kernel_ has numbers that are not finite"),
        (no_bias, "lacks the tensor bias_"),
        (a_scaler_in_place_of_the_autoencoder, "autoencoder must be a fitted autoencoder of rhohat"),
        (an_autoencoder_that_is_none, "'autoencoder' must be of type dict"),
        (an_autoencoder_among_the_parameters, "ConvolvedFeatures has no parameters 'autoencoder'"),
        (something_else_learned, "entries that are not known: 'more'"),
        (another_pooling, "pooling"),
    ],
)
def test_features_of_images_that_do_not_fit_are_refused(edit, message, path):
    forge(path, edit, "convolved features")
    with pytest.raises(ModelFileError, match=message):
        rhohat.load(path)


def test_a_header_that_would_fill_the_memory_is_not_read(path):
    rhohat.save(fitted("sparse"), path)
    header, data = _header_of(path.read_bytes())
    header["__metadata__"]["padding"] = "x" * 2**23
    path.write_bytes(_with_header(header, data))
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        rhohat.load(path)


def test_a_stack_of_something_else_is_refused(path):
    def edit(record, arrays, metadata):
        record["model"]["autoencoders"][0]["kind"] = "FeedforwardRegressor"

    forge(path, edit, "stacked")
    with pytest.raises(ModelFileError):
        rhohat.load(path)


def test_every_flipped_bit_of_the_weights_is_noticed(path):
    rhohat.save(fitted("sparse"), path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="the content of the file has changed since it was written"):
        rhohat.load(path)


@pytest.mark.parametrize("fraction", [0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(fraction, path):
    rhohat.save(fitted("sparse"), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(ModelFileError, match="is not a safetensors file of rhohat, or it is truncated"):
        rhohat.load(path)


def test_another_safetensors_file_is_no_model(path):
    save_file({"weights": np.zeros((2, 2))}, path)
    with pytest.raises(ModelFileError, match=r"written by rhohat\.save"):
        rhohat.load(path)


def test_a_checkpoint_is_no_model(tmp_path):
    rhohat.DenoisingAutoencoder(
        n_components=2,
        solver="adam",
        max_iter=2,
        random_state=0,
        checkpoint=rhohat.Checkpoint(tmp_path, every=1),
        tol=1e9,
    ).fit(np.random.default_rng(0).random((20, 4)))
    [path, *_] = tmp_path.glob("*.safetensors")
    with pytest.raises(ModelFileError, match="the file has the format 'rhohat checkpoint 1'"):
        rhohat.load(path)


def test_mutated_files_raise_our_own_error_or_work(tmp_path):
    """As `make mutations` does with more of them, watching the memory."""
    seen = try_many(600, seed=1, folder=tmp_path)
    assert sum(seen.values()) == 600
    assert sum(count for (_, what), count in seen.items() if what == "refused") > 400
