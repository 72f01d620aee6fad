"""Reading a dataset that was ingested: lazily, and never another one than asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from backtrail.canonical import sha256_file
from backtrail.data.identity import (
    ADJUSTMENT_SCHEMA,
    BAR_SCHEMA,
    content_checksums,
    dataset_id,
)
from backtrail.data.manifest import ADJUSTMENTS_FILE, BARS_FILE, DatasetManifest
from backtrail.errors import DatasetError

__all__ = ["Dataset"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One immutable dataset on disk.

    Attributes:
        path: Its directory, named by its id.
        manifest: What it says about itself.
    """

    path: Path
    manifest: DatasetManifest

    @classmethod
    def open(cls, path: Path) -> "Dataset":
        """Open a dataset directory `bundles/<bundle>/<dataset_id>`; prices are not read yet.

        Raises:
            DatasetError: If it is not there, or holds another dataset than its name says.
        """
        if not path.is_dir():
            there = _others(path)
            raise DatasetError(
                f"no dataset {path.name} in {path.parent}; there: {', '.join(there) or 'none'}; "
                "ingest the bundle, or ask for one of these"
            )
        manifest = DatasetManifest.load(path)
        if manifest.dataset_id != path.name:
            raise DatasetError(
                f"{path} holds the dataset {manifest.dataset_id}; a dataset's directory has its id"
            )
        for name in (BARS_FILE, ADJUSTMENTS_FILE):
            if not (path / name).is_file():
                raise DatasetError(f"dataset {path} lacks {name}; ingest the bundle again")
        return cls(path, manifest)

    def bars(
        self,
        symbols: Sequence[str] | None = None,
        start: date | None = None,
        end: date | None = None,
    ) -> pl.DataFrame:
        """Return raw bars in canonical order; only the rows asked for are read.

        Args:
            symbols: Symbols wanted; None means all.
            start: First UTC date.
            end: Last UTC date, included.

        Raises:
            DatasetError: If a symbol is not in the dataset, or the file is damaged.
        """
        lazy = pl.scan_parquet(self.path / BARS_FILE, schema=dict(BAR_SCHEMA))
        if symbols is not None:
            self._check_symbols(symbols)
            lazy = lazy.filter(pl.col("symbol").is_in(list(symbols)))
        if start is not None:
            lazy = lazy.filter(pl.col("timestamp") >= _midnight(start))
        if end is not None:
            lazy = lazy.filter(pl.col("timestamp") < _midnight(end + timedelta(days=1)))
        return self._collect(lazy, BARS_FILE)

    def adjustments(self) -> pl.DataFrame:
        """Return splits (new shares per old), dividends (cash per share), delistings (last price).

        Raises:
            DatasetError: If the file is damaged.
        """
        lazy = pl.scan_parquet(self.path / ADJUSTMENTS_FILE, schema=dict(ADJUSTMENT_SCHEMA))
        return self._collect(lazy, ADJUSTMENTS_FILE)

    def verify(self) -> None:
        """Recompute the content hash and the files' checksums.

        Raises:
            DatasetError: If the dataset is not what its id says; every difference is named.
        """
        found = content_checksums(self.bars(), self.adjustments())
        expected = self.manifest.content
        wrong = [
            f"content of {table} has {found[table]}, not {expected.get(table)}"
            for table in sorted(found)
            if found[table] != expected.get(table)
        ]
        identity = dataset_id(
            found, calendar=self.manifest.calendar, timeframe=self.manifest.timeframe
        )
        if identity != self.path.name:
            wrong.append(f"its content is the dataset {identity}")
        for name, entry in self.manifest.files.items():
            checksum = sha256_file(self.path / name)
            if checksum != entry["sha256"]:
                wrong.append(f"{name} has sha256 {checksum}, not {entry['sha256']}")
        if wrong:
            raise DatasetError(
                f"dataset {self.path} is damaged: {'; '.join(wrong)}; remove its directory and "
                "ingest the bundle again"
            )

    def _check_symbols(self, symbols: Sequence[str]) -> None:
        unknown = [symbol for symbol in symbols if symbol not in self.manifest.symbols]
        if unknown:
            known = sorted(self.manifest.symbols)
            more = f" and {len(known) - 20} more" if len(known) > 20 else ""
            raise DatasetError(
                f"bundle {self.manifest.bundle!r} (dataset {self.manifest.dataset_id}) has no "
                f"{', '.join(unknown)}; it has {', '.join(known[:20])}{more}"
            )

    def _collect(self, lazy: pl.LazyFrame, name: str) -> pl.DataFrame:
        try:
            return lazy.collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DatasetError(
                f"{self.path / name} cannot be read: {str(error).splitlines()[0]}; remove the "
                "dataset's directory and ingest the bundle again"
            ) from error


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _others(path: Path) -> list[str]:
    if not path.parent.is_dir():
        return []
    return sorted(
        item.name
        for item in path.parent.iterdir()
        if item.is_dir() and not item.name.startswith(".")
    )
