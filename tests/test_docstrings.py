"""Docstrings of public names are as numpydoc has them; pyproject.toml says which of its checks are made."""

import inspect
import tomllib
from pathlib import Path

import pytest
from numpydoc.validate import validate

from tests.public_api import public_things

SETTINGS = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
LEFT_OUT = set(SETTINGS["numpydoc_validation"]["checks"]) - {"all"}


def documented():
    """Return functions and classes that are public, and methods and properties that rhohat defines of the latter."""
    found = {}
    for thing in public_things():
        if inspect.isfunction(thing):
            found[f"{thing.__module__}.{thing.__qualname__}"] = thing
        for base in inspect.getmro(thing) if inspect.isclass(thing) else ():
            if base.__module__.startswith("rhohat."):
                name = f"{base.__module__}.{base.__qualname__}"
                found[name] = base
                found |= {
                    f"{name}.{member}": value
                    for member, value in vars(base).items()
                    if not member.startswith("_")
                    and (inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod))
                    and not (member.startswith("set_") and member.endswith("_request"))  # scikit-learn's
                }
    return found


def is_asked(code, name, thing):
    if code != "PR01":
        return code not in LEFT_OUT
    if inspect.isclass(thing):
        return "\nParameters\n---" in inspect.cleandoc(thing.__doc__)
    return inspect.isfunction(thing) and "." not in thing.__qualname__


@pytest.mark.parametrize(("name", "thing"), sorted(documented().items()), ids=sorted(documented()))
def test_docstrings_are_as_numpydoc_has_them(name, thing):
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if is_asked(code, name, thing)]
    assert not errors, f"{name}: {errors}"


def test_only_checks_that_there_are_are_left_out():
    from numpydoc.validate import ERROR_MSGS

    assert ERROR_MSGS.keys() >= LEFT_OUT
