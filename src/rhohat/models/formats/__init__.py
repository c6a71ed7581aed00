"""Exchange of dictionaries with other libraries: their formats, read and written without executing code from files."""

from rhohat.models.formats.exporting import FORMATS, export
from rhohat.models.formats.opening import load

__all__ = ["FORMATS", "export", "load"]
