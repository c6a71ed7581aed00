"""Inspection of fitted models: metrics, evaluation, Gabor fits of filters, plots, and the report."""
