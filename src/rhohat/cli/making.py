"""Estimators that are made of the options of the command `train`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import typer
from sklearn.base import clone

from rhohat.cli.option_names import option_of
from rhohat.cli.solver_settings import check_nested_solver
from rhohat.cli.values import parse_layers, parse_setting
from rhohat.estimators import AutoencoderDetector, GatedAutoencoder, L1Autoencoder, SparseAutoencoder
from rhohat.estimators.detector import default_autoencoder
from rhohat.estimators.stacked_autoencoder import HasLayers, check_layers
from rhohat.models.components import ESTIMATORS, command_line_name
from rhohat.terms.penalties import L1Sparsity

__all__ = ["l1_penalty", "make_estimator"]


def l1_penalty(cls: type[Any], weight: float | None, settings: list[str]) -> dict[str, Any]:
    """Return the parameter of an estimator that gives its activations an L1 penalty of this weight.

    Raises
    ------
    BadParameter
        If the weight is negative, if the estimator has no such penalty, or if --set says something of it as well.
    """
    if weight is None:
        return {}
    if not weight >= 0:
        raise typer.BadParameter(f"must be a weight of at least 0; got {weight}.", param_hint="--l1")
    parameters = cls().get_params(deep=False)
    name = "sparsity_weight" if issubclass(cls, L1Autoencoder | GatedAutoencoder) else "penalties"
    if name not in parameters and not issubclass(cls, HasLayers):
        problem = f"{cls.command_line_name} has no L1 penalty: its latents are selected in another way."
        raise typer.BadParameter(problem, param_hint="--l1")
    if any(setting.partition("=")[0].strip() == name for setting in settings):
        raise typer.BadParameter(f"pass this option or --set {name}=..., not both.", param_hint="--l1")
    return {name: weight if name == "sparsity_weight" else [L1Sparsity(weight)]}


def make_estimator(
    cls: type[Any],
    given: dict[str, Any],
    hidden: str | None,
    layers: str | None,
    input_shape: str | None,
    settings: list[str],
) -> Any:
    """Return an unfitted estimator with all given parameters.

    Parameters
    ----------
    cls : type
        Class of the estimator.
    given : dict of str to object
        Parameters by their names; those that are None are left at their defaults.
    hidden, layers, input_shape : str or None
        Texts of the options of these names.
    settings : list of str
        Texts NAME=VALUE of the option --set.

    Raises
    ------
    BadParameter
        If the estimator lacks one of these parameters, or if a text cannot be parsed.
    """
    values = {name: value for name, value in given.items() if value is not None}
    try:
        values |= dict(parse_setting(setting) for setting in settings)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from None
    nested = {name: values.pop(name) for name in list(values) if "__" in name}
    sizes = _sizes(hidden)
    values |= _described(cls, layers, input_shape, {*values, *(["hidden"] if hidden else [])})
    if issubclass(cls, HasLayers):
        values = _with_layers(cls, sizes, values)
    elif issubclass(cls, AutoencoderDetector):
        values = _with_autoencoder(cls, sizes, values, settings)
    elif sizes is not None:
        values |= _with_sizes(cls, sizes)
    unknown = sorted(set(values) - set(cls().get_params(deep=False)))
    if unknown == ["k"] and "target_l0" in cls().get_params(deep=False):
        problem = (
            f"{cls.command_line_name} has no fixed number of active latents; --set target_l0=32 aims at a mean of 32."
        )
        raise typer.BadParameter(problem, param_hint="--k")
    if unknown:
        names = {*cls().get_params(deep=False), *(_of_layers(cls) if issubclass(cls, HasLayers) else ())}
        raise _lacking(f"{cls.command_line_name} does not have", unknown[0], names, settings)
    made = cls(**values)
    check_nested_solver(made, nested)
    return made.set_params(**nested) if nested else made


#: Parameters that have an option of their own in `train`.
_WITH_OPTIONS = (
    *("n_components", "hidden_layer_sizes", "layers", "input_shape", "k", "sparsity", "sparsity_weight"),
    *("weight_decay", "softmax_weight_decay", "fine_tuning_weight_decay", "activation", "solver", "max_iter"),
)
#: Parameters that `train` sets by itself, or by options that every estimator takes.
_OF_TRAIN = ("callbacks", "checkpoint", "engine", "memory_limit", "n_jobs", "random_state", "verbose", "warm_start")


def _lacking(who: str, name: str, names: Collection[str], settings: list[str]) -> typer.BadParameter:
    """Return the error of a parameter that an estimator lacks, which names what was typed, and what there is instead.

    Parameters
    ----------
    who : str
        The estimator, and that it does not have something.
    name : str
        Name of the parameter.
    names : collection of str
        Names of the parameters that the estimator has.
    settings : list of str
        Texts NAME=VALUE of the option --set.
    """
    is_set = any(setting.partition("=")[0].strip() == name for setting in settings)
    options = dict.fromkeys(option_of(one) for one in _WITH_OPTIONS if one in names)
    others = sorted(set(names) - set(_WITH_OPTIONS) - set(_OF_TRAIN))
    has = f" It takes {', '.join(options)}{' and,' if others else '.'}" if options else " It takes,"
    with_set = f" with --set, {', '.join(others)}." if others else ""
    what = f"a parameter {name!r}" if is_set else "this option"
    hint = f"--set {name}" if is_set else option_of(name)
    return typer.BadParameter(f"{who} {what}.{has}{with_set}", param_hint=hint)


def _with_sizes(cls: type[Any], sizes: list[int]) -> dict[str, Any]:
    """Return the parameter that sets the numbers of hidden units."""
    parameters = cls().get_params()
    if not {"n_components", "hidden_layer_sizes"} & set(parameters):
        instead = " --layers describes its layers." if "layers" in parameters else ""
        problem = f"{cls.command_line_name} has no numbers of hidden units.{instead}"
        raise typer.BadParameter(problem, param_hint="--hidden")
    if "n_components" not in parameters:
        return {"hidden_layer_sizes": tuple(sizes)}
    if len(sizes) > 1:
        hidden = ",".join(map(str, sizes))
        raise typer.BadParameter(f"{cls.command_line_name} has one hidden layer; got {hidden}.", param_hint="--hidden")
    return {"n_components": sizes[0]}


def _with_autoencoder(
    cls: type[Any], sizes: list[int] | None, values: dict[str, Any], settings: list[str]
) -> dict[str, Any]:
    """Return the parameters of a detector, with all those that it does not have set on its autoencoder."""
    own = {name: value for name, value in values.items() if name in cls().get_params(deep=False)}
    autoencoder = own.get("autoencoder") or default_autoencoder()
    if not hasattr(autoencoder, "get_params"):
        problem = f"must be an autoencoder, such as DeepAutoencoder(); got {autoencoder!r}."
        raise typer.BadParameter(problem, param_hint="--set autoencoder")
    inner = {name: value for name, value in values.items() if name not in own}
    inner |= {} if sizes is None else _with_sizes(type(autoencoder), sizes)
    unknown = sorted(set(inner) - set(autoencoder.get_params(deep=False)))
    if unknown:
        names = {*cls().get_params(deep=False), *autoencoder.get_params(deep=False)}
        who = f"neither {cls.command_line_name} nor its autoencoder, a {type(autoencoder).__name__}, has"
        raise _lacking(who, unknown[0], names, settings)
    return {**own, "autoencoder": autoencoder.set_params(**inner)}


def _sizes(hidden: str | None) -> list[int] | None:
    if hidden is None:
        return None
    parts = [part.strip() for part in hidden.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(
            f"must be a number of units, or several numbers such as 100,30; got {hidden!r}.", param_hint="--hidden"
        )
    return [int(part) for part in parts]


#: Parameters that are set on a stack only; in a fit, the stack passes a suitable value on to each of its layers.
_OF_THE_STACK = {"random_state", "engine", "memory_limit", "checkpoint"}
_OF_THE_FINE_TUNING = {"penalties", "corruption"}  # parameters that layers have as well


def _with_layers(cls: type[Any], sizes: list[int] | None, values: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a stack, with the values meant for its layers set on the layers.

    The layers are sparse autoencoders unless `layers` is among the values.
    """
    own = set(cls().get_params(deep=False))
    of_layers = _of_layers(cls)
    of_stack = {name: value for name, value in values.items() if name in own or name not in of_layers}
    said = {name: value for name, value in values.items() if name in of_layers}
    layers = check_layers(values.get("layers"))
    if "layers" in values:
        lost = sorted(set(said) - own - {"callbacks"}) + (["n_components"] if sizes else [])
        if lost:
            raise typer.BadParameter(f"set {lost[0]} in the settings of these layers.", param_hint="--set layers")
        said = {"callbacks": values["callbacks"]}  # callbacks that show the progress
    elif sizes is not None:
        layers = [clone(layers[0]).set_params(n_components=size) for size in sizes]
    return {**of_stack, "layers": [layer.set_params(**said) for layer in layers]}


def _of_layers(cls: type[Any]) -> set[str]:
    """Return the names of the parameters of a stack that are those of its layers."""
    of_layers = set(SparseAutoencoder().get_params(deep=False)) - _OF_THE_STACK - {"n_components"}
    return of_layers - (_OF_THE_FINE_TUNING & set(cls().get_params(deep=False)))


def _described(cls: type[Any], layers: str | None, input_shape: str | None, others: set[str]) -> dict[str, Any]:
    """Return the parameters of --layers and --input-shape; `others` are the names of parameters that are given, too."""
    found: dict[str, Any] = {}
    for option, text in (("--layers", layers), ("--input-shape", input_shape)):
        name = option[2:].replace("-", "_")
        if text is None:
            continue
        if issubclass(cls, HasLayers) or name not in cls().get_params(deep=False):
            suited = ", ".join(sorted(name for name in map(_name_with_layers, ESTIMATORS.values()) if name is not None))
            problem = f"{cls.command_line_name} has no layers to be described; -e takes this option with {suited}."
            raise typer.BadParameter(problem, param_hint=option)
        if name in others:
            raise typer.BadParameter(f"pass this option or --set {name}=..., not both.", param_hint=option)
        if name == "layers" and "hidden" in others:
            raise typer.BadParameter("pass this option or --hidden, not both.", param_hint=option)
        try:
            found[name] = parse_layers(text) if name == "layers" else _shape(text)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=option) from None
    return found


def _name_with_layers(cls: type[Any]) -> str | None:
    """Return the name on the command line of a class whose layers are described; None for other classes."""
    has_layers = not issubclass(cls, HasLayers) and "layers" in cls().get_params(deep=False)
    return command_line_name(cls) if has_layers else None


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"must be written as 28x28x1 for images, or as 100x3 for sequences; got {text!r}.")
    return tuple(int(part) for part in parts)
