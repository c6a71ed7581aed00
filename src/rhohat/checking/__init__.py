"""Comparison of gradients with central differences, for any callable and for every kind of model."""
