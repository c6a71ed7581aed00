"""Fits without scikit-learn: training, memory plans, journals, checkpoints, and forward passes of rows."""
