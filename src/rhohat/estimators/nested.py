"""Access to parameters of parameters by names such as ``solver__learning_rate``, as in scikit-learn's grid search."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from rhohat.common.exceptions import SettingError
from rhohat.fitting.checkpoint_settings import as_checkpoint
from rhohat.layers.activations import as_activation
from rhohat.solvers import as_solver
from rhohat.terms.corruption import as_corruption
from rhohat.terms.losses import as_loss

__all__ = ["NestedParameters"]

#: For each parameter that may be given as a name, the function that makes an object from the name.
_BY_NAME: dict[str, Callable[[Any], Any]] = {
    "solver": as_solver,
    "corruption": as_corruption,
    "loss": as_loss,
    "activation": as_activation,
    "output_activation": as_activation,
}


class NestedParameters:
    """Base class of estimators whose parameters have parameters of their own, accessible by nested names.

    ``solver__learning_rate`` is the learning rate of the solver, ``layers__0__n_components`` the number of components
    of the first of several layers, and ``penalties__1__weight`` the weight of the second penalty. Solvers, penalties
    and similar objects of rhohat are immutable: setting one of their parameters replaces the object with a changed
    copy. If the parameter is the name of a class, such as "adam", the name is replaced with an object.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the estimator by name.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the parameters of parameters, such as ``solver__learning_rate`` if the solver is an
            object.

        Returns
        -------
        dict of str to object
        """
        parameters: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep:
            for name, value in list(parameters.items()):
                parameters |= {f"{name}__{inner}": one for inner, one in _parameters_of(value)}
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters by name, including parameters of parameters, such as ``solver__learning_rate=0.01``.

        Parameters
        ----------
        **parameters : object

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter does not exist, or if a parameter of a parameter does not accept the value.
        """
        nested: dict[str, dict[str, Any]] = {}
        for name in [name for name in parameters if "__" in name]:
            outer, _, inner = name.partition("__")
            nested.setdefault(outer, {})[inner] = parameters.pop(name)
        super().set_params(**parameters)  # type: ignore[misc] # first: nested names may belong to these
        known = self.get_params(deep=False)
        for outer, changes in nested.items():
            if outer not in known:
                raise _unknown(
                    f"{outer}__{next(iter(changes))}", f"the parameters of {type(self).__name__} are {', '.join(known)}"
                )
            value = known[outer]
            if outer == "checkpoint":  # a path stands for a Checkpoint
                value = as_checkpoint(value)
            elif isinstance(value, str) and value != "auto" and outer in _BY_NAME:
                value = _BY_NAME[outer](value)
            setattr(self, outer, _changed(value, changes, outer))
        return self


def _parameters_of(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of the parameters of an object, such as a solver, including nested parameters."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        yield from value.get_params(deep=True).items()
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            for inner, one in _parameters_of(item):
                yield f"{number}__{inner}", one
    elif _is_part(value):
        for name, own in _settings(value).items():
            yield name, own
            for inner, one in _parameters_of(own):
                yield f"{name}__{inner}", one


def _changed(value: Any, changes: Mapping[str, Any], name: str) -> Any:
    """Return an object, such as a solver, with some of its parameters changed.

    An estimator is changed in place; of any other object, a changed copy is returned. `name` is used in messages.
    """
    if hasattr(value, "set_params") and not isinstance(value, type):
        return value.set_params(**changes)
    if isinstance(value, list | tuple):
        items = {str(number): item for number, item in enumerate(value)}
        return type(value)(_with_changes(items, changes, name).values())
    if _is_part(value):
        return dataclasses.replace(value, **_with_changes(_settings(value), changes, name))
    why = f"{name} is {value!r}, which has no parameters of its own; set it to an object first"
    raise _unknown(f"{name}__{next(iter(changes))}", why)


def _with_changes(known: dict[str, Any], changes: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a changed copy of `known`: ``name`` replaces a value, ``name__inner`` changes a parameter of a value."""
    inner: dict[str, dict[str, Any]] = {}
    values = dict(known)
    for key, value in changes.items():
        first, nested, rest = key.partition("__")
        if first not in known:
            has = f", only {', '.join(known)}" if known else ""
            raise _unknown(f"{name}__{key}", f"{name} has no item or parameter {first!r}{has}")
        if nested:
            inner.setdefault(first, {})[rest] = value
        else:
            values[first] = value
    return values | {key: _changed(values[key], own, f"{name}__{key}") for key, own in inner.items()}


def _is_part(value: Any) -> bool:
    """Return whether a value is an instance of a dataclass, as solvers, penalties and activations are."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _settings(part: Any) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.init}


def _unknown(name: str, why: str) -> SettingError:
    return SettingError(f"Invalid parameter {name!r}: {why}.")
