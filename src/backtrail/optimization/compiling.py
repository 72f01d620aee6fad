"""Compilation of numeric loops by Numba, where it is installed."""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["HAS_NUMBA", "compiled"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

try:
    import numba
except ImportError:
    HAS_NUMBA = False
else:
    HAS_NUMBA = True


def compiled(function: _Function) -> _Function:
    """Compile a function on its first call and keep the code on disk; else leave it as it is.

    Division by zero gives infinity as in NumPy, and no operation is reordered, so that the numbers
    are those of the uncompiled function.
    """
    if not HAS_NUMBA:
        return function
    made: _Function = numba.njit(
        function, cache=True, error_model="numpy", nogil=True, forceinline=True
    )
    return made
