"""Models in files: saved whole, and loaded without running anything that a file says."""

from rhohat.model_file.files import load, save

__all__ = ["load", "save"]
