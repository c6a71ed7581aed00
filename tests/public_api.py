"""The public interface as a text, one name a line: ``make public-api`` writes it to public_api.txt.

Public are the names that ``import rhohat`` offers, those of `MODULES`, and what else the pages of ``docs/api`` show;
but for the page "Internals", whose names are for study. Of a class that is its constructor, its public methods,
properties and attributes, as far as rhohat defines them. Of a function it is the names, kinds and defaults of its
parameters; their types are left to mypy. Nothing here depends on the version of Python or of scikit-learn.
"""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

__all__ = ["COMMAND", "SNAPSHOT", "public_api", "public_things"]

COMMAND = "make public-api"
SNAPSHOT = Path(__file__).with_name("public_api.txt")
MODULES = [
    "rhohat",
    "rhohat.callbacks",
    "rhohat.inspection.metrics",
    "rhohat.layers.activations",
    "rhohat.solvers",
    "rhohat.solvers.schedules",
    "rhohat.terms.corruption",
    "rhohat.terms.jacobian_penalties",
    "rhohat.terms.losses",
    "rhohat.terms.penalties",
]
_PAGES = Path(__file__).parents[1] / "docs" / "api"
_FOR_STUDY = "inside.rst"


def public_api():
    """Return the text that the snapshot should hold."""
    lines, known = [], {}
    for name in _public_names():
        thing = _resolve(name)
        if not inspect.isclass(thing) and not inspect.isfunction(thing):
            lines.append(f"{name}{_keys_of(thing)}")
        elif thing in known:
            lines.append(f"{name} is {known[thing]}")
        else:
            known[thing] = name
            lines += _lines_of_class(name, thing) if inspect.isclass(thing) else [f"{name}{_parameters_of(thing)}"]
    return "\n".join(lines) + "\n"


def public_things():
    """Return every public function, class and constant, and whatever else has a public name."""
    return [_resolve(name) for name in _public_names()]


def _public_names():
    names = [f"{module}.{name}" for module in MODULES for name in sorted(importlib.import_module(module).__all__)]
    shown = [
        name
        for page in sorted(_PAGES.glob("*.rst"))
        if page.name != _FOR_STUDY
        for name in re.findall(r"^   ~?(rhohat\.[\w.]+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    ]
    return list(dict.fromkeys([*names, *sorted(shown)]))


def _resolve(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _keys_of(thing):
    """Say of a dictionary what it knows; of anything else that is neither a class nor a function, nothing."""
    return f" has the keys {', '.join(sorted(thing))}" if isinstance(thing, dict) else ""


def _parameters_of(function, n_left_out=0):
    parameters = list(inspect.signature(function).parameters.values())[n_left_out:]
    shown, kinds = [], inspect.Parameter
    for before, parameter in zip([None, *parameters], parameters, strict=False):
        if before is not None and before.kind is kinds.POSITIONAL_ONLY and parameter.kind is not before.kind:
            shown.append("/")
        bare = before is None or before.kind not in (kinds.KEYWORD_ONLY, kinds.VAR_POSITIONAL)
        if parameter.kind is kinds.KEYWORD_ONLY and bare:
            shown.append("*")
        stars = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        shown.append(f"{stars}{parameter.name}{default}")
    return f"({', '.join(shown)})"


def _default(value):
    """Return a default as a text without addresses in memory."""
    text = repr(value)
    return value.__name__ if hasattr(value, "__name__") else "..." if " at 0x" in text else text


def _lines_of_class(name, cls):
    ours = [base for base in cls.__mro__ if base.__module__.startswith("rhohat.")]
    bases = ", ".join(
        base.__name__ for base in cls.__bases__ if base.__module__.split(".")[0] in ("rhohat", "builtins")
    )
    initializer = getattr(cls.__init__, "__module__", None) or ""
    constructed = dataclasses.is_dataclass(cls) or hasattr(cls, "_fields") or initializer.startswith("rhohat.")
    members = {member for base in ours for member in vars(base) if not member.startswith("_")}
    attributes = {attribute for base in ours for attribute in _attributes_of(base)}
    return [
        f"{name}{_parameters_of(cls) if constructed else ''} derives from {bases or 'others'}",
        *(f"{name}.{member}" for member in sorted({*attributes, *_lines_of_members(cls, members)})),
    ]


def _lines_of_members(cls, members):
    for member in members:
        value = inspect.getattr_static(cls, member)
        if member.startswith("set_") and member.endswith("_request"):  # scikit-learn adds them
            continue
        if isinstance(value, staticmethod | classmethod):
            yield f"{member}{_parameters_of(getattr(cls, member))}, a class method"
        elif callable(getattr(cls, member, None)) and not inspect.isclass(value):
            yield f"{member}{_parameters_of(getattr(cls, member), n_left_out=1)}"
        else:
            yield member


def _attributes_of(cls):
    """Yield the names under "Attributes" of a docstring."""
    text = inspect.cleandoc(cls.__doc__ or "")
    section = re.search(r"^Attributes\n-+\n(.*?)(?=^[A-Z]\w+\n-+\n|\Z)", text, flags=re.DOTALL | re.MULTILINE)
    for line in re.findall(r"^\w.*", section[1] if section else "", flags=re.MULTILINE):
        for attribute in line.split(" : ")[0].split(","):
            yield attribute.strip()


if __name__ == "__main__":
    SNAPSHOT.write_text(public_api(), encoding="utf-8")
