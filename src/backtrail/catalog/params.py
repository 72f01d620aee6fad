"""Parameters of runs as columns: of one type where the values are, else as text."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

__all__ = ["PARAM", "param_column"]

PARAM: Final = "param_"
"""What stands before a parameter in the name of its column."""

_HUGE: Final = 1 << 63


def param_column(name: str, values: Sequence[Any]) -> pl.Series:
    """Return values of one kind as they are; mixed, nested or huge ones as text.

    Args:
        name: What the column is called.
        values: The parameter in each run; None where a run has none.
    """
    kinds = {type(value) for value in values if value is not None}
    is_huge = any(type(value) is int and abs(value) >= _HUGE for value in values)
    for wanted, dtype in (
        ({bool}, pl.Boolean()),
        ({int}, pl.Int64()),
        ({int, float}, pl.Float64()),
        ({str}, pl.String()),
    ):
        if kinds <= wanted and not is_huge:
            return pl.Series(name, values, dtype=dtype, strict=False)
    texts = [None if value is None else str(value) for value in values]
    return pl.Series(name, texts, dtype=pl.String())
