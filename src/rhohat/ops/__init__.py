"""The primitives that the mathematics is made of, for each array library.

Formulas of layers, losses and penalties stand once, beside what they belong to. They call primitives: products, sums
over rows, the sigmoid, the softmax, the step of an optimiser, each of them coarse enough that a library can have a form
of its own for it. NumPy's are the reference; PyTorch's agree with them, which tests show.

Which library it is follows from the rows, and is settled once for a problem: its `Cost` is made of parts that have the
primitives at hand, see `WithOps`. To add a library: a class that derives from `Ops`, and its place in `ops_of`.
"""

from rhohat.ops.base import Ops
from rhohat.ops.choice import ops_of
from rhohat.ops.numpy_ops import NUMPY, NumpyOps
from rhohat.ops.with_ops import WithOps

__all__ = ["NUMPY", "NumpyOps", "Ops", "WithOps", "ops_of"]
