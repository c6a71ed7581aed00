"""Compile every kernel for an H100, which needs none: print the names, and fail where one adds up in any order.

Run as ``python -m tests.ops.compiling_for_gpus`` with TRITON_INTERPRET=0. The primitives are called with tensors that
have no numbers, so that it is an error to wait for one, and each kernel that they would start is compiled instead.
"""

import re
import warnings

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction, mangle_type

from rhohat.ops.code_ops import Codes
from rhohat.ops.torch_code_ops import TorchCodeOps
from rhohat.ops.torch_learning import AdamStep, LearnedRows

H100 = GPUTarget("cuda", 90, 32)


class Compiling:
    """Stands for a kernel on a grid."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __call__(self, *arguments, **settings):
        names = [parameter.name for parameter in self.kernel.params]
        options = {name: settings.pop(name) for name in settings.keys() - set(names)}
        given = dict(zip(names, arguments, strict=False)) | settings
        constants, signature, attributes = {}, {}, {}
        for place, parameter in enumerate(self.kernel.params):
            value = given[parameter.name]
            signature[parameter.name] = "constexpr"
            is_one = isinstance(value, int) and value == 1  # which Triton takes as a constant
            if parameter.is_constexpr or value is None or is_one:
                constants[(place,)] = value
                continue
            signature[parameter.name] = mangle_type(value)
            if isinstance(value, torch.Tensor) or value % 16 == 0:
                attributes[(place,)] = [["tt.divisibility", 16]]
        source = ASTSource(self.kernel, signature, constants, attributes)
        text = triton.compile(source, target=H100, options=options).asm["ptx"]
        assert not re.search(r"\b(atom|red)\.", text), self.kernel.__name__
        print(self.kernel.__name__)


def call_all(dtype, products, n_features, ends, n_rows=8, k=3):
    """Call every primitive that starts kernels."""
    n_latents = ends[-1]
    ops = TorchCodeOps(kernels=True, products=products)
    X, W = torch.zeros(n_rows, n_features, dtype=dtype), torch.zeros(n_latents, n_features, dtype=dtype)
    bias = torch.zeros(n_latents, dtype=dtype)
    codes = ops.largest(X, W, bias, k)
    codes = Codes(torch.arange(n_rows + 1) * k, torch.zeros_like(codes.latents), torch.zeros_like(codes.values))
    out, errors = X.new_empty(len(ends), n_rows, n_features), torch.empty(n_rows, dtype=torch.float64)
    ops.residuals(codes, slice(0, n_rows), W, X[0], X, torch.tensor(ends), 1.0, out, errors, codes.values)
    many = Codes(
        torch.arange(n_rows + 1) * 300, *codes.latents.new_zeros(1, 300 * n_rows), *bias.new_zeros(1, 300 * n_rows)
    )
    by_latent, whole = ops.by_latent(many, n_latents), slice(1 if n_rows == 1 else 0, n_latents)
    ops.gather(by_latent, whole, many.values, X, torch.empty_like(W))
    plain = LearnedRows(W, W, W, many.values, X.bfloat16())
    extra_of = torch.zeros(n_latents, dtype=torch.int32)
    more = LearnedRows(W, W, W, many.values, X, bias, W, extra_of, on_sphere=True)
    for rows, finite in ((plain, None), (more, torch.tensor(True))):
        ops.learn(by_latent, whole, rows, AdamStep((0.9, 0.999), 0.1, 1e-8), finite)


def call_collecting(dtype, values):
    """Call what counts and writes; the counts, which no kernel has written, are set to 1."""
    from rhohat.ops.triton_kernels import collecting

    a, empty = torch.zeros(8, 48, dtype=dtype), torch.empty
    torch.empty = torch.ones
    try:
        collecting.collect(a, torch.zeros(48, dtype=values), values)
    finally:
        torch.empty = empty


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    JITFunction.__getitem__ = lambda kernel, grid: Compiling(kernel)
    with torch.device("meta"):
        call_all(torch.float32, "bfloat16", 768, [48])
        call_all(torch.float64, "exact", 37, [5, 48])
        call_all(torch.float32, "tf32", 1, [1, 2], n_rows=1, k=1)
    call_collecting(torch.bfloat16, torch.float32)
    call_collecting(torch.float64, torch.float64)
