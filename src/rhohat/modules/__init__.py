"""Neural networks of PyTorch: their layers found, read and replaced, and their activations as rows."""
