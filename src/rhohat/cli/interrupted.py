"""What `train` keeps of a training that Ctrl-C, or rows of a dictionary that are not finite, have ended."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rhohat.cli.app import note
from rhohat.cli.summary import amount_of_training
from rhohat.models.model_card import ModelCard
from rhohat.models.model_file import save
from rhohat.models.pipelines import estimator_of

__all__ = ["keeping_what_was_reached"]


@contextmanager
def keeping_what_was_reached(
    ctx: Any, model: Any, output: Path, checkpoint: Path | None, card: ModelCard | None = None
) -> Iterator[None]:
    """Context manager around a fit, which writes the state that was reached to a model file beside the output.

    That is the state at which Ctrl-C has ended the fit, or that before a batch of a dictionary that is not finite.

    The estimator is given ``warm_start=True`` meanwhile, with which an interrupted fit leaves it with the parameters
    of the last iteration. The model card says what is known of it: a note, and the data.
    """
    network = estimator_of(model)
    can_keep = network.get_params(deep=False).get("warm_start") is False
    if can_keep:
        network.set_params(warm_start=True)
    try:
        yield
    except KeyboardInterrupt:
        if getattr(network, "solver_status_", None) == "interrupted":
            _save_partial(ctx, model, network, output, card)
        else:
            note(ctx, "no model was written.")
        note(ctx, _how_to_go_on(checkpoint))
        raise
    except ValueError:
        if getattr(network, "solver_status_", None) == "not_finite":
            _save_partial(ctx, model, network, output, card)
        raise
    finally:
        if can_keep:
            network.set_params(warm_start=False)


def _save_partial(ctx: Any, model: Any, network: Any, output: Path, card: ModelCard | None) -> None:
    partial = output.with_name(f"{output.stem}.partial{output.suffix}")
    network.set_params(warm_start=False)
    save(model, partial, card=card)
    note(ctx, f"{partial} holds the model that was reached, after {amount_of_training(network)}.")


def _how_to_go_on(checkpoint: Path | None) -> str:
    if checkpoint is None:
        return "With --checkpoint DIR, a training can be continued later: the same command, with --resume."
    words = [word for word in sys.argv[1:] if word != "--resume"]
    return f"To continue from the checkpoint: rhohat {shlex.join([*words, '--resume'])}"
