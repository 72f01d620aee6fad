"""Whether functions of the user's take what the engine calls them with."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from backtrail.errors import StrategyError

__all__ = ["check_call"]


def check_call(function: Callable[..., Any], given: Sequence[str], where: str) -> None:
    """Refuse a function that cannot be called as the engine will call it.

    Args:
        function: Of the user's. One that does not tell what it takes is let through.
        given: Names of what it is called with, in order, by position.
        where: What the function is, for the message.

    Raises:
        StrategyError: If it takes fewer or more.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*given)
    except TypeError:
        raise StrategyError(
            f"{where} takes ({', '.join(signature.parameters)}); it is called with"
            f" ({', '.join(given)}), so write it with these parameters"
        ) from None
