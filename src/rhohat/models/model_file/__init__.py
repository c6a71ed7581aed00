"""Saving complete models in files, and loading them without executing code from the files."""

from rhohat.models.model_file.files import describe, load, save

__all__ = ["describe", "load", "save"]
