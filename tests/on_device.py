"""`pytest -p tests.on_device`: every estimator computes on a device of PyTorch unless a test names an engine.

The device is the CPU, in float64, so that results are those of threads up to rounding. `make test-device` runs the
tests of estimators in this way a second time. Tests that compare bits with those of threads are left out, each with its
reason.
"""

import sys

import torch

import rhohat.estimators  # noqa: F401 - whose modules are changed
from rhohat import TorchEngine, engines

#: What is left out, by the name of the test without its parameters, and why.
LEFT_OUT = {
    "test_partial_fit_is_a_solver_that_goes_on_with_its_state": "compares bits with a solver on threads",
    "test_transform_and_reconstruct_write_where_they_are_told": "compares bits, and float32 is computed in float64",
    "test_every_epoch_sees_another_corruption": "has a corruption that knows NumPy's arrays only",
    "test_the_same_sequences_give_the_same_bits_whatever_form_they_have": "Dask's arrays are predicted by threads",
    "test_a_fit_that_was_killed_is_resumed_to_the_same_bits": "compares bits with a process that computes on threads",
    "test_the_number_of_threads_changes_no_bit": "is about threads",
    "test_the_same_seed_gives_the_same_bits_for_any_number_of_threads": "is about threads",
    "test_the_loss_is_half_of_the_squared_error_of_scaled_rows": "begins with a row on the border of each latent",
    "test_rows_of_any_scale_are_learned_alike": "begins with a row on the border of each latent",
    "test_a_fit_holds_a_part_of_the_rows_only": "measures the memory of threads",
}

_DEVICE = TorchEngine("cpu", dtype="float64")
_DEVICE.block_bytes = 2**22  # so that rows are several blocks


def pytest_configure():
    """Let the device stand for no engine, in all modules that ask what an engine means."""
    torch.set_num_threads(1)
    as_engine, device_of = engines.as_engine, engines.device_of
    changed = {
        as_engine: lambda engine: _DEVICE if engine is None else as_engine(engine),
        device_of: lambda engine: _DEVICE if engine is None else device_of(engine),
    }
    done = set()
    for name, module in list(sys.modules.items()):
        for attribute in ("as_engine", "device_of") if name.startswith("rhohat.estimators") else ():
            if hasattr(module, attribute):
                setattr(module, attribute, changed[getattr(module, attribute)])
                done.add((name.removeprefix("rhohat.estimators."), attribute))
    asked = {("base", "as_engine"), ("base", "device_of"), ("dictionary", "device_of"), ("autoencoder", "device_of")}
    assert asked <= done, "tests would compute on threads a second time"


def pytest_collection_modifyitems(config, items):
    """Leave out what compares bits, and tell how much that is."""
    left = [item for item in items if getattr(item, "originalname", "") in LEFT_OUT]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)
