"""Sparse features from unlabelled data: autoencoders with closed-form gradients and scikit-learn's interface."""

from rhohat.common.stand_ins import stand_ins

# Imported first, since the parts of SciPy that scikit-learn needs import faster this way, and without packages that
# only functions need which rhohat does not call; together this halves the time. See `make bench CASE=import`.
with stand_ins():
    import sklearn.base  # noqa: F401

from rhohat import callbacks  # noqa: I001
from rhohat.common.versions import version_of
from rhohat.inspection import metrics
from rhohat.layers.architecture import (
    GRU,
    LSTM,
    Convolution,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
    MeanPooling,
    Recurrent,
    TransposedConvolution,
    Upsampling,
)
from rhohat.layers.activations import LeakyReLU, Maxout, ParametricReLU
from rhohat.terms.corruption import GaussianNoise, MaskingNoise, SaltAndPepperNoise
from rhohat.data import (
    ActivationScaler,
    HarvestIndex,
    MeanImputer,
    PatchNormalizer,
    RangeScaler,
    RowSource,
    SyntheticFeatures,
    TablePreprocessor,
    ZCAWhitening,
    as_sequences,
    image_tangents,
    open_labels,
    open_rows,
    open_table,
    photographs,
    read_images,
    sample_patches,
    synthetic_features,
    whiten_image,
)
from rhohat.engines import DaskEngine, TorchEngine
from rhohat.estimators import (
    fit_together,
    Transcoder,
    AutoencoderDetector,
    TopKAutoencoder,
    MatryoshkaAutoencoder,
    L1Autoencoder,
    JumpReLUAutoencoder,
    GatedAutoencoder,
    BatchTopKAutoencoder,
    ContractiveAutoencoder,
    ConvolutionalAutoencoder,
    ConvolutionalClassifier,
    ConvolvedFeatures,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    RecurrentAutoencoder,
    RecurrentClassifier,
    RecurrentRegressor,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
)
from rhohat.inspection.evaluated import DictionaryEvaluation, Evaluation
from rhohat.inspection.column_plots import plot_columns
from rhohat.inspection.evaluation import evaluate
from rhohat.common.exceptions import CheckpointError, ClusterError, DeadLatentsWarning, ModelFileError
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.inspection.feature_maps import feature_maps
from rhohat.inspection.gabor import gabor_fit
from rhohat.checking.gradcheck import GradientCheck, check_gradient
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import GaussianLoss, LabelNoiseCrossEntropy
from rhohat.models.components import register
from rhohat.models.explaining import explain
from rhohat.models.model_card import ModelCard
from rhohat.models.formats import export, load
from rhohat.models.model_file import save
from rhohat.modules.activations import activations
from rhohat.modules.evaluating import InModelEvaluation, evaluate_in_model
from rhohat.modules.harvest import harvest
from rhohat.modules.interventions import ablate, splice, steer
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from rhohat.inspection.plots import plot_feature_maps, plot_filters, plot_kl, plot_loss_curve, plot_reconstructions
from rhohat.inspection.sequence_plots import plot_activations
from rhohat.inspection.reporting import report
from rhohat.solvers import LBFGS, SGD, Adam, ConjugateGradient, GradientDescent, NewtonCG

__all__ = [
    "GRU",
    "LBFGS",
    "LSTM",
    "SGD",
    "ActivationScaler",
    "Adam",
    "AutoencoderDetector",
    "BatchTopKAutoencoder",
    "Checkpoint",
    "CheckpointError",
    "ClusterError",
    "ConjugateGradient",
    "Contraction",
    "ContractiveAutoencoder",
    "Convolution",
    "ConvolutionalAutoencoder",
    "ConvolutionalClassifier",
    "ConvolvedFeatures",
    "DaskEngine",
    "DeadLatentsWarning",
    "DeepAutoencoder",
    "DenoisingAutoencoder",
    "Dense",
    "DictionaryEvaluation",
    "Dropout",
    "Evaluation",
    "FeedforwardClassifier",
    "FeedforwardRegressor",
    "Flatten",
    "GatedAutoencoder",
    "GaussianLoss",
    "GaussianNoise",
    "GradientCheck",
    "GradientDescent",
    "HarvestIndex",
    "InModelEvaluation",
    "JumpReLUAutoencoder",
    "KLSparsity",
    "L1Autoencoder",
    "L1Sparsity",
    "LabelNoiseCrossEntropy",
    "LeakyReLU",
    "MaskingNoise",
    "MatryoshkaAutoencoder",
    "MaxPooling",
    "Maxout",
    "MeanImputer",
    "MeanPooling",
    "ModelCard",
    "ModelFileError",
    "NewtonCG",
    "ParametricReLU",
    "PatchNormalizer",
    "RangeScaler",
    "Recurrent",
    "RecurrentAutoencoder",
    "RecurrentClassifier",
    "RecurrentRegressor",
    "RowSource",
    "SaltAndPepperNoise",
    "SoftmaxRegression",
    "SparseAutoencoder",
    "StackedAutoencoder",
    "StackedAutoencoderClassifier",
    "SyntheticFeatures",
    "TablePreprocessor",
    "TangentPropagation",
    "TopKAutoencoder",
    "TorchEngine",
    "Transcoder",
    "TransposedConvolution",
    "Upsampling",
    "WeightDecay",
    "ZCAWhitening",
    "ablate",
    "activations",
    "as_sequences",
    "callbacks",
    "check_gradient",
    "evaluate",
    "evaluate_in_model",
    "explain",
    "export",
    "feature_maps",
    "fit_together",
    "gabor_fit",
    "harvest",
    "image_tangents",
    "load",
    "metrics",
    "open_labels",
    "open_rows",
    "open_table",
    "photographs",
    "plot_activations",
    "plot_columns",
    "plot_feature_maps",
    "plot_filters",
    "plot_kl",
    "plot_loss_curve",
    "plot_reconstructions",
    "read_images",
    "register",
    "report",
    "sample_patches",
    "save",
    "splice",
    "steer",
    "synthetic_features",
    "whiten_image",
]

__version__ = version_of("rhohat")
