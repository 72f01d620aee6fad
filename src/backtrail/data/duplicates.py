"""Rows that stand twice: the same values are dropped and reported, other values are an error."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

__all__ = ["MAX_LISTED", "drop_exact_duplicates"]

MAX_LISTED: Final = 1000
"""Duplicates listed one by one; the rest are counted."""


def drop_exact_duplicates(
    ordered: pl.DataFrame, files: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, Any], pl.DataFrame]:
    """Return rows without exact duplicates, a report of those, and contradicting rows.

    Args:
        ordered: Rows sorted by symbol and timestamp, with `file` and `line`.
        files: Names of the source files.

    Returns:
        The rows, first of equals kept; `rows` and the first thousand `listed`; and every row of a
        symbol and time that stands with different values.
    """
    same = (pl.col("symbol") == pl.col("symbol").shift(1)) & (
        pl.col("timestamp") == pl.col("timestamp").shift(1)
    )
    again = ordered.select(same.fill_null(value=False).alias("again"))["again"]
    if not again.any():
        return ordered, {"rows": 0, "listed": []}, ordered.clear()
    values = [name for name in ordered.columns if name not in ("file", "line")]
    twice = ordered.filter(again | again.shift(-1, fill_value=False))
    distinct = twice.unique(values).group_by("symbol", "timestamp").len()
    torn = distinct.filter(pl.col("len") > 1).select("symbol", "timestamp")
    contradicting = twice.join(torn, on=["symbol", "timestamp"], how="semi", maintain_order="left")
    dropped = ordered.filter(again).join(torn, on=["symbol", "timestamp"], how="anti")
    listed = [
        {
            "file": files[row["file"]],
            "line": row["line"],
            "symbol": row["symbol"],
            "at": row["timestamp"].isoformat(),
        }
        for row in dropped.sort("file", "line").head(MAX_LISTED).iter_rows(named=True)
    ]
    return ordered.filter(~again), {"rows": dropped.height, "listed": listed}, contradicting
