"""Gradients beside central differences: of any callable, and of every kind of model."""
