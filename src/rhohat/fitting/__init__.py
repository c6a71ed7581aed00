"""The part of a fit that does not depend on scikit-learn: training, memory plans, checkpoints, forward passes."""
