"""The command `info`, which describes a model file, or the machine."""

from __future__ import annotations

from dataclasses import asdict
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from rhohat.cli.app import Json, Traceback, command, print_json
from rhohat.cli.declared import MODEL
from rhohat.common.installed import how_to_install
from rhohat.common.versions import version_of
from rhohat.common.words import counted
from rhohat.data.harvest_folder import is_harvest, read_harvest_record
from rhohat.engines.machine import describe_machine
from rhohat.estimators import Transcoder
from rhohat.estimators.dictionary_messages import ending_of
from rhohat.estimators.parameter_groups import symbols_of
from rhohat.fitting.memory import show_bytes
from rhohat.models.components import settings_of
from rhohat.models.formats import is_foreign, load
from rhohat.models.model_card import card_of, describes_rows
from rhohat.models.model_file import describe
from rhohat.models.pipelines import estimator_of, feature_names_of, is_pipeline
from rhohat.solvers.messages import how_it_ended

__all__ = ["info"]

ModelOrNone = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="A model file, a dictionary of another library, or a folder that harvest has written; without one, the"
        " machine is described.",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]


@command(
    """
    # Print what a model is, and how its training went.
    rhohat info edges.safetensors
    # Print what this machine computes with.
    rhohat info
    """
)
def info(model: ModelOrNone = None, as_json: Json = False, traceback: Traceback = False) -> None:
    """Print what a model file holds: type, parameters, layers, the history of the training, versions of the software.

    Of a folder that harvest has written, print what it holds. Without a model, print what this machine computes with.
    """
    if model is None:
        machine = describe_machine()
        if as_json:
            print_json(machine)
        else:
            _print_lines(_lines_of_machine(machine))
        return
    if is_harvest(model):
        harvested = _described_harvest(model)
        if as_json:
            print_json(harvested)
        else:
            _print_lines(_lines_of_harvest(harvested))
        return
    loaded = load(model)
    estimator: Any = loaded.dictionary_ if isinstance(loaded, Transcoder) else estimator_of(loaded)
    card = card_of(loaded)
    steps = loaded.steps if is_pipeline(loaded) else [("", loaded)]
    found: dict[str, Any] = {
        "file": str(model),
        "bytes": _size(model),
        "kind": type(loaded if isinstance(loaded, Transcoder) else estimator).__name__,
        "steps": [_parameters(step) for _, step in steps],
        "n_units": None if estimator.has_sparse_codes else estimator.layer_sizes_[estimator.code_layer_],
        **estimator.describe(),
        "feature_names": feature_names_of(estimator if isinstance(loaded, Transcoder) else loaded),
        "target_names": getattr(estimator, "target_names_", None),
        "data": {"rows": estimator.n_samples_fit_, "name": estimator.data_name_},
        "training": [
            {
                "part": name,
                "kind": type(part).__name__,
                "parameters": _parameters_of_training(part),
                "symbols": symbols_of(part.get_params(deep=False)),
                "iterations": part.n_iter_,
                "updates": part.n_steps_ if part.has_sparse_codes else None,
                "ended": ending_of(part) if part.has_sparse_codes else None,
                "status": part.solver_status_,
                "J": part.loss_curve_[-1] if part.loss_curve_ else None,
                "terms": {name: curve[-1] for name, curve in part.terms_curve_.items() if curve},
            }
            for name, part in estimator.fitted_parts()
        ],
        "card": None if card is None else asdict(card),
        "versions": {} if is_foreign(model) else describe(model)["versions"],
    }
    if as_json:
        print_json(found)
        return
    _print_lines(_lines(found))


def _size(model: Path) -> int:
    """Return the number of bytes of a file, or of all files in a folder together."""
    files = [one for one in model.rglob("*") if one.is_file()] if model.is_dir() else [model]
    return sum(one.stat().st_size for one in files)


def _print_lines(lines: list[tuple[str, str]]) -> None:
    for name, value in lines:
        shown = "".join(one if one.isprintable() else "\ufffd" for one in value)  # no escapes of a stranger's file
        typer.echo(f"{name:<14}{shown}")


def _described_harvest(folder: Path) -> dict[str, Any]:
    record = read_harvest_record(folder)
    return {
        "folder": str(folder),
        "bytes": _size(folder),
        "model": record.model,
        "layers": {layer.name: layer.n_features for layer in record.layers},
        "rows": record.n_rows,
        "windows": record.n_texts,
        "dtype": record.dtype,
        "parts": len(record.shards),
        **{name: record.content.get(name) for name in ("n_outliers", "medians", "ended", "settings")},
    }


def _lines_of_harvest(found: dict[str, Any]) -> list[tuple[str, str]]:
    settings = found["settings"] if isinstance(found["settings"], dict) else {}
    shown = ", ".join(f"{name}={value}" for name, value in settings.items() if name not in ("layer", "model_sha256"))
    ends = {"rows": "it has the rows that were asked for", "texts": "its texts ended", "bytes": "there was no room"}
    ended = ends.get(str(found["ended"]), "it was interrupted; the same command goes on")
    return [
        ("folder", f"{found['folder']}, {show_bytes(found['bytes'])}"),
        ("harvest of", found["model"]),
        *(("layer", f"{name or 'the module itself'}, {n} numbers") for name, n in found["layers"].items()),
        ("rows", f"{found['rows']:,} in {found['dtype']}, from {counted(found['windows'], 'window')} of text"),
        ("left out", f"{counted(found['n_outliers'] or 0, 'row')} of unusual norm"),
        ("settings", shown),
        ("ended", ended),
    ]


def _lines_of_machine(machine: dict[str, Any]) -> list[tuple[str, str]]:
    primitives = f"NumPy; to compile them: {how_to_install('fast')}"
    if machine["primitives"] == "compiled":
        primitives = f"compiled by Numba {machine['numba']}, vectors of {machine['vector_bits']} bits"
    blas = (f"{one['library']} {one['version']}, {one['kernels'] or 'unknown'} kernels" for one in machine["blas"])
    return [
        ("primitives", primitives),
        *(("BLAS", one) for one in dict.fromkeys(blas)),
        ("threads", str(machine["threads"])),
        ("rhohat", version_of("rhohat")),
    ]


def _parameters(step: Any) -> dict[str, Any]:
    """Return the class name of a pipeline step, and its parameters that differ from their defaults."""
    if isinstance(step, str):
        return {"kind": step, "parameters": {}}
    defaults = {name: parameter.default for name, parameter in signature(type(step)).parameters.items()}
    changed = {name: value for name, value in settings_of(step).items() if repr(value) != repr(defaults[name])}
    return {"kind": type(step).__name__, "parameters": {name: _on_one_line(value) for name, value in changed.items()}}


def _on_one_line(value: Any) -> str:
    """Return the representation of a parameter; scikit-learn breaks long ones into indented lines."""
    return " ".join(repr(value).split())


#: Parameters that define J and its minimisation; `info` shows them for each part of a stack even if at their defaults.
_OF_TRAINING = (
    *("n_components", "hidden_layer_sizes", "weight_decay", "fine_tuning_weight_decay", "sparsity", "sparsity_weight"),
    *("contraction_weight", "tangent_weight", "corruption", "penalties", "solver", "max_iter"),
)


def _parameters_of_training(part: Any) -> dict[str, str]:
    parameters = part.get_params(deep=False)
    values = {name: parameters[name] for name in _OF_TRAINING if name in parameters}
    return {name: _on_one_line(value) for name, value in values.items() if value is not None and value != ()}


def _lines_of_network(found: dict[str, Any], trained: tuple[str, str]) -> list[tuple[str, str]]:
    layers, activations = " → ".join(map(str, found["layer_sizes"])), ", ".join(found["activations"])
    return [("layers", layers), trained, ("activations", activations)]


def _lines_of_dictionary(found: dict[str, Any], trained: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the lines of a dictionary: what it selects, its sizes, and how it did on the last rows of the training."""
    threshold, own = found["threshold"], found["thresholds"]
    measures = {"FVU": found["fvu"], "L0": found["l0"], "dead latents": found["dead"]}
    last = ", ".join(f"{label} {value:.6g}" for label, value in measures.items() if value is not None)
    return [
        ("selection", found["selection"]),
        ("latents", f"{found['latents']}, of {found['features']} features"),
        *([] if threshold is None else [("threshold", f"{threshold:.6g}")]),
        *([] if own is None else [("thresholds", f"{own[0]:.4g} to {own[2]:.4g}, median {own[1]:.4g}")]),
        trained,
        *([("last updates", last)] if last else []),
        ("learning", ", ".join(f"{setting}={value}" for setting, value in found["learning"].items())),
    ]


def _amount(part: dict[str, Any]) -> str:
    """Return how much a part of a model was trained, and why that ended; a dictionary counts passes and updates."""
    status = how_it_ended(part["status"])
    if part["updates"] is None:
        return f"{part['iterations']} iterations, {status}"
    return f"ended {part['ended']}" if part["status"] == "max_iter" else f"{part['ended']}, {status}"


def _collapse(figures: dict[str, float], found: dict[str, Any]) -> str:
    """Return what is said beside the status if all hidden units were dead at the end of the training; else nothing."""
    n_dead = figures.get("dead units", 0)
    is_all = n_dead > 0 and n_dead == found.get("n_units")
    return ", but all units are dead" if is_all else ""


def _lines_of_card(card: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of a model card, without what it leaves empty; a note may have several lines."""
    lines = [("note" if number == 0 else "", line) for number, line in enumerate(card.get("note", "").splitlines())]
    if card.get("data"):
        lines.append(("data", card["data"]))
    origin = card.get("origin") or {}
    lines += [("from" if number == 0 else "", f"{name}: {text}") for number, (name, text) in enumerate(origin.items())]
    for key, name in (("figures", "training rows"), ("held_out", "held-out rows")):
        if card.get(key):
            lines.append((name, ", ".join(f"{figure} {value:.4g}" for figure, value in card[key].items())))
    return lines


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("file", f"{found['file']}, {found['bytes']} bytes")]
    for step in found["steps"]:
        settings = ", ".join(f"{name}={value}" for name, value in step["parameters"].items())
        lines.append(("step", f"{step['kind']}({settings})"))
    data = found["data"]
    rows = f"{data['rows']} rows" + (f" of {data['name']}" if data["name"] else "")
    card = found["card"] or {}
    is_dictionary = "latents" in found
    if is_dictionary:
        rows = f"{data['rows']} rows seen" + (f", of {data['name']}" if data["name"] else "")
    if describes_rows(card.get("data", ""), data["rows"], data["name"], times_seen=is_dictionary):
        seen = f"; {data['rows']} rows seen in all passes" if is_dictionary else ""
        rows, card = f"{card['data'].removesuffix('.')}{seen}", {**card, "data": ""}
    trained = ("trained on", rows)
    lines += _lines_of_dictionary(found, trained) if is_dictionary else _lines_of_network(found, trained)
    lines.append(("parameters", f"{found['n_parameters']} of {found['dtype']}"))
    names = found["feature_names"]
    if names:
        lines.append(("columns", ", ".join(names[:20]) + (f", … ({len(names)})" if len(names) > 20 else "")))
    if found["target_names"]:
        lines.append(("predicts", ", ".join(found["target_names"])))
    for one in found["training"]:
        terms = ", ".join(f"{value:.4g} {name.replace('_', ' ')}" for name, value in one["terms"].items())
        if one["part"]:
            settings = ", ".join(f"{name}={value}" for name, value in one["parameters"].items())
            lines.append((one["part"], f"{one['kind']}({settings})"))
        elif one["symbols"]:
            parts = [f"{symbol} = {one['parameters'][name]} ({name})" for name, symbol in one["symbols"].items()]
            lines.append(("penalties", ", ".join(parts)))
        cost = "" if one["J"] is None else f": J = {one['J']:.6g} ({terms})"
        is_whole = not one["part"] and one["status"] == "converged"  # otherwise units may not be active yet
        collapsed = _collapse(card.get("figures", {}), found) if is_whole else ""
        lines.append(("training", f"{_amount(one)}{collapsed}{cost}"))
    lines += _lines_of_card(card)
    if found["versions"]:
        lines.append(("written by", ", ".join(f"{name} {version}" for name, version in found["versions"].items())))
    return lines
