"""Arithmetic of vectors of eight fp32 numbers, for compiled loops (Numba).

Numba calls the C library for an exponential, one number at a time, computes 32-bit integers in 64 bits, and
leaves loops as short as a molecule's atoms without vector instructions. The functions here are such
instructions. They work inside of compiled functions only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, register_model

Vector = Any
"""Eight numbers, in a compiled function; outside of one there are none."""

Compiling = Any
"""What Numba or LLVM hand over while they compile: they have no types of their own."""

LANES: Final = 8
"""Numbers of a vector: rows of what is computed are padded to a multiple of it."""

FAST: Final = {"reassoc", "contract", "arcp", "nsz"}
"""``fastmath`` of compiled functions: sums in any order, but NaN and infinity stay what they are."""

_FLOAT: Final = ir.FloatType()
WORD: Final = ir.IntType(32)
FLOATS: Final = ir.VectorType(_FLOAT, LANES)
WORDS: Final = ir.VectorType(WORD, LANES)
_CONTRACT: Final = ("contract",)

_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
"""Of Cephes' polynomial, from the highest power on."""


class _Vector(types.Type):
    """The type of a vector in compiled functions."""

    def __init__(self) -> None:
        super().__init__(name="vector of 8 fp32")


VECTOR: Final = _Vector()


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Compiling, of: Compiling) -> None:
        super().__init__(manager, of, FLOATS)


def _floats(value: float) -> Compiling:
    return ir.Constant(FLOATS, [value] * LANES)


def words(values: int | Sequence[int]) -> Compiling:
    """A constant vector of 32-bit integers."""
    return ir.Constant(WORDS, [values] * LANES if isinstance(values, int) else list(values))


def spread_over(builder: Compiling, scalar: Compiling, of: Compiling) -> Compiling:
    """Instructions that put one number into all lanes."""
    first = builder.insert_element(ir.Constant(of, ir.Undefined), scalar, ir.Constant(WORD, 0))
    return builder.shuffle_vector(first, ir.Constant(of, ir.Undefined), words(0))


def multiply_add(builder: Compiling, left: Compiling, right: Compiling, add: Compiling) -> Compiling:
    """Instructions for ``left * right + add``, in one step where the processor has one."""
    return builder.fadd(builder.fmul(left, right, flags=_CONTRACT), add, flags=_CONTRACT)


def place_of(
    context: Compiling,
    builder: Compiling,
    array_type: Compiling,
    array: Compiling,
    index: Compiling,
    of: Compiling,
) -> Compiling:
    """Instructions for the address of a vector ``of`` some type from ``index`` of a flat array on."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), of.as_pointer())


def _halved(
    builder: Compiling, vector: Compiling, combine: Callable[[Compiling, Compiling], Compiling]
) -> Compiling:
    """All lanes combined into one number."""
    for distance in (4, 2, 1):
        moved = words([(lane + distance) % LANES for lane in range(LANES)])
        vector = combine(vector, builder.shuffle_vector(vector, vector, moved))
    return builder.extract_element(vector, ir.Constant(WORD, 0))


def _operation(
    arguments: Sequence[Compiling], result: Compiling, emit: Callable[..., Compiling]
) -> Compiling:
    """A signature and the instructions that ``emit(builder, *values)`` writes."""

    def codegen(context: Compiling, builder: Compiling, signature: Compiling, values: Compiling) -> Compiling:
        return emit(builder, *values)

    return result(*arguments), codegen


@intrinsic
def load(typingctx: Compiling, array: Compiling, first: Compiling) -> Compiling:
    """Eight neighbours of a flat fp32 array."""

    def codegen(context: Compiling, builder: Compiling, signature: Compiling, args: Compiling) -> Compiling:
        return builder.load(place_of(context, builder, signature.args[0], args[0], args[1], FLOATS), align=4)

    return VECTOR(array, types.intp), codegen


@intrinsic
def store(typingctx: Compiling, array: Compiling, first: Compiling, vector: Compiling) -> Compiling:
    """Write them there."""

    def codegen(context: Compiling, builder: Compiling, signature: Compiling, args: Compiling) -> Compiling:
        builder.store(
            args[2], place_of(context, builder, signature.args[0], args[0], args[1], FLOATS), align=4
        )
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), codegen


@intrinsic
def spread(typingctx: Compiling, value: Compiling) -> Compiling:
    """One number in all lanes."""
    return _operation([types.float32], VECTOR, lambda builder, x: spread_over(builder, x, FLOATS))


@intrinsic
def plus(typingctx: Compiling, left: Compiling, right: Compiling) -> Compiling:
    """Sum."""
    return _operation([VECTOR] * 2, VECTOR, lambda builder, x, y: builder.fadd(x, y))


@intrinsic
def minus(typingctx: Compiling, left: Compiling, right: Compiling) -> Compiling:
    """Difference."""
    return _operation([VECTOR] * 2, VECTOR, lambda builder, x, y: builder.fsub(x, y))


@intrinsic
def times(typingctx: Compiling, left: Compiling, right: Compiling) -> Compiling:
    """Product."""
    return _operation([VECTOR] * 2, VECTOR, lambda builder, x, y: builder.fmul(x, y))


@intrinsic
def over(typingctx: Compiling, left: Compiling, right: Compiling) -> Compiling:
    """Quotient."""
    return _operation([VECTOR] * 2, VECTOR, lambda builder, x, y: builder.fdiv(x, y))


@intrinsic
def muladd(typingctx: Compiling, left: Compiling, right: Compiling, add: Compiling) -> Compiling:
    """``left * right + add``."""
    return _operation([VECTOR] * 3, VECTOR, multiply_add)


def _larger(builder: Compiling, left: Compiling, right: Compiling) -> Compiling:
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def _smaller(builder: Compiling, left: Compiling, right: Compiling) -> Compiling:
    return builder.select(builder.fcmp_ordered("<", left, right), left, right)


@intrinsic
def larger(typingctx: Compiling, left: Compiling, right: Compiling) -> Compiling:
    """The larger of each two; NaN where ``right`` is."""
    return _operation([VECTOR] * 2, VECTOR, _larger)


@intrinsic
def smaller(typingctx: Compiling, left: Compiling, right: Compiling) -> Compiling:
    """The smaller of each two; NaN where ``right`` is."""
    return _operation([VECTOR] * 2, VECTOR, _smaller)


@intrinsic
def magnitude(typingctx: Compiling, vector: Compiling) -> Compiling:
    """Without sign."""

    def emit(builder: Compiling, x: Compiling) -> Compiling:
        bits = builder.and_(builder.bitcast(x, WORDS), words(0x7FFFFFFF))
        return builder.bitcast(bits, FLOATS)

    return _operation([VECTOR], VECTOR, emit)


@intrinsic
def signed_like(typingctx: Compiling, vector: Compiling, like: Compiling) -> Compiling:
    """``vector`` (not negative) with the sign of ``like``."""

    def emit(builder: Compiling, x: Compiling, y: Compiling) -> Compiling:
        sign = builder.and_(builder.bitcast(y, WORDS), words(0x80000000))
        return builder.bitcast(builder.or_(builder.bitcast(x, WORDS), sign), FLOATS)

    return _operation([VECTOR] * 2, VECTOR, emit)


@intrinsic
def total(typingctx: Compiling, vector: Compiling) -> Compiling:
    """Sum of the lanes."""
    return _operation(
        [VECTOR], types.float32, lambda builder, x: _halved(builder, x, lambda a, b: builder.fadd(a, b))
    )


@intrinsic
def largest(typingctx: Compiling, vector: Compiling) -> Compiling:
    """The largest of the lanes."""
    return _operation(
        [VECTOR], types.float32, lambda builder, x: _halved(builder, x, lambda a, b: _larger(builder, a, b))
    )


def _exponentials(builder: Compiling, x: Compiling) -> Compiling:
    far = builder.fcmp_ordered("<", x, _floats(-87.0))
    x = _larger(builder, _floats(-87.0), x)
    exponent = builder.fptosi(multiply_add(builder, x, _floats(1.44269504), _floats(-0.5)), WORDS)
    whole = builder.sitofp(exponent, FLOATS)
    rest = multiply_add(builder, whole, _floats(-0.693359375), x)
    rest = multiply_add(builder, whole, _floats(2.12194440e-4), rest)
    high = _floats(_EXP[0])
    for factor in _EXP[1:]:
        high = multiply_add(builder, high, rest, _floats(factor))
    value = builder.fadd(multiply_add(builder, builder.fmul(high, rest), rest, rest), _floats(1.0))
    power = builder.shl(builder.add(exponent, words(127)), words(23))  # the bits of 2 ** exponent
    value = builder.fmul(value, builder.bitcast(power, FLOATS))
    return builder.select(far, _floats(0.0), value)  # subnormal numbers would be slow


@intrinsic
def exponentials(typingctx: Compiling, vector: Compiling) -> Compiling:
    """exp of what is 0 or less, to two units in the last place; 0 below -87."""
    return _operation([VECTOR], VECTOR, _exponentials)


def _scrambled(builder: Compiling, x: Compiling) -> Compiling:
    """A one-to-one map of 32-bit numbers whose results look random (Wellons' "lowbias32", public domain)."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = builder.mul(builder.xor(x, builder.lshr(x, words(shift))), words(factor))
    return builder.xor(x, builder.lshr(x, words(16)))


@intrinsic
def dropped_out(
    typingctx: Compiling,
    vector: Compiling,
    stream: Compiling,
    place: Compiling,
    below: Compiling,
) -> Compiling:
    """``vector``, 0 where a draw of 32 bits (from ``place`` of ``stream`` on) is less than ``below``."""

    def emit(
        builder: Compiling, x: Compiling, stream: Compiling, place: Compiling, below: Compiling
    ) -> Compiling:
        first = spread_over(builder, builder.trunc(place, WORD), WORDS)
        places = builder.add(first, words(range(LANES)))
        bits = _scrambled(
            builder, builder.add(_scrambled(builder, places), spread_over(builder, stream, WORDS))
        )
        kept = builder.icmp_unsigned(">=", bits, spread_over(builder, below, WORDS))
        return builder.select(kept, x, _floats(0.0))

    return _operation([VECTOR, types.uint32, types.intp, types.uint32], VECTOR, emit)


@njit(inline="always")
def stream_of(seed: int, row: int) -> Compiling:
    """The stream of a row of draws: 32 bits made from 64 of ``seed`` and of ``row`` (splitmix64)."""
    x = np.uint64(seed) + np.uint64(row) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.uint32(x ^ (x >> np.uint64(31)))
