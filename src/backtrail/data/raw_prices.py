"""What an adapter hands over: prices as they stand in the source, before any rule is applied."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from backtrail.data.manifest import SourceRecord
from backtrail.data.problems import RowProblem

__all__ = ["RawPrices"]


@dataclass(frozen=True, slots=True, eq=False)
class RawPrices:
    """Rows of a source in canonical columns.

    Attributes:
        frame: `symbol` (Enum in lexical order), `timestamp`, `open`, `high`, `low`, `close`,
            `volume`, `file` (index into `files`) and `line`; `dividend` (null or 0 = none) and
            `split` (null or 1 = none, new shares per old) where the source has them. Nulls and
            wrong values are still in.
        files: Names of the source files.
        problems: Cells that could not be read.
        delistings: Rows `symbol`, `timestamp`, `kind`, `value` of delistings, if any.
        sources: The files with their checksums.
        dialect: How they were read.
        synthetic: Whether prices were computed.
    """

    frame: pl.DataFrame
    files: tuple[str, ...]
    problems: tuple[RowProblem, ...] = ()
    delistings: pl.DataFrame | None = None
    sources: tuple[SourceRecord, ...] = ()
    dialect: tuple[Mapping[str, Any], ...] = ()
    synthetic: bool = False
