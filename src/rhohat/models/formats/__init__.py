"""Exchange of dictionaries with other libraries: their formats, read and written without executing code from files."""

from rhohat.models.formats.exporting import FORMATS, export
from rhohat.models.formats.opening import load
from rhohat.models.formats.precision import PRECISIONS
from rhohat.models.formats.recognising import is_foreign

__all__ = ["FORMATS", "PRECISIONS", "export", "is_foreign", "load"]
