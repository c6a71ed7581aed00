"""The package SAELens: its own trainer, step by step."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import time_steps
from benchmarks.tasks import Record, Task

__all__ = ["dictionary_training"]

_package = import_module("sae_lens")  # so that this module cannot be imported where the package is missing

#: The class of each selection, and of its settings.
_CLASSES = {"topk": "TopKTrainingSAE", "batchtopk": "BatchTopKTrainingSAE", "jumprelu": "JumpReLUTrainingSAE"}


def dictionary_training(task: Task) -> Record:
    """Time the steps of the trainer, batch after batch."""
    settings, size = task.settings, task.settings.batch_size
    own: dict[str, Any] = {"k": settings.k} if settings.selection != "jumprelu" else {}
    name = _CLASSES[settings.selection]
    config = getattr(_package, f"{name}Config")(d_in=task.X.shape[1], d_sae=settings.n_hidden, **own)
    sae = getattr(_package, name)(config)
    training = import_module("sae_lens.config").SAETrainerConfig(
        total_training_samples=10_000 * size,
        train_batch_size_samples=size,
        lr=settings.learning_rate,
        lr_end=settings.learning_rate,
    )
    trainer = import_module("sae_lens.training.sae_trainer").SAETrainer(training, sae, iter([]))

    def step(rows: np.ndarray) -> float:
        trainer._train_step(sae=sae, sae_in=torch.from_numpy(rows))
        trainer.n_training_steps += 1
        return 0.0

    record = time_steps(step, task)
    del record["agreement"]  # it starts elsewhere
    return record
