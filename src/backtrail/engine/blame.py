"""Whose fault an error is: the strategy's, which fails, or the library's, which has to be told."""

import sysconfig
import traceback
from types import FrameType
from typing import Final

from backtrail.errors import ConfigError, OrderError, RiskViolationError, StrategyError

__all__ = ["is_of_strategy"]

_OURS: Final = frozenset({"backtrail", "numba", "numpy"})
_STDLIB: Final = (f"{sysconfig.get_path('stdlib')}/", f"{sysconfig.get_path('platstdlib')}/")


def is_of_strategy(error: Exception) -> bool:
    """Say whether a strategy failed: its code raised, or did what no strategy may do.

    Args:
        error: As it was caught around code that calls the strategy; the caller's own frames are
            not looked at.

    Returns:
        True for an error that says so by its kind, and for one that passed through code which is
        neither ours nor that of a library we use. False for memory that ran out, wherever it did:
        a result must not depend on how much there is.
    """
    if isinstance(error, MemoryError):
        return False
    if isinstance(error, ConfigError | OrderError | RiskViolationError | StrategyError):
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(_is_foreign(frame) for frame in frames[1:])


def _is_foreign(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    if package in _OURS:
        return False
    file = frame.f_code.co_filename
    is_standard = file.startswith((*_STDLIB, "<frozen ")) and "/site-packages/" not in file
    return not is_standard
