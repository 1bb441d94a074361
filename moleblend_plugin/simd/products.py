"""Products of small matrices in fp32, for compiled loops (Numba).

A library takes longer to be called than to multiply matrices of a molecule's size.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from moleblend_plugin.schema import Float32Array
from moleblend_plugin.simd.vectors import FLOATS, LANES, Compiling, multiply_add, spread_over


def _tile(rows: int, vectors: int) -> Callable[..., None]:
    """``c += a b`` for ``rows`` rows of ``a`` and 8 ``vectors`` columns of ``b``, kept in registers."""

    @intrinsic
    def tile(
        typingctx: Compiling,
        a: Compiling,
        a_first: Compiling,
        a_row: Compiling,
        a_step: Compiling,
        b: Compiling,
        b_first: Compiling,
        b_row: Compiling,
        c: Compiling,
        c_first: Compiling,
        c_row: Compiling,
        inner: Compiling,
    ) -> Compiling:
        number = types.intp
        signature = types.void(a, *[number] * 3, b, *[number] * 2, c, *[number] * 2, number)

        def codegen(
            context: Compiling, builder: Compiling, signature: Compiling, args: Compiling
        ) -> Compiling:
            _write_tile(context, builder, signature, args, rows, vectors)
            return context.get_dummy_value()

        return signature, codegen

    return tile  # type: ignore[no-any-return]


def _write_tile(
    context: Compiling,
    builder: Compiling,
    signature: Compiling,
    args: Compiling,
    rows: int,
    vectors: int,
) -> None:
    """The instructions of :func:`_tile`."""
    a, a_first, a_row, a_step, b, b_first, b_row, c, c_first, c_row, inner = args

    def data(place: int, value: Compiling) -> Compiling:
        return context.make_array(signature.args[place])(context, builder, value).data

    of_a, of_b, of_c = data(0, a), data(4, b), data(7, c)

    def constant(value: int) -> Compiling:
        return ir.Constant(a_first.type, value)

    def at(base: Compiling, index: Compiling) -> Compiling:
        return builder.bitcast(builder.gep(base, [index]), FLOATS.as_pointer())

    sums = [[cgutils.alloca_once(builder, FLOATS) for _ in range(vectors)] for _ in range(rows)]
    places = [
        [
            at(
                of_c,
                builder.add(builder.add(c_first, builder.mul(c_row, constant(row))), constant(LANES * v)),
            )
            for v in range(vectors)
        ]
        for row in range(rows)
    ]
    for row in range(rows):
        for v in range(vectors):
            builder.store(builder.load(places[row][v], align=4), sums[row][v])
    with cgutils.for_range(builder, inner) as loop:
        begin = builder.add(b_first, builder.mul(loop.index, b_row))
        right = [
            builder.load(at(of_b, builder.add(begin, constant(LANES * v))), align=4) for v in range(vectors)
        ]
        column = builder.add(a_first, builder.mul(loop.index, a_step))
        for row in range(rows):
            left = builder.load(builder.gep(of_a, [builder.add(column, builder.mul(a_row, constant(row)))]))
            lanes = spread_over(builder, left, FLOATS)
            for v in range(vectors):
                more = multiply_add(builder, lanes, right[v], builder.load(sums[row][v]))
                builder.store(more, sums[row][v])
    for row in range(rows):
        for v in range(vectors):
            builder.store(builder.load(sums[row][v]), places[row][v], align=4)


_four_two, _four_one = _tile(4, 2), _tile(4, 1)
_three_two, _three_one = _tile(3, 2), _tile(3, 1)
_two_two, _two_one = _tile(2, 2), _tile(2, 1)
_one_two, _one_one = _tile(1, 2), _tile(1, 1)


@njit(inline="never", cache=True, nogil=True)
def add_product(
    a: Float32Array,
    a_first: int,
    a_row: int,
    a_step: int,
    b: Float32Array,
    b_first: int,
    b_row: int,
    c: Float32Array,
    c_first: int,
    c_row: int,
    rows: int,
    inner: int,
    columns: int,
) -> None:
    """``c += a b`` in fp32, of matrices in flat arrays.

    Args:
        a: the left matrix; it may lie either way round.
        a_first: place of its first number.
        a_row: distance of its rows.
        a_step: distance of its columns.
        b: the right matrix, whose columns are neighbours.
        b_first: place of its first number.
        b_row: distance of its rows.
        c: the result, likewise.
        c_first: place of its first number.
        c_row: distance of its rows.
        rows: of ``a`` and ``c``.
        inner: columns of ``a``, rows of ``b``.
        columns: of ``b`` and ``c``, a multiple of ``LANES``.
    """
    whole, twice = rows // 4 * 4, columns // (2 * LANES) * (2 * LANES)
    for row in range(0, whole, 4):
        left, to = a_first + row * a_row, c_first + row * c_row
        for j in range(0, twice, 2 * LANES):
            _four_two(a, left, a_row, a_step, b, b_first + j, b_row, c, to + j, c_row, inner)
        if twice < columns:
            _four_one(a, left, a_row, a_step, b, b_first + twice, b_row, c, to + twice, c_row, inner)
    left, to, rest = a_first + whole * a_row, c_first + whole * c_row, rows - whole
    for j in range(0, twice, 2 * LANES):
        if rest == 3:
            _three_two(a, left, a_row, a_step, b, b_first + j, b_row, c, to + j, c_row, inner)
        elif rest == 2:
            _two_two(a, left, a_row, a_step, b, b_first + j, b_row, c, to + j, c_row, inner)
        elif rest == 1:
            _one_two(a, left, a_row, a_step, b, b_first + j, b_row, c, to + j, c_row, inner)
    if twice < columns:
        if rest == 3:
            _three_one(a, left, a_row, a_step, b, b_first + twice, b_row, c, to + twice, c_row, inner)
        elif rest == 2:
            _two_one(a, left, a_row, a_step, b, b_first + twice, b_row, c, to + twice, c_row, inner)
        elif rest == 1:
            _one_one(a, left, a_row, a_step, b, b_first + twice, b_row, c, to + twice, c_row, inner)
