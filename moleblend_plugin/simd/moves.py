"""Vectors from and to places that are no neighbours, for compiled loops (Numba).

Numba looks at every index whether it counts from the end, which takes longer than to read a number.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from moleblend_plugin.simd.vectors import (
    FLOATS,
    LANES,
    VECTOR,
    WORD,
    WORDS,
    Compiling,
    place_of,
    words,
)


@intrinsic
def gathered(
    typingctx: Compiling, table: Compiling, first: Compiling, codes: Compiling, place: Compiling
) -> Compiling:
    """Eight numbers of a flat fp32 array, at ``first`` plus eight neighbours of an int32 array, 0 or more."""

    def codegen(context: Compiling, builder: Compiling, signature: Compiling, args: Compiling) -> Compiling:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        data = builder.gep(data, [args[1]])
        codes = builder.load(place_of(context, builder, signature.args[2], args[2], args[3], WORDS), align=4)
        vector = ir.Constant(FLOATS, ir.Undefined)
        for lane in range(LANES):
            code = builder.zext(builder.extract_element(codes, ir.Constant(WORD, lane)), args[1].type)
            number = builder.load(builder.gep(data, [code]))
            vector = builder.insert_element(vector, number, ir.Constant(WORD, lane))
        return vector

    return VECTOR(table, types.intp, codes, types.intp), codegen


@intrinsic
def add_scattered(
    typingctx: Compiling,
    table: Compiling,
    first: Compiling,
    codes: Compiling,
    place: Compiling,
    values: Compiling,
    at: Compiling,
    count: Compiling,
) -> Compiling:
    """Add ``count`` neighbours of a flat fp32 array to the numbers that :func:`gathered` reads."""

    def codegen(context: Compiling, builder: Compiling, signature: Compiling, args: Compiling) -> Compiling:
        def from_place(argument: int) -> Compiling:
            array = context.make_array(signature.args[argument])(context, builder, args[argument])
            return builder.gep(array.data, [args[argument + 1]])

        sums, numbers, more = from_place(0), from_place(2), from_place(4)
        with cgutils.for_range(builder, args[6]) as loop:
            code = builder.zext(builder.load(builder.gep(numbers, [loop.index])), args[1].type)
            to = builder.gep(sums, [code])
            builder.store(builder.fadd(builder.load(to), builder.load(builder.gep(more, [loop.index]))), to)
        return context.get_dummy_value()

    signature = types.void(table, types.intp, codes, types.intp, values, types.intp, types.intp)
    return signature, codegen


@intrinsic
def turned(
    typingctx: Compiling,
    array: Compiling,
    first: Compiling,
    step: Compiling,
    out: Compiling,
    to: Compiling,
    row: Compiling,
) -> Compiling:
    """Write eight vectors of a flat fp32 array, ``step`` apart, as columns of rows that are ``row`` apart."""

    def codegen(context: Compiling, builder: Compiling, signature: Compiling, args: Compiling) -> Compiling:
        def at(argument: int, base: Compiling, distance: Compiling, number: int) -> Compiling:
            index = builder.add(base, builder.mul(distance, ir.Constant(base.type, number)))
            return place_of(context, builder, signature.args[argument], args[argument], index, FLOATS)

        rows = [builder.load(at(0, args[1], args[2], number), align=4) for number in range(LANES)]
        for distance in (4, 2, 1):  # each time blocks of this many rows and columns change places
            low = words([n if not n & distance else n - distance + LANES for n in range(LANES)])
            high = words([n + distance if not n & distance else n + LANES for n in range(LANES)])
            for number in range(LANES):
                if not number & distance:
                    a, b = rows[number], rows[number + distance]
                    rows[number] = builder.shuffle_vector(a, b, low)
                    rows[number + distance] = builder.shuffle_vector(a, b, high)
        for number, vector in enumerate(rows):
            builder.store(vector, at(3, args[4], args[5], number), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, out, types.intp, types.intp), codegen
