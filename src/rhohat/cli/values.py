"""Parsing of parameters on the command line: numbers, strings, and objects of rhohat's classes, such as Adam."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from rhohat.layers.architecture import LAYERS, LayerDescription
from rhohat.models.components import COMPONENTS, ESTIMATORS

__all__ = ["parse_layers", "parse_setting", "parse_value"]

#: The layers that a command line may describe, keyed by their names there, such as max-pooling.
_LAYERS = {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", cls.__name__).lower(): cls for cls in LAYERS}


def parse_setting(text: str) -> tuple[str, Any]:
    """Parse a setting ``NAME=VALUE``, and return its name and its value.

    Raises
    ------
    ValueError
        If there is no equals sign, if the name is not an identifier, or if the value cannot be parsed.

    Examples
    --------
    >>> parse_setting("solver=Adam(learning_rate=0.01)")[0]
    'solver'
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip().isidentifier():
        raise ValueError(f"a setting is written as NAME=VALUE, such as tol=1e-4; got {text!r}.")
    return name.strip(), parse_value(value.strip())


def parse_value(text: str) -> Any:
    """Return the value that a string on the command line stands for.

    Numbers, True, False, None, lists, tuples and dicts are written as in Python, and so are rhohat's activations,
    losses, penalties, corruptions, solvers and estimators, with their settings in parentheses. Everything else is a
    string.

    Raises
    ------
    ValueError
        If a name before parentheses is not the name of such a class, or if the class does not accept these settings.

    Examples
    --------
    >>> parse_value("1e-3"), parse_value("tanh"), parse_value("(100, 30)"), parse_value("512 MB")
    (0.001, 'tanh', (100, 30), '512 MB')
    >>> parse_value("{'yes': 5, 'no': 1}")
    {'yes': 5, 'no': 1}
    >>> parse_value("MaskingNoise(0.3)")
    MaskingNoise(q=0.3)
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    if not isinstance(tree, ast.Constant | ast.UnaryOp | ast.List | ast.Tuple | ast.Dict | ast.Call):
        return text
    return _value(tree, text)


def parse_layers(text: str) -> list[LayerDescription | int]:
    """Return the layers that a string describes, separated by commas; a number alone is a dense layer of so many units.

    A layer is the name of its kind, and then its settings, separated by spaces: in the order of the parameters of the
    Python class, or as NAME=VALUE. Sizes along two axes are written as 3x5.

    Raises
    ------
    ValueError
        If a part is no layer, with its number and its text.

    Examples
    --------
    >>> parse_layers("convolution 20 3x5 stride=2, max-pooling 2, 500")[1:]
    [MaxPooling(size=2, stride=None), 500]
    >>> parse_layers("dense 500 tanh")
    [Dense(n_units=500, activation='tanh', per_step=False)]
    """
    parts = re.split(r",(?![^(]*\))", text)  # not within the parentheses of an activation
    return [_layer(number, part.strip()) for number, part in enumerate(parts)]


def _layer(number: int, text: str) -> LayerDescription | int:
    where = f"layer {number}, {text!r},"
    if text.isdecimal():
        return int(text)
    name, *settings = re.split(r"\s+(?![^(]*\))", text)
    cls = _LAYERS.get(re.sub(r"(?<=[a-z])(?=[A-Z])|_", "-", name).lower())
    if cls is None:
        raise ValueError(
            f"{where} is none of {', '.join(_LAYERS)}, with its settings after spaces, as in convolution 20 5."
        )
    unnamed, named = [], {}
    try:
        for setting in settings:
            key, sign, value = setting.partition("=")
            if sign and key.isidentifier():
                named[key] = _size(value)
            elif named:
                raise ValueError(f"a setting without a name, {setting!r}, comes after one with a name.")
            else:
                unnamed.append(_size(setting))
        return cls(*unnamed, **named)
    except ValueError as error:
        raise ValueError(f"{where} cannot be made: {error}") from None
    except TypeError:
        signature = ", ".join(inspect.signature(cls).parameters)
        raise ValueError(
            f"{where} has settings that do not fit: those of {name} are {signature or 'none'}, in this order."
        ) from None


def _size(text: str) -> Any:
    """Return the value of a setting of a layer."""
    return tuple(map(int, text.split("x"))) if re.fullmatch(r"\d+x\d+", text) else parse_value(text)


def _value(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str | None):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, text)
        if isinstance(value, int | float):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.List | ast.Tuple):
        items = [_value(item, text) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if isinstance(key, ast.Constant | ast.UnaryOp | ast.Name)]
        if len(keys) < len(node.keys):
            raise ValueError(f"the keys of {text!r} must be numbers, strings or truth values.")
        values = (_value(value, text) for value in node.values)
        return dict(zip((_value(key, text) for key in keys), values, strict=True))
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _make(node.func.id, node, text)
    raise ValueError(f"{ast.unparse(node)!r} in {text!r} is not a number, string, list, dict or object of rhohat.")


def _make(name: str, call: ast.Call, text: str) -> Any:
    known = {**COMPONENTS, **ESTIMATORS}
    if name not in known:
        raise ValueError(
            f"{name!r} in {text!r} is not the name of one of rhohat's classes, which are {', '.join(sorted(known))}."
        )
    settings = {keyword.arg or "**": _value(keyword.value, text) for keyword in call.keywords}
    if "**" in settings:
        raise ValueError(f"settings of {name} are written as NAME=VALUE; got {text!r}.")
    try:
        return known[name](*[_value(argument, text) for argument in call.args], **settings)
    except TypeError as error:  # the class does not have these settings
        raise ValueError(f"the object {text!r} cannot be created: {error}.") from None
