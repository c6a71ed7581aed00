"""Models: estimators, pipelines that end in an estimator, the registry of their parts, and the model file."""
