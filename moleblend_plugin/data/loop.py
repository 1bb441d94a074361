"""Loops over the atoms of one molecule: Python at first, compiled by Numba as soon as there is enough to do.

Numba with the libraries that it brings takes as long to import as a hundred molecules take in Python. So a
command for a few molecules starts without it. Both compute the same integers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Final, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")

ELEMENTS_IN_PYTHON: Final = 1 << 16
"""Elements of the arrays that a process hands to a loop before it is compiled: some 25 molecules of 20 atoms,
or none of 105."""


class Loop(Generic[P, R]):
    """A function of arrays and numbers that Numba can compile.

    Args:
        function: the loop.
        python: whether it may run uncompiled, where the integers of Python and NumPy do what Numba's do.
    """

    def __init__(self, function: Callable[P, R], python: bool = True) -> None:
        update_wrapper(self, function)
        self._function = function
        self._left = ELEMENTS_IN_PYTHON if python else 0
        self._compiled: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the loop."""
        if self._compiled is not None:
            return self._compiled(*args, **kwargs)
        if self._left > 0:
            self._left -= sum(getattr(value, "size", 0) for value in args)
            if self._left > 0:
                return self._function(*args, **kwargs)
        return self.compiled()(*args, **kwargs)

    def compiled(self) -> Callable[P, R]:
        """Numba's function, which compiles at its first call, or then reads what an earlier process kept."""
        if self._compiled is None:
            from numba import njit

            self._compiled = njit(cache=True, nogil=True)(self._function)
        return self._compiled

    @property
    def _numba_type_(self) -> Any:  # noqa: ANN401  a type of Numba's
        """Where another loop calls this one, Numba asks here what it is."""
        return self.compiled()._numba_type_  # type: ignore[attr-defined]


@overload
def loop(function: Callable[P, R]) -> Loop[P, R]: ...
@overload
def loop(*, python: bool) -> Callable[[Callable[P, R]], Loop[P, R]]: ...
def loop(
    function: Callable[P, R] | None = None, *, python: bool = True
) -> Loop[P, R] | Callable[[Callable[P, R]], Loop[P, R]]:
    """Decorate a :class:`Loop`."""
    if function is not None:
        return Loop(function, python)
    return lambda function: Loop(function, python)


def load_compiler() -> None:
    """Import Numba now: a process that forks others does it once for all of them."""
    import numba  # noqa: F401
