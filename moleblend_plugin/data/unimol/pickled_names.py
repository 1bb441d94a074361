"""The few names that pickles of plain values and NumPy arrays use, and what stands for them here.

None of Python's or NumPy's own functions is called with what a file says: a data type is one of a short
list, an array is made from bytes whose number must fit its shape.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from moleblend_plugin.schema import Array

_PLAIN_DTYPE: Final = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,7}|O8?")
_MOST_DIMENSIONS: Final = 32


class Omitted:
    """Stands for an object that is known, not needed, and was not built (an RDKit molecule)."""

    def __repr__(self) -> str:
        return "<omitted>"


class PendingDtype:
    """A data type whose byte order has not come yet (pickles give it in a second step)."""

    def __init__(self, code: object, *_: object) -> None:
        if not (isinstance(code, str) and _PLAIN_DTYPE.fullmatch(code)):
            raise ValueError(f"an array of type {str(code)[:20]!r}, not of plain numbers or text")
        self.code = code
        self.value: np.dtype[Any] | None = None

    def build(self, state: tuple[Any, ...]) -> None:
        """Take ``(version, byte order, subtype, names, fields, ...)``."""
        order, parts = state[1], state[2:5]
        if order not in ("<", ">", "|", "=") or any(part is not None for part in parts):
            raise ValueError("an array of records, not of plain numbers or text")
        self.value = np.dtype(self.code if order == "|" else order + self.code)


class PendingArray:
    """An array whose shape and content have not come yet."""

    def __init__(self, kind: object, *_: object) -> None:
        if kind is not ndarray_class:
            raise ValueError("an array of a class of its own")
        self.value: Array | None = None

    def build(self, state: tuple[Any, ...]) -> None:
        """Take ``(version, shape, data type, Fortran order, bytes or a list of objects)``."""
        _, shape, dtype, fortran, content = state
        # NumPy flags an array of objects too, but lists them row by row all the same.
        by_columns = fortran and not isinstance(content, list)
        self.value = array_of(content, dtype, shape, "F" if by_columns else "C")


def array_of(
    content: object, dtype: object, shape: object, order: object, axes: tuple[int, ...] | None = None
) -> Array:
    """Array from its bytes (for ``object`` from its list), as ``numpy`` lays them out.

    Raises:
        ValueError: they do not fit each other.
    """
    if not (isinstance(dtype, np.dtype) and isinstance(shape, tuple) and len(shape) <= _MOST_DIMENSIONS):
        raise ValueError("an array without a data type or shape")
    if not all(type(size) is int and size >= 0 for size in shape) or order not in ("C", "F", "K"):
        raise ValueError("an array of impossible shape")
    count = math.prod(shape)
    if dtype.hasobject:
        if not isinstance(content, list) or len(content) != count:
            raise ValueError("an array of objects that are not there")
        flat: Array = np.empty(count, object)
        for index, item in enumerate(content):
            flat[index] = item
    else:
        if not isinstance(content, bytes | bytearray) or len(content) != count * dtype.itemsize:
            raise ValueError("an array whose bytes do not fit its shape")
        flat = np.frombuffer(content, dtype).copy() if content else np.empty(0, dtype)
    if flat.size != count:
        raise ValueError("an array of elements without size")
    if (
        order == "K" and axes is not None
    ):  # NumPy 2: the shape is that of the memory, the axes say how it is looked at
        return flat.reshape(shape).transpose(axes)
    return flat.reshape(shape, order="F" if order == "F" else "C")


def scalar_of(dtype: object, content: object = None) -> object:
    """NumPy number or text from its bytes."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(content, bytes):
        raise ValueError("a NumPy scalar of another kind than number or text")
    if len(content) != dtype.itemsize:
        raise ValueError("a NumPy scalar whose bytes do not fit its type")
    value: object = np.frombuffer(content, dtype)[0] if content else dtype.type()
    return value


def ndarray_class(*_: object) -> object:
    """Stands for the class ``numpy.ndarray``, which plain pickles name and never call."""
    raise ValueError("an array made by calling its class")


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":  # how protocols 0 to 2 write bytes
        raise ValueError("text encoded as something else than bytes")
    return text.encode("latin-1")


def _bytes() -> bytes:
    return b""


def _bytearray(content: object = b"") -> bytearray:
    if not isinstance(content, bytes):
        raise ValueError("a bytearray of something else than bytes")
    return bytearray(content)


def _complex(real: object, imaginary: object) -> complex:
    if not (isinstance(real, float) and isinstance(imaginary, float)):
        raise ValueError("a complex number of something else than two numbers")
    return complex(real, imaginary)


def checked_keys(items: object) -> list[Any]:
    """``items`` as keys of a set or dict: scalars only, since hashing deep tuples may never end."""
    if not isinstance(items, list | tuple):
        raise ValueError("a set of something else than a list")
    for item in items:
        if not isinstance(item, str | bytes | int | float | complex | np.generic | None):
            raise ValueError(f"a {type(item).__name__} as a key")
    return list(items)


def _builtins(module: str) -> dict[tuple[str, str], Callable[..., Any]]:
    return {
        (module, "set"): lambda items=(): set(checked_keys(items)),
        (module, "frozenset"): lambda items=(): frozenset(checked_keys(items)),
        (module, "bytes"): _bytes,
        (module, "bytearray"): _bytearray,
        (module, "complex"): _complex,
    }


def _numpy(core: str) -> dict[tuple[str, str], Callable[..., Any]]:
    return {
        (f"{core}.multiarray", "_reconstruct"): PendingArray,
        (f"{core}.multiarray", "scalar"): scalar_of,
        (f"{core}.numeric", "_frombuffer"): array_of,
    }


STAND_INS: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    **_builtins("builtins"),
    **_builtins("__builtin__"),
    **_numpy("numpy.core"),  # NumPy 1
    **_numpy("numpy._core"),  # NumPy 2
    ("numpy", "ndarray"): ndarray_class,
    ("numpy", "dtype"): PendingDtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): lambda: {},
    # Uni-Mol's notebook keeps the molecule itself. Its bytes are not looked at: the SMILES tells as much.
    ("rdkit.Chem.rdchem", "Mol"): lambda *_: Omitted(),
}
"""(module, name) in a pickle -> what is called for it. Every other name is refused."""
