"""Arithmetic of vectors of eight fp32 numbers for compiled loops (Numba), and products of small matrices.

Numba calls the C library for an exponential, one number at a time, computes 32-bit integers in 64 bits, and leaves
loops as short as a molecule's atoms without vector instructions. The functions here are such instructions. They
work inside of compiled functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES: Final = 8
"""Numbers of a vector: rows of what is computed are padded to a multiple of it."""

FAST: Final = {"reassoc", "contract", "arcp", "nsz"}
"""``fastmath`` of compiled functions: sums in any order, but NaN and infinity stay what they are."""

_FLOAT: Final = ir.FloatType()
_WORD: Final = ir.IntType(32)
_FLOATS: Final = ir.VectorType(_FLOAT, LANES)
_WORDS: Final = ir.VectorType(_WORD, LANES)
_CONTRACT: Final = ("contract",)

_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Of Cephes' polynomial, from the highest power on."""


class _Vector(types.Type):  # type: ignore[misc]  Numba has no types of its own
    """The type of a vector in compiled functions."""

    def __init__(self) -> None:
        super().__init__(name="vector of 8 fp32")


_VECTOR: Final = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, of: Any) -> None:  # noqa: ANN401
        super().__init__(manager, of, _FLOATS)


def _floats(value: float) -> Any:  # noqa: ANN401
    return ir.Constant(_FLOATS, [value] * LANES)


def _words(values: int | Sequence[int]) -> Any:  # noqa: ANN401
    return ir.Constant(_WORDS, [values] * LANES if isinstance(values, int) else list(values))


def _spread(builder: Any, scalar: Any, of: Any) -> Any:  # noqa: ANN401
    first = builder.insert_element(ir.Constant(of, ir.Undefined), scalar, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(first, ir.Constant(of, ir.Undefined), _words(0))


def _muladd(builder: Any, left: Any, right: Any, add: Any) -> Any:  # noqa: ANN401
    return builder.fadd(builder.fmul(left, right, flags=_CONTRACT), add, flags=_CONTRACT)


def _place(context: Any, builder: Any, array_type: Any, array: Any, index: Any, of: Any) -> Any:  # noqa: ANN401
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), of.as_pointer())


def _halved(builder: Any, vector: Any, combine: Callable[[Any, Any], Any]) -> Any:  # noqa: ANN401
    """All lanes combined into one number."""
    for distance in (4, 2, 1):
        moved = _words([(lane + distance) % LANES for lane in range(LANES)])
        vector = combine(vector, builder.shuffle_vector(vector, vector, moved))
    return builder.extract_element(vector, ir.Constant(_WORD, 0))


def _operation(arguments: Sequence[Any], result: Any, emit: Callable[..., Any]) -> Any:  # noqa: ANN401
    """A signature and the instructions that ``emit(builder, *values)`` writes."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
        return emit(builder, *values)

    return result(*arguments), codegen


@intrinsic
def load(typingctx: Any, array: Any, first: Any) -> Any:  # noqa: ANN401
    """Eight neighbours of a flat fp32 array."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401
        return builder.load(_place(context, builder, signature.args[0], *args, _FLOATS), align=4)

    return _VECTOR(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, first: Any, vector: Any) -> Any:  # noqa: ANN401
    """Write them there."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401
        builder.store(args[2], _place(context, builder, signature.args[0], *args[:2], _FLOATS), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, _VECTOR), codegen


@intrinsic
def spread(typingctx: Any, value: Any) -> Any:  # noqa: ANN401
    """One number in all lanes."""
    return _operation([types.float32], _VECTOR, lambda builder, x: _spread(builder, x, _FLOATS))


@intrinsic
def plus(typingctx: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    """Sum."""
    return _operation([_VECTOR] * 2, _VECTOR, lambda builder, x, y: builder.fadd(x, y))


@intrinsic
def minus(typingctx: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    """Difference."""
    return _operation([_VECTOR] * 2, _VECTOR, lambda builder, x, y: builder.fsub(x, y))


@intrinsic
def times(typingctx: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    """Product."""
    return _operation([_VECTOR] * 2, _VECTOR, lambda builder, x, y: builder.fmul(x, y))


@intrinsic
def over(typingctx: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    """Quotient."""
    return _operation([_VECTOR] * 2, _VECTOR, lambda builder, x, y: builder.fdiv(x, y))


@intrinsic
def muladd(typingctx: Any, left: Any, right: Any, add: Any) -> Any:  # noqa: ANN401
    """``left * right + add``."""
    return _operation([_VECTOR] * 3, _VECTOR, _muladd)


def _larger(builder: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def _smaller(builder: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    return builder.select(builder.fcmp_ordered("<", left, right), left, right)


@intrinsic
def larger(typingctx: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    """The larger of each two; NaN where ``right`` is."""
    return _operation([_VECTOR] * 2, _VECTOR, _larger)


@intrinsic
def smaller(typingctx: Any, left: Any, right: Any) -> Any:  # noqa: ANN401
    """The smaller of each two; NaN where ``right`` is."""
    return _operation([_VECTOR] * 2, _VECTOR, _smaller)


@intrinsic
def magnitude(typingctx: Any, vector: Any) -> Any:  # noqa: ANN401
    """Without sign."""

    def emit(builder: Any, x: Any) -> Any:  # noqa: ANN401
        bits = builder.and_(builder.bitcast(x, _WORDS), _words(0x7FFFFFFF))
        return builder.bitcast(bits, _FLOATS)

    return _operation([_VECTOR], _VECTOR, emit)


@intrinsic
def signed_like(typingctx: Any, vector: Any, like: Any) -> Any:  # noqa: ANN401
    """``vector`` (not negative) with the sign of ``like``."""

    def emit(builder: Any, x: Any, y: Any) -> Any:  # noqa: ANN401
        sign = builder.and_(builder.bitcast(y, _WORDS), _words(0x80000000))
        return builder.bitcast(builder.or_(builder.bitcast(x, _WORDS), sign), _FLOATS)

    return _operation([_VECTOR] * 2, _VECTOR, emit)


@intrinsic
def total(typingctx: Any, vector: Any) -> Any:  # noqa: ANN401
    """Sum of the lanes."""
    return _operation(
        [_VECTOR], types.float32, lambda builder, x: _halved(builder, x, lambda a, b: builder.fadd(a, b))
    )


@intrinsic
def largest(typingctx: Any, vector: Any) -> Any:  # noqa: ANN401
    """The largest of the lanes."""
    return _operation(
        [_VECTOR], types.float32, lambda builder, x: _halved(builder, x, lambda a, b: _larger(builder, a, b))
    )


def _exponentials(builder: Any, x: Any) -> Any:  # noqa: ANN401
    far = builder.fcmp_ordered("<", x, _floats(-87.0))
    x = _larger(builder, _floats(-87.0), x)
    exponent = builder.fptosi(_muladd(builder, x, _floats(1.44269504), _floats(-0.5)), _WORDS)
    whole = builder.sitofp(exponent, _FLOATS)
    rest = _muladd(builder, whole, _floats(-0.693359375), x)
    rest = _muladd(builder, whole, _floats(2.12194440e-4), rest)
    high = _floats(_EXP[0])
    for factor in _EXP[1:]:
        high = _muladd(builder, high, rest, _floats(factor))
    value = builder.fadd(_muladd(builder, builder.fmul(high, rest), rest, rest), _floats(1.0))
    power = builder.shl(builder.add(exponent, _words(127)), _words(23))  # the bits of 2 ** exponent
    value = builder.fmul(value, builder.bitcast(power, _FLOATS))
    return builder.select(far, _floats(0.0), value)  # subnormal numbers would be slow


@intrinsic
def exponentials(typingctx: Any, vector: Any) -> Any:  # noqa: ANN401
    """exp of what is 0 or less, to two units in the last place; 0 below -87."""
    return _operation([_VECTOR], _VECTOR, _exponentials)


def _scrambled(builder: Any, x: Any) -> Any:  # noqa: ANN401
    """A one-to-one map of 32-bit numbers whose results look random (Wellons' "lowbias32", public domain)."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = builder.mul(builder.xor(x, builder.lshr(x, _words(shift))), _words(factor))
    return builder.xor(x, builder.lshr(x, _words(16)))


@intrinsic
def dropped_out(
    typingctx: Any,  # noqa: ANN401
    vector: Any,  # noqa: ANN401
    stream: Any,  # noqa: ANN401
    place: Any,  # noqa: ANN401
    below: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """``vector`` with 0 where a draw of 32 bits is less than ``below``: draws ``place`` and on of ``stream``."""

    def emit(builder: Any, x: Any, stream: Any, place: Any, below: Any) -> Any:  # noqa: ANN401
        first = _spread(builder, builder.trunc(place, _WORD), _WORDS)
        places = builder.add(first, _words(range(LANES)))
        bits = _scrambled(builder, builder.add(_scrambled(builder, places), _spread(builder, stream, _WORDS)))
        kept = builder.icmp_unsigned(">=", bits, _spread(builder, below, _WORDS))
        return builder.select(kept, x, _floats(0.0))

    return _operation([_VECTOR, types.uint32, types.intp, types.uint32], _VECTOR, emit)


@njit(inline="always")  # type: ignore[untyped-decorator]
def stream_of(seed: int, row: int) -> Any:  # noqa: ANN401  uint32
    """The stream of a row of draws: 32 bits made from 64 of ``seed`` and of ``row`` (splitmix64)."""
    x = np.uint64(seed) + np.uint64(row) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint32(x ^ (x >> np.uint64(31)))


def _tile(rows: int, vectors: int) -> Callable[..., None]:
    """``c += a b`` for ``rows`` rows of ``a`` and 8 ``vectors`` columns of ``b``, kept in registers."""

    @intrinsic
    def tile(
        typingctx: Any,  # noqa: ANN401
        a: Any,  # noqa: ANN401
        a_first: Any,  # noqa: ANN401
        a_row: Any,  # noqa: ANN401
        a_step: Any,  # noqa: ANN401
        b: Any,  # noqa: ANN401
        b_first: Any,  # noqa: ANN401
        b_row: Any,  # noqa: ANN401
        c: Any,  # noqa: ANN401
        c_first: Any,  # noqa: ANN401
        c_row: Any,  # noqa: ANN401
        inner: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        number = types.intp
        signature = types.void(a, *[number] * 3, b, *[number] * 2, c, *[number] * 2, number)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:  # noqa: ANN401
            _write_tile(context, builder, signature, args, rows, vectors)
            return context.get_dummy_value()

        return signature, codegen

    return tile  # type: ignore[no-any-return]


def _write_tile(
    context: Any,  # noqa: ANN401
    builder: Any,  # noqa: ANN401
    signature: Any,  # noqa: ANN401
    args: Any,  # noqa: ANN401
    rows: int,
    vectors: int,
) -> None:
    """The instructions of :func:`_tile`."""
    a, a_first, a_row, a_step, b, b_first, b_row, c, c_first, c_row, inner = args

    def data(place: int, value: Any) -> Any:  # noqa: ANN401
        return context.make_array(signature.args[place])(context, builder, value).data

    of_a, of_b, of_c = data(0, a), data(4, b), data(7, c)

    def constant(value: int) -> Any:  # noqa: ANN401
        return ir.Constant(a_first.type, value)

    def at(base: Any, index: Any) -> Any:  # noqa: ANN401
        return builder.bitcast(builder.gep(base, [index]), _FLOATS.as_pointer())

    sums = [[cgutils.alloca_once(builder, _FLOATS) for _ in range(vectors)] for _ in range(rows)]
    places = [
        [
            at(of_c, builder.add(builder.add(c_first, builder.mul(c_row, constant(row))), constant(LANES * v)))
            for v in range(vectors)
        ]
        for row in range(rows)
    ]
    for row in range(rows):
        for v in range(vectors):
            builder.store(builder.load(places[row][v], align=4), sums[row][v])
    with cgutils.for_range(builder, inner) as loop:
        begin = builder.add(b_first, builder.mul(loop.index, b_row))
        right = [builder.load(at(of_b, builder.add(begin, constant(LANES * v))), align=4) for v in range(vectors)]
        column = builder.add(a_first, builder.mul(loop.index, a_step))
        for row in range(rows):
            left = builder.load(builder.gep(of_a, [builder.add(column, builder.mul(a_row, constant(row)))]))
            lanes = _spread(builder, left, _FLOATS)
            for v in range(vectors):
                more = _muladd(builder, lanes, right[v], builder.load(sums[row][v]))
                builder.store(more, sums[row][v])
    for row in range(rows):
        for v in range(vectors):
            builder.store(builder.load(sums[row][v]), places[row][v], align=4)


_four_two, _four_one = _tile(4, 2), _tile(4, 1)
_three_two, _three_one = _tile(3, 2), _tile(3, 1)
_two_two, _two_one = _tile(2, 2), _tile(2, 1)
_one_two, _one_one = _tile(1, 2), _tile(1, 1)


@njit(inline="never", cache=True, nogil=True)  # type: ignore[untyped-decorator]
def add_product(
    a: Any,  # noqa: ANN401  fp32, flat
    a_first: int,
    a_row: int,
    a_step: int,
    b: Any,  # noqa: ANN401
    b_first: int,
    b_row: int,
    c: Any,  # noqa: ANN401
    c_first: int,
    c_row: int,
    rows: int,
    inner: int,
    columns: int,
) -> None:
    """``c += a b`` in fp32, of matrices that lie in flat arrays: ``rows`` x ``inner`` by ``inner`` x ``columns``.

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
