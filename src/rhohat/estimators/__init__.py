"""Estimators: scikit-learn's contract on top of networks, objectives and solvers."""

from rhohat.estimators.sparse_autoencoder import SparseAutoencoder

__all__ = ["SparseAutoencoder"]
