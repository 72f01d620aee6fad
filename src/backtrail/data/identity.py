"""The id of a dataset: a hash of what it holds, never of the file it is kept in.

Parquet bytes differ between library versions and row group sizes; these bytes do not:

1. Rows are sorted by symbol and timestamp (adjustments by symbol, timestamp, kind), symbols in
   the order of their UTF-8 bytes.
2. Each column, in the order of the schema, is a header `name|dtype|rows` and a newline, then its
   values as a contiguous little-endian buffer. Timestamps are int64 microseconds since 1970 UTC,
   dates int64 days since 1970; floats are float64 with −0.0 written as 0.0, and NaN or infinity
   refused. Text columns are the canonical JSON list of their sorted distinct values and a newline,
   then uint32 codes into it. Where a date may be null, null is the largest int64.
3. A table's checksum is the sha256 of its columns one after the other. The dataset's is the
   sha256 of the canonical JSON of calendar, timeframe, format and the checksums of its tables; the
   id is its first 16 hex digits. Bars and adjustments are always among the tables; sessions are
   for calendars that do not come with this package, the universe where its members are given.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from backtrail.arrow import column_bytes, positive_zeros
from backtrail.canonical import canonical_json, sha256_json
from backtrail.errors import DatasetError

if TYPE_CHECKING:
    from hashlib import _Hash

__all__ = [
    "ADJUSTMENT_KINDS",
    "ADJUSTMENT_SCHEMA",
    "BAR_SCHEMA",
    "SESSION_SCHEMA",
    "UNIVERSE_SCHEMA",
    "canonical_order",
    "content_checksums",
    "dataset_id",
    "table_checksum",
]

TIMESTAMP: Final = pl.Datetime("us", "UTC")

BAR_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "symbol": pl.String(),
    "timestamp": TIMESTAMP,
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
}
"""Columns of bars: raw prices, volume in units, timestamp of the bar's open."""

ADJUSTMENT_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "symbol": pl.String(),
    "timestamp": TIMESTAMP,
    "kind": pl.String(),
    "value": pl.Float64(),
}
"""Columns of adjustments: what happens before the open of the bar at `timestamp`."""

ADJUSTMENT_KINDS: Final = ("delisting", "dividend", "split")

SESSION_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "date": pl.Date(),
    "open": TIMESTAMP,
    "minutes": pl.Int64(),
}
"""Columns of sessions: date, first moment, length."""

UNIVERSE_SCHEMA: Final[Mapping[str, pl.DataType]] = {
    "symbol": pl.String(),
    "first": pl.Date(),
    "last": pl.Date(),
}
"""Columns of a universe: from when to when, both included, a symbol belongs to it; null = still."""

_FORMAT: Final = 1
_CHUNK: Final = 1 << 17
_KEYS: Final = {
    "bars": ("symbol", "timestamp"),
    "adjustments": ("symbol", "timestamp", "kind"),
    "sessions": ("date",),
    "universe": ("symbol", "first"),
}
_SCHEMAS: Final = {
    "bars": BAR_SCHEMA,
    "adjustments": ADJUSTMENT_SCHEMA,
    "sessions": SESSION_SCHEMA,
    "universe": UNIVERSE_SCHEMA,
}
_MAY_BE_NULL: Final = {("universe", "last")}
_NULL_DAY: Final = 2**63 - 1


def canonical_order(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Return the rows of a table in canonical order; free when they are in it.

    Args:
        frame: The rows.
        table: `bars`, `adjustments`, `sessions` or `universe`.
    """
    keys = _KEYS[table]
    if is_strictly_ordered(frame, keys):
        return frame
    return frame.sort(keys, maintain_order=True)


def is_strictly_ordered(frame: pl.DataFrame, keys: tuple[str, ...]) -> bool:
    """Say whether rows are sorted by `keys` and no two have the same."""
    if frame.height < 2:
        return True
    after: pl.Expr = pl.lit(False)
    for key in reversed(keys):
        column, former = pl.col(key).slice(1), pl.col(key).slice(0, frame.height - 1)
        after = (column > former) | ((column == former) & after)
    return bool(frame.select(after.all()).item())


def content_checksums(bars: pl.DataFrame, adjustments: pl.DataFrame) -> dict[str, str]:
    """Return the sha256 over the canonical columns of both tables, in whatever order rows come.

    Args:
        bars: Columns of `BAR_SCHEMA`; the symbol may be an `Enum`.
        adjustments: Columns of `ADJUSTMENT_SCHEMA`.

    Raises:
        DatasetError: If a column is missing, null or not finite, or a key stands twice.
    """
    return {
        "bars": table_checksum(bars, "bars"),
        "adjustments": table_checksum(adjustments, "adjustments"),
    }


def dataset_id(content: Mapping[str, str], *, calendar: str, timeframe: str) -> str:
    """Return the 16 hex digits that name a dataset.

    Args:
        content: What `content_checksums` returned.
        calendar: Name of the trading calendar.
        timeframe: Length of a bar.
    """
    identity: dict[str, Any] = {"calendar": calendar, "timeframe": timeframe, "format": _FORMAT}
    return sha256_json({**identity, "content": dict(content)})[:16]


def table_checksum(frame: pl.DataFrame, table: str) -> str:
    """Return the sha256 over the canonical columns of one table.

    Args:
        frame: Its columns, in whatever order the rows come.
        table: `bars`, `adjustments`, `sessions` or `universe`.

    Raises:
        DatasetError: As `content_checksums`.
    """
    schema = _SCHEMAS[table]
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise DatasetError(f"{table} lack the columns {', '.join(missing)}")
    ordered = canonical_order(_lexical(frame), table)
    if not is_strictly_ordered(ordered, _KEYS[table]):
        raise DatasetError(f"{table} have two rows with the same {', '.join(_KEYS[table])}")
    digest = hashlib.sha256()
    for name, dtype in schema.items():
        column = ordered[name]
        if column.null_count() and (table, name) not in _MAY_BE_NULL:
            raise DatasetError(f"{table}.{name} has {column.null_count()} nulls")
        if dtype == pl.String():
            _add_text(digest, column)
        elif dtype == TIMESTAMP:
            _add_header(digest, name, "int64", len(column))
            _add_numbers(digest, column.cast(TIMESTAMP).to_physical())
        elif dtype in (pl.Date(), pl.Int64()):
            _add_header(digest, name, "int64", len(column))
            days = column.cast(dtype).to_physical().cast(pl.Int64)
            _add_numbers(digest, days.fill_null(_NULL_DAY))
        else:
            _add_header(digest, name, "float64", len(column))
            _add_numbers(digest, column.cast(pl.Float64), finite=f"{table}.{name}")
    return digest.hexdigest()


def _lexical(frame: pl.DataFrame) -> pl.DataFrame:
    # Enum categories compare by position; elsewhere text compares by its UTF-8 bytes.
    dtype = frame.schema.get("symbol")
    if dtype is None:
        return frame
    if isinstance(dtype, pl.Enum):
        categories = dtype.categories.to_list()
        if categories == sorted(categories):
            return frame
    text = frame["symbol"].cast(pl.String)
    # Codes are compared several times faster than texts.
    return frame.with_columns(text.cast(pl.Enum(text.drop_nulls().unique().sort())))


def _add_header(digest: "_Hash", name: str, dtype: str, rows: int) -> None:
    digest.update(f"{name}|{dtype}|{rows}\n".encode())


def _add_text(digest: "_Hash", column: pl.Series) -> None:
    values = column.unique().cast(pl.String).sort().to_list()
    codes = column.cast(pl.Enum(values)).to_physical().cast(pl.UInt32)
    _add_header(digest, column.name, "text", len(column))
    digest.update(f"{canonical_json(values)}\n".encode())
    _add_numbers(digest, codes)


def _add_numbers(digest: "_Hash", values: pl.Series, finite: str | None = None) -> None:
    for start in range(0, len(values), _CHUNK):  # a chunk stays in the processor's cache
        chunk = values.slice(start, _CHUNK)
        if finite is not None:
            # A finite sum has finite terms; looking at each of them costs as much as the hash.
            if not math.isfinite(chunk.sum()) and not chunk.is_finite().all():
                raise DatasetError(f"{finite} has a value that is not finite; it has no identity")
            if chunk.min() <= 0:  # type: ignore[operator]  # a column of floats without nulls
                chunk = positive_zeros(chunk)
        digest.update(column_bytes(chunk))
