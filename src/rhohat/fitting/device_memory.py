"""What the fit of a dictionary will hold on a device, and what is said where a device has too little memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rhohat.common.words import Sentence, Setting
from rhohat.engines import TorchEngine
from rhohat.fitting.memory import show_bytes

__all__ = ["explaining_memory_of_device", "plan_memory_of_device", "shown_memory_of_device"]

_ENTRY_BYTES = 48  # bytes of an active latent of a row, in codes, their derivatives, and both orders of them
_CANDIDATE_BYTES = 40  # bytes of an entry that a device proposes, while those of all are compared
_BUDGET = 2**30  # largest array of (rows, latents), see `TorchCodeOps`


def plan_memory_of_device(sizes: Mapping[str, Any], engine: TorchEngine) -> tuple[tuple[str, int], ...]:
    """Return what the fit of a dictionary will hold on a device, beside rows that stay there: names and bytes.

    Parameters
    ----------
    sizes : mapping
        See `plan_dictionary_memory`.
    engine : TorchEngine
    """
    itemsize, n_batch = engine.dtype.itemsize, sizes["n_batch"]
    size = 1 if engine.devices is None or engine.split == "rows" else len(engine.devices)
    theta = itemsize * -(-sizes["n_parameters"] // size)
    pre_activations = min(_BUDGET, 2 * itemsize * n_batch * -(-sizes["n_latents"] // size))
    parts = [
        ("parameters" if size == 1 else "parameters of a slice of the latents", theta),
        (f"moments of the solver, {sizes['n_moments']} for each parameter", sizes["n_moments"] * theta),
        ("two batches and residuals", 6 * itemsize * n_batch * sizes["width"]),
        ("pre-activations of some rows", pre_activations),
        ("sparse codes and their derivatives", int(_ENTRY_BYTES * n_batch * sizes["l0"])),
    ]
    if size > 1:
        exchanged = n_batch * (_CANDIDATE_BYTES * size * sizes["l0"] + 3 * itemsize * sizes["width"])
        parts.append(("candidates of all devices, and reconstructions that are added up", int(exchanged)))
    return tuple(parts)


def shown_memory_of_device(sizes: Mapping[str, Any], engine: TorchEngine) -> str:
    """Return the plan of `plan_memory_of_device` as a sentence."""
    parts = plan_memory_of_device(sizes, engine)
    total = show_bytes(sum(n_bytes for _, n_bytes in parts))
    listed = "; ".join(f"{name}: {show_bytes(n_bytes)}" for name, n_bytes in parts)
    return f"memory on the device, beside rows that stay there: {total} ({listed})"


@contextmanager
def explaining_memory_of_device(sizes: Mapping[str, Any], engine: TorchEngine) -> Iterator[None]:
    """Context manager that says what to lower where a device has too little memory.

    Parameters
    ----------
    sizes : mapping
        See `plan_dictionary_memory`.
    engine : TorchEngine

    Raises
    ------
    MemoryError
        If PyTorch finds too little memory on the device.
    """
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        if engine.split == "latents":
            more = ", name more devices"
        else:
            more = "" if engine.devices is None else ", split the latents over the devices (split='latents')"
        total = show_bytes(sum(n_bytes for _, n_bytes in plan_memory_of_device(sizes, engine)))
        message = Sentence(
            f"the device {engine.device!r} has too little memory: a step was planned to hold {total} there,"
            f" in batches of {sizes['n_batch']:,} rows with {sizes['n_latents']:,} latents. Lower ",
            *(Setting("batch_size"), " of the solver or ", Setting("n_components")),
            f"{more}, or give TorchEngine row_bytes=0 or products='bfloat16', now {engine.products!r}.",
        )
        raise MemoryError(message) from error
