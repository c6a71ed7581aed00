"""Models in files: saved whole, and loaded without running anything that a file says."""

from rhohat.models.model_file.files import describe, load, save

__all__ = ["describe", "load", "save"]
