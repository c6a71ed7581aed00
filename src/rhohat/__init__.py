"""Sparse features from unlabelled data: autoencoders in closed form, behind the scikit-learn contract."""

from importlib.metadata import version

from rhohat.data import (
    PatchNormalizer,
    ZCAWhitening,
    photographs,
    read_images,
    sample_patches,
    whiten_image,
)
from rhohat.estimators import SparseAutoencoder
from rhohat.gabor import gabor_fit
from rhohat.gradcheck import GradientCheck, check_gradient
from rhohat.plots import plot_filters, plot_kl, plot_loss_curve, plot_reconstructions

__all__ = [
    "GradientCheck",
    "PatchNormalizer",
    "SparseAutoencoder",
    "ZCAWhitening",
    "check_gradient",
    "gabor_fit",
    "photographs",
    "plot_filters",
    "plot_kl",
    "plot_loss_curve",
    "plot_reconstructions",
    "read_images",
    "sample_patches",
    "whiten_image",
]

__version__ = version("rhohat")
