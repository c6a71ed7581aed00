"""One self-contained HTML page about a fitted model."""

from rhohat.reporting.page import report

__all__ = ["report"]
