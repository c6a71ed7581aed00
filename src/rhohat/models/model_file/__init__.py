"""Saving of complete models in files, and loading them without executing code from a file."""

from rhohat.models.model_file.files import describe, load, save

__all__ = ["describe", "load", "save"]
