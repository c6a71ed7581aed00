"""Settings in the JSON files of other libraries, taken one by one and checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rhohat.common.exceptions import ModelFileError

__all__ = ["Settings", "read_settings"]

_LONGEST = 2**22  # bytes of a file
_REQUIRED: Any = object()


class Settings:
    """Settings by name, of which each is taken with the type that it must have; what is not taken is known as well.

    Parameters
    ----------
    found : mapping of str to object
    source : str
        Name of the file, for messages.
    """

    def __init__(self, found: Mapping[str, Any], source: str) -> None:
        self._found, self._taken = dict(found), set[str]()
        self.source = source

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def flag(self, name: str, default: Any = _REQUIRED) -> bool:
        """Return a setting that is true or false."""
        value = self._take(name, default)
        if value is not default and not isinstance(value, bool):
            raise self.refused(name, value, "true or false")
        return bool(value)

    def text(self, name: str, default: Any = _REQUIRED) -> str:
        """Return a setting that is a text."""
        value = self._take(name, default)
        if value is not default and not isinstance(value, str):
            raise self.refused(name, value, "a text")
        return str(value)

    def count(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return a setting that is a positive whole number; the default may be None."""
        value = self._take(name, default)
        if value is not default and (type(value) is not int or not 1 <= value < 2**31):
            raise self.refused(name, value, "a positive whole number")
        return value

    def number(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return a setting that is a finite number; the default may be None."""
        value = self._take(name, default)
        if value is default:
            return value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or abs(value) > 1e300 or math.isnan(value):
            raise self.refused(name, value, "a finite number")
        return float(value)

    def part(self, name: str, default: Any = _REQUIRED) -> Settings:
        """Return a setting that has settings of its own."""
        value = self._take(name, default)
        if not isinstance(value, dict):
            raise self.refused(name, value, "an object with settings of its own")
        return Settings(value, f"{self.source}, {name}")

    def any(self, name: str, default: Any = _REQUIRED) -> Any:
        """Return a setting as it is."""
        return self._take(name, default)

    def one_of(self, name: str, allowed: Sequence[str], default: Any = _REQUIRED) -> str:
        """Return a setting that is one of several texts."""
        value = self._take(name, default)
        if value not in allowed:
            raise self.refused(name, value, " or ".join(map(repr, allowed)))
        return str(value)

    def ignore(self, *names: str) -> None:
        """Take settings that change nothing in what a dictionary computes."""
        self._taken.update(names)

    def rest(self) -> dict[str, Any]:
        """Return the settings that have not been taken."""
        return {name: value for name, value in self._found.items() if name not in self._taken}

    def everything(self) -> dict[str, Any]:
        """Return all settings."""
        return dict(self._found)

    def finish(self) -> None:
        """Raise ModelFileError if a setting that is not known is set to something."""
        for name, value in self.rest().items():
            if value not in (None, False, 0, "", [], {}):
                raise ModelFileError(
                    f"{self.source} has the setting {name[:60]!r} = {shown(value)}, which rhohat does not know, so that"
                    " it cannot tell whether it changes what the dictionary computes. If it does not, remove it from"
                    " the file."
                )

    def refused(self, name: str, value: Any, allowed: str) -> ModelFileError:
        """Return the error of a setting that has a value that it cannot have."""
        return ModelFileError(f"in {self.source}, {name!r} must be {allowed}; got {shown(value)}.")

    def unsupported(self, name: str, value: Any, why: str, remedy: str = "") -> ModelFileError:
        """Return the error of a setting whose value rhohat cannot translate."""
        return ModelFileError(f"{self.source} has {name!r} = {shown(value)}: {why}.{remedy and ' ' + remedy}")

    def _take(self, name: str, default: Any) -> Any:
        self._taken.add(name)
        if name not in self._found and default is _REQUIRED:
            raise ModelFileError(f"{self.source} lacks the setting {name!r}.")
        return self._found.get(name, default)


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a JSON file.

    Raises
    ------
    ModelFileError
        If there is no such file, or if it is too long or does not hold settings.
    """
    if not path.is_file():
        raise ModelFileError(f"the file {path.name}, which says how the weights are meant, is missing.")
    if path.stat().st_size > _LONGEST:
        raise ModelFileError(f"{path.name} is longer than {_LONGEST:,} bytes.")
    try:
        found = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path.name} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ModelFileError(f"{path.name} does not hold settings by name.")
    return found


def shown(value: Any) -> str:
    """Return a value as it is shown in messages, shortened."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else f"{text[:57]}…"
