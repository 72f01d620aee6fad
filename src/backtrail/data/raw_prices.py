"""What an adapter hands over: prices as they stand in the source, before any rule is applied."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from backtrail.data.manifest import SourceRecord
from backtrail.data.problems import RowProblem, row_problem

__all__ = ["UNREAD_ROWS", "RawPrices", "as_problems", "join_files", "unread_rows"]

UNREAD_ROWS: Final[Mapping[str, pl.DataType]] = {
    "file": pl.UInt32(),
    "line": pl.UInt32(),
    "symbol": pl.String(),
    "at": pl.String(),
    "column": pl.String(),
    "value": pl.String(),
    "rule": pl.String(),
    "why": pl.String(),
}
"""Cells that could not be read: file by index, line, symbol, time, column, text, rule, why."""


def _nothing_unread() -> pl.DataFrame:
    return pl.DataFrame(schema=UNREAD_ROWS)


@dataclass(frozen=True, slots=True, eq=False)
class RawPrices:
    """Rows of a source in canonical columns.

    Attributes:
        frame: `symbol` (Enum in lexical order), `timestamp`, `open`, `high`, `low`, `close`,
            `volume`, `file` (index into `files`) and `line`; `dividend` (null or 0 = none) and
            `split` (null or 1 = none, new shares per old) where the source has them. Nulls and
            wrong values are still in.
        files: Names of the source files.
        unread: Cells that could not be read, columns of `UNREAD_ROWS`; null in the frame.
        delistings: Rows `symbol`, `timestamp`, `kind`, `value` of delistings, if any.
        sources: The files with their checksums.
        dialect: How they were read.
        synthetic: Whether prices were computed.
    """

    frame: pl.DataFrame
    files: tuple[str, ...]
    unread: pl.DataFrame = field(default_factory=_nothing_unread)
    delistings: pl.DataFrame | None = None
    sources: tuple[SourceRecord, ...] = ()
    dialect: tuple[Mapping[str, Any], ...] = ()
    synthetic: bool = False


def join_files(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of several files as one frame with the symbol as an `Enum`.

    Space around symbols is dropped; a symbol without any character is null.
    """
    known = [frame["symbol"].drop_nulls().unique().cast(pl.String).to_list() for frame in frames]
    names = {name for found in known for name in found}
    clean = sorted({name.strip() for name in names} - {""})
    symbol = pl.col("symbol")
    if clean != sorted(names):
        symbol = symbol.cast(pl.String).str.strip_chars().replace("", None)
    symbols = pl.Enum(clean)
    typed = [frame.with_columns(symbol.cast(symbols)) for frame in frames]
    return typed[0] if len(typed) == 1 else pl.concat(typed, how="diagonal")


def unread_rows(cells: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    """Return unread cells with file, line and symbol of their rows.

    Args:
        cells: Columns `row`, `column`, `value`, `rule`, `why`.
        frame: The rows of one file, with `row`, `file`, `line`, `symbol`, `timestamp`.
    """
    if not cells.height:
        return _nothing_unread()
    rows = frame.join(cells.select("row").unique(), on="row", how="semi")
    time = pl.col("timestamp")
    day, moment = time.dt.strftime("%Y-%m-%d"), time.dt.strftime("%Y-%m-%dT%H:%M:%S%:z")
    at = pl.when(time.dt.time() == pl.time()).then(day).otherwise(moment)
    symbol = pl.col("symbol").cast(pl.String)
    rows = rows.select("row", "file", "line", symbol.fill_null(""), at.fill_null("").alias("at"))
    return cells.join(rows, on="row", how="inner", maintain_order="left").select(list(UNREAD_ROWS))


def as_problems(unread: pl.DataFrame, files: Mapping[int, str] | Sequence[str]) -> list[RowProblem]:
    """Return unread cells as problems.

    Args:
        unread: Columns of `UNREAD_ROWS`.
        files: Name of each file by its index.
    """
    return [
        row_problem(
            file=files[row["file"]],
            line=row["line"],
            symbol=row["symbol"],
            at=row["at"],
            column=row["column"],
            value=row["value"],
            rule=row["rule"],
            why=row["why"],
        )
        for row in unread.iter_rows(named=True)
    ]
