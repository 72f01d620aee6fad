"""Rows of a table of the catalog as a Polars frame."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

__all__ = ["frame_of"]

_KINDS: Final[dict[type, type[pl.DataType]]] = {
    str: pl.String,
    int: pl.Int64,
    float: pl.Float64,
    bool: pl.Boolean,
}


def frame_of(columns: Iterable[sa.Column[Any]], rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """Return rows as a frame whose types are those of the table, also where all values are null.

    Args:
        columns: Columns of a table, in the order of the values in a row.
        rows: What the database returned.
    """
    schema = {column.name: _KINDS[column.type.python_type] for column in columns}
    return pl.DataFrame(rows, schema=schema, orient="row")
