"""The report: one self-contained HTML page about a fitted model."""

from rhohat.inspection.reporting.page import report

__all__ = ["report"]
