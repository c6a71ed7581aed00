"""Primitives that the mathematical code calls, with an implementation for each array library.

The formulas of layers, losses and penalties are written once, in the classes that they belong to. They call primitives:
products, sums over rows, the sigmoid, the softmax, the step of an optimiser. Each primitive is coarse enough for a
library to have its own implementation. The NumPy implementation is the reference; tests show that the PyTorch
implementation agrees with it.

The array type of the rows determines the library, and for NumPy's arrays the amount of work decides whether compiled
primitives are used; see `ops_for`. This is chosen once for a problem, whose `Cost` consists of parts that hold the
primitives; see `WithOps`. To add a library, write a class that derives from `Ops`, and add it to `ops_of`.
"""

from rhohat.ops.base import Ops
from rhohat.ops.choice import check_ops, code_ops_of, compiled_or_numpy, ops_for, ops_named, ops_of, wanted_ops
from rhohat.ops.fused import ChainPasses
from rhohat.ops.numpy_ops import NUMPY, NumpyOps
from rhohat.ops.with_ops import WithOps

__all__ = [
    "NUMPY",
    "ChainPasses",
    "NumpyOps",
    "Ops",
    "WithOps",
    "check_ops",
    "code_ops_of",
    "compiled_or_numpy",
    "ops_for",
    "ops_named",
    "ops_of",
    "wanted_ops",
]
