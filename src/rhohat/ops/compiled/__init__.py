"""Primitives that Numba compiles for the processor at hand; importing a module of this folder imports Numba."""
