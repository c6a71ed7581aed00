"""The package dictionary-learning: its own trainers, step by step."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import time_steps
from benchmarks.tasks import Record, Task

__all__ = ["dictionary_training"]

import_module("dictionary_learning")  # so that this module cannot be imported where the package is missing

#: Where each selection has its trainer.
_TRAINERS = {
    "topk": ("top_k", "TopKTrainer"),
    "batchtopk": ("batch_top_k", "BatchTopKTrainer"),
    "jumprelu": ("jumprelu", "JumpReluTrainer"),
}


def dictionary_training(task: Task) -> Record:
    """Time the steps of a trainer, batch after batch."""
    settings = task.settings
    module, name = _TRAINERS[settings.selection]
    own: dict[str, Any] = {"k": settings.k} if settings.selection != "jumprelu" else {"target_l0": settings.k}
    trainer = getattr(import_module(f"dictionary_learning.trainers.{module}"), name)(
        steps=10_000,
        activation_dim=task.X.shape[1],
        dict_size=settings.n_hidden,
        layer=0,
        lm_name="",
        lr=settings.learning_rate,
        device="cpu",
        **own,
    )
    n_steps = 0

    def step(rows: np.ndarray) -> float:
        nonlocal n_steps
        trainer.update(n_steps, torch.from_numpy(rows))
        n_steps += 1
        return 0.0

    record = time_steps(step, task)
    del record["agreement"]  # it starts elsewhere
    return record
