"""Estimators: scikit-learn's contract on top of networks, objectives and solvers."""

from rhohat.estimators.contractive_autoencoder import ContractiveAutoencoder
from rhohat.estimators.convolutional_autoencoder import ConvolutionalAutoencoder
from rhohat.estimators.convolutional_classifier import ConvolutionalClassifier
from rhohat.estimators.convolved_features import ConvolvedFeatures
from rhohat.estimators.deep_autoencoder import DeepAutoencoder
from rhohat.estimators.denoising_autoencoder import DenoisingAutoencoder
from rhohat.estimators.feedforward_classifier import FeedforwardClassifier
from rhohat.estimators.feedforward_regressor import FeedforwardRegressor
from rhohat.estimators.softmax_regression import SoftmaxRegression
from rhohat.estimators.sparse_autoencoder import SparseAutoencoder
from rhohat.estimators.stacked_autoencoder import StackedAutoencoder
from rhohat.estimators.stacked_classifier import StackedAutoencoderClassifier

__all__ = [
    "ContractiveAutoencoder",
    "ConvolutionalAutoencoder",
    "ConvolutionalClassifier",
    "ConvolvedFeatures",
    "DeepAutoencoder",
    "DenoisingAutoencoder",
    "FeedforwardClassifier",
    "FeedforwardRegressor",
    "SoftmaxRegression",
    "SparseAutoencoder",
    "StackedAutoencoder",
    "StackedAutoencoderClassifier",
]
