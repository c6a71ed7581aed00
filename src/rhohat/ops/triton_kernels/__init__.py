"""Primitives of sparse codes that Triton compiles for GPUs; importing a module of this folder imports Triton.

Each module has kernels, and a function that starts them for tensors. Kernels add up in float32, or in float64 for
numbers of float64, always in the same order, and with no atomic operation, so that the same call gives the same bits.
"""
