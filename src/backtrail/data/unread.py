"""Cells that could not be read: which, what stands there, and why."""

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from backtrail.data.time_forms import TimeForm

__all__ = ["UNREAD_SCHEMA", "shorten", "unread_cells", "why_no_time", "wide_cells"]

UNREAD_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "row": pl.UInt32(),
    "column": pl.String(),
    "value": pl.String(),
    "rule": pl.String(),
    "why": pl.String(),
}
"""Number of the row from 0, canonical column, text of the cell, rule, why."""

_SHOWN: Final = 80


def shorten(text: pl.Expr) -> pl.Expr:
    """Return an expression of texts that fit into a message."""
    long = text.str.len_chars() > _SHOWN
    return pl.when(long).then(text.str.slice(0, _SHOWN) + "…").otherwise(text)


def unread_cells(
    parsed: pl.DataFrame, text: pl.DataFrame, columns: Sequence[str], why_time: str
) -> pl.DataFrame:
    """Return the cells that have text and no value.

    Args:
        parsed: Rows with `row`, `timestamp` and columns of numbers.
        text: The same rows in the same order, as text.
        columns: Names of the columns of numbers.
        why_time: Why a timestamp could not be read.
    """
    parts = []
    for name in (*columns, "timestamp"):
        bad = text.filter(parsed[name].is_null() & text[name].is_not_null())
        parts.append(
            bad.select(
                "row",
                pl.lit(name).alias("column"),
                shorten(pl.col(name)).alias("value"),
                pl.lit("unparsable").alias("rule"),
                pl.lit(why_time if name == "timestamp" else "not a number").alias("why"),
            )
        )
    return pl.concat(parts)


def wide_cells(wide: Sequence[tuple[int, int]], width: int) -> pl.DataFrame:
    """Return the rows that have more cells than the header.

    Args:
        wide: Number and width of each.
        width: Cells of the header.
    """
    rows = [
        (row, "cells", str(cells), "ragged_row", f"the header has {width}") for row, cells in wide
    ]
    return pl.DataFrame(rows, schema=UNREAD_SCHEMA, orient="row")


def why_no_time(time: TimeForm, *, daily: bool) -> str:
    """Return why a text may be no timestamp of a form."""
    why = f"not of the form {time.form} in the years 1700 to 2200"
    if time.zone not in (None, "UTC") and not daily and not time.has_zone:
        why += (
            f", or a local time that {time.zone} has twice or never (daylight saving) and whose "
            "order does not show which: give UTC"
        )
    return why
