"""Estimators: scikit-learn's contract on top of networks, objectives and solvers.

A class that is imported here is known to model files and to the command line.
"""

from rhohat.estimators.contractive_autoencoder import ContractiveAutoencoder as ContractiveAutoencoder
from rhohat.estimators.convolutional_autoencoder import ConvolutionalAutoencoder as ConvolutionalAutoencoder
from rhohat.estimators.convolutional_classifier import ConvolutionalClassifier as ConvolutionalClassifier
from rhohat.estimators.convolved_features import ConvolvedFeatures as ConvolvedFeatures
from rhohat.estimators.deep_autoencoder import DeepAutoencoder as DeepAutoencoder
from rhohat.estimators.denoising_autoencoder import DenoisingAutoencoder as DenoisingAutoencoder
from rhohat.estimators.feedforward_classifier import FeedforwardClassifier as FeedforwardClassifier
from rhohat.estimators.feedforward_regressor import FeedforwardRegressor as FeedforwardRegressor
from rhohat.estimators.softmax_regression import SoftmaxRegression as SoftmaxRegression
from rhohat.estimators.sparse_autoencoder import SparseAutoencoder as SparseAutoencoder
from rhohat.estimators.stacked_autoencoder import StackedAutoencoder as StackedAutoencoder
from rhohat.estimators.stacked_classifier import StackedAutoencoderClassifier as StackedAutoencoderClassifier
