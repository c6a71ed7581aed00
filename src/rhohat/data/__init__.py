"""Sources of training rows: row sources, labels, images, patches of images, and the preprocessing before learning."""

from rhohat.data.activation_scaling import ActivationScaler
from rhohat.data.harvested import HarvestIndex
from rhohat.data.images import sample_patches, whiten_image
from rhohat.data.imputing import MeanImputer
from rhohat.data.labels import open_labels
from rhohat.data.photographs import photographs
from rhohat.data.preprocessing import PatchNormalizer, RangeScaler, ZCAWhitening
from rhohat.data.readers import read_images
from rhohat.data.rows import RowSource, open_rows, open_table
from rhohat.data.sequences import as_sequences
from rhohat.data.synthetic import SyntheticFeatures, synthetic_features
from rhohat.data.table_preprocessing import TablePreprocessor
from rhohat.data.tangents import image_tangents

__all__ = [
    "ActivationScaler",
    "HarvestIndex",
    "MeanImputer",
    "PatchNormalizer",
    "RangeScaler",
    "RowSource",
    "SyntheticFeatures",
    "TablePreprocessor",
    "ZCAWhitening",
    "as_sequences",
    "image_tangents",
    "open_labels",
    "open_rows",
    "open_table",
    "photographs",
    "read_images",
    "sample_patches",
    "synthetic_features",
    "whiten_image",
]
