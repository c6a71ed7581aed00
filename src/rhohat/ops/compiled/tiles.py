"""The innermost loops of matrix products, written in LLVM's language: tiles that stay in the processor's registers.

A product C = A B of narrow matrices takes BLAS about as long to prepare as to compute. Here a tile of a few rows and a
few vectors of C stays in registers while a loop over k adds a_ik times row k of B to each of its rows, and B may be
read where it is. The loop is written in LLVM's language, because a compiler left to itself does not find this form.
LLVM splits vectors that are longer than those of the processor.

The tiles are as large as the registers allow: of 32 registers, 24 hold vectors of C, and of 16 registers, 12 do.

Matrices are copied vector by vector, and transposed matrices in square tiles, of which rows are read and columns are
written as whole vectors.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

__all__ = ["LANES", "ROWS", "TILES", "copy_vector", "transpose_tile"]

_FEATURES = set(cpu_target.target_context.codegen().magic_tuple()[2].split(","))
_HAS_AVX512 = "+avx512f" in _FEATURES
_HAS_32_REGISTERS = _HAS_AVX512 or "+neon" in _FEATURES

#: Numbers in a vector of float64 numbers; there are twice as many float32 numbers.
LANES = 8 if _HAS_AVX512 else 4 if "+avx" in _FEATURES else 2
#: Rows of a tile, by the number of vectors in a row; a tile has no more vectors in a row than are listed here.
ROWS = (0, 8, 8, 8, 6) if _HAS_32_REGISTERS else (0, 8, 6, 4)

_INT = ir.IntType(64)
_INT_32 = ir.IntType(32)


class _Code:
    """The code of a tile: vectors of one type, read and written at addresses that are given as integers."""

    def __init__(self, builder: Any, is_double: bool, tail: Any) -> None:
        self.builder = builder
        self.number = ir.DoubleType() if is_double else ir.FloatType()
        self.size = 8 if is_double else 4
        self.lanes = LANES if is_double else 2 * LANES
        self.vector = ir.VectorType(self.number, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{8 * self.size}"
        counting = ir.Constant(ir.VectorType(_INT, self.lanes), list(range(self.lanes)))
        #: Of the last vector of a row, which entries are part of the matrix.
        self.mask = builder.icmp_signed("<", counting, self.broadcast(tail))

    def broadcast(self, number: Any) -> Any:
        """Return a vector of which every entry is the given number."""
        undefined = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, number, _INT_32(0))
        zeros = ir.Constant(ir.VectorType(_INT_32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def bytes_of(self, count: Any) -> Any:
        """Return the size of some numbers in bytes."""
        return self.builder.mul(count, _INT(self.size))

    def load_number(self, address: Any) -> Any:
        """Return the number at an address."""
        return self.builder.load(self.builder.inttoptr(address, self.number.as_pointer()), align=self.size)

    def load_row(self, address: Any, n_vectors: int) -> list[Any]:
        """Return successive vectors."""
        return [self.builder.load(self._pointer(address, v), align=self.size) for v in range(n_vectors)]

    def store(self, vector: Any, address: Any) -> None:
        """Write a vector."""
        self.builder.store(vector, self._pointer(address, 0), align=self.size)

    def interleave(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return the entries x₀, y₀, x₁, y₁ and so on, as two vectors."""
        places = [place + of for place in range(self.lanes) for of in (0, self.lanes)]
        halves = places[: self.lanes], places[self.lanes :]
        kind = ir.VectorType(_INT_32, self.lanes)
        first, second = (self.builder.shuffle_vector(x, y, ir.Constant(kind, half)) for half in halves)
        return first, second

    def load_row_of_matrix(self, address: Any, n_vectors: int) -> list[Any]:
        """Return successive vectors; of the last one, only what is part of the matrix, and zeros."""
        function = self._function(
            "llvm.masked.load", self.vector, self._pointer_type, _INT_32, self.mask.type, self.vector
        )
        last = [self._pointer(address, n_vectors - 1), _INT_32(self.size), self.mask, self.zero]
        return [*self.load_row(address, n_vectors - 1), self.builder.call(function, last)]

    def store_row_of_matrix(self, vectors: list[Any], address: Any) -> None:
        """Write successive vectors; of the last one, only what is part of the matrix."""
        for place, vector in enumerate(vectors[:-1]):
            self.builder.store(vector, self._pointer(address, place), align=self.size)
        store = self._function(
            "llvm.masked.store", ir.VoidType(), self.vector, self._pointer_type, _INT_32, self.mask.type
        )
        place = len(vectors) - 1
        self.builder.call(store, [vectors[-1], self._pointer(address, place), _INT_32(self.size), self.mask])

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """Return x y + z."""
        function = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(self._declared(f"llvm.fmuladd.{self.name}", function), [x, y, z])

    @property
    def _pointer_type(self) -> Any:
        return self.vector.as_pointer()

    def _pointer(self, address: Any, vector: int) -> Any:
        moved = self.builder.add(address, _INT(vector * self.lanes * self.size))
        return self.builder.inttoptr(moved, self._pointer_type)

    def _function(self, name: str, returned: Any, *arguments: Any) -> Any:
        return self._declared(f"{name}.{self.name}.p0", ir.FunctionType(returned, list(arguments)))

    def _declared(self, name: str, function: Any) -> Any:
        known = self.builder.module.globals.get(name)
        return ir.Function(self.builder.module, function, name) if known is None else known


def _make_tile(n_rows: int, n_vectors: int) -> Any:
    @intrinsic
    def tile(
        context: Any,
        like: Any,
        a: Any,
        a_row: Any,
        a_k: Any,
        b: Any,
        b_k: Any,
        c: Any,
        c_row: Any,
        n_k: Any,
        tail: Any,
        skipped: Any,
        add: Any,
    ) -> Any:
        """Write a tile of A B, or add it to what is there.

        Parameters
        ----------
        like : float64 or float32
            A number of the dtype of the matrices.
        a, b, c : int
            Addresses of the first entries of A, B and the tile. B is read in whole vectors, of which the numbers after
            column `tail` of the last one do not matter.
        a_row, a_k : int
            Distances, in numbers, of successive rows and columns of A.
        b_k, c_row : int
            Distances, in numbers, of successive rows of B and of the tile.
        n_k : int
            Number of columns of A and rows of B.
        tail : int
            Number of columns of the last vector of the tile.
        skipped : int
            Number of rows at the beginning of the tile that are left as they are.
        add : bool
            Whether the product is added to the tile.
        """
        signature = types.void(like, *[types.intp] * 10, types.boolean)

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            _write_tile(builder, signature.args[0] == types.float64, n_rows, n_vectors, *arguments[1:])
            return context.get_dummy_value()

        return signature, generate

    return tile


@intrinsic
def copy_vector(context: Any, like: Any, a: Any, out: Any, n: Any) -> Any:
    """Write a whole vector at the address `out`: the first n numbers at the address `a`, or all, and then zeros."""
    signature = types.void(like, *[types.intp] * 3)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(builder, signature.args[0] == types.float64, arguments[3])
        code.store(code.load_row_of_matrix(arguments[1], 1)[0], arguments[2])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def transpose_tile(context: Any, like: Any, a: Any, a_row: Any, out: Any, out_row: Any) -> Any:
    """Write the transpose of a square tile, which has as many rows as there are numbers in a vector.

    Parameters
    ----------
    like : float64 or float32
        A number of the dtype of the matrices.
    a, out : int
        Addresses of the first entries of the tile and of its transpose.
    a_row, out_row : int
        Distances, in numbers, of successive rows of the tile and of its transpose.
    """
    signature = types.void(like, *[types.intp] * 4)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _write_transpose(builder, signature.args[0] == types.float64, *arguments[1:])
        return context.get_dummy_value()

    return signature, generate


def _write_transpose(builder: Any, is_double: bool, a: Any, a_row: Any, out: Any, out_row: Any) -> None:
    """Write the code that transposes a square tile.

    Interleaving row i with row i + n/2, for each i, moves the highest bit of the number of each entry's row to the
    lowest place in the number of its column, and the other way round. Once all bits have moved, the tile is transposed.
    """
    code = _Code(builder, is_double, _INT(0))
    a_row, out_row = code.bytes_of(a_row), code.bytes_of(out_row)
    rows = []
    for _ in range(code.lanes):
        rows += code.load_row(a, 1)
        a = builder.add(a, a_row)
    half = code.lanes // 2
    for _ in range(code.lanes.bit_length() - 1):
        rows = [one for pair in zip(rows[:half], rows[half:], strict=True) for one in code.interleave(*pair)]
    for row in rows:
        code.store(row, out)
        out = builder.add(out, out_row)


def _write_tile(builder: Any, is_double: bool, n_rows: int, n_vectors: int, *arguments: Any) -> None:
    """Write the code of a tile."""
    a, a_row, a_k, b, b_k, c, c_row, n_k, tail, skipped, add = arguments
    code = _Code(builder, is_double, tail)
    a_row, a_k, b_k, c_row = (code.bytes_of(distance) for distance in (a_row, a_k, b_k, c_row))
    places_a, places_c = [_INT(0)], [c]
    for _ in range(n_rows - 1):
        places_a.append(builder.add(places_a[-1], a_row))
        places_c.append(builder.add(places_c[-1], c_row))
    before = builder.block
    head, body, after = (builder.append_basic_block(name) for name in ("head", "body", "after"))
    builder.branch(head)

    builder.position_at_end(head)
    starts = [_INT(0), a, b, *[code.zero] * (n_rows * n_vectors)]
    variables = [builder.phi(start.type) for start in starts]
    for variable, start in zip(variables, starts, strict=True):
        variable.add_incoming(start, before)
    k, at_a, at_b, *tile = variables
    builder.cbranch(builder.icmp_signed("<", k, n_k), body, after)

    builder.position_at_end(body)
    row_of_b = code.load_row(at_b, n_vectors)
    following = [builder.add(k, _INT(1)), builder.add(at_a, a_k), builder.add(at_b, b_k)]
    for row, place in enumerate(places_a):
        factor = code.broadcast(code.load_number(builder.add(at_a, place)))
        sums = tile[row * n_vectors : (row + 1) * n_vectors]
        following += [code.multiply_add(factor, one, total) for one, total in zip(row_of_b, sums, strict=True)]
    for variable, value in zip(variables, following, strict=True):
        variable.add_incoming(value, body)
    builder.branch(head)

    builder.position_at_end(after)
    for row, place in enumerate(places_c):
        vectors = tile[row * n_vectors : (row + 1) * n_vectors]
        with builder.if_then(builder.icmp_signed(">=", _INT(row), skipped)), builder.if_else(add) as (adds, writes):
            with adds:
                known = code.load_row_of_matrix(place, n_vectors)
                code.store_row_of_matrix([builder.fadd(x, y) for x, y in zip(known, vectors, strict=True)], place)
            with writes:
                code.store_row_of_matrix(vectors, place)


#: Functions that write a tile of `ROWS[n]` rows, for n = 1, 2, ... vectors in a row.
TILES = tuple(_make_tile(n_rows, n_vectors) for n_vectors, n_rows in enumerate(ROWS) if n_vectors > 0)
