"""Reading a dataset that was ingested: lazily, and never another one than asked for."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from backtrail.data.manifest import ADJUSTMENTS_FILE, BARS_FILE, MANIFEST_FILE, DatasetManifest
from backtrail.errors import DatasetError

__all__ = ["Dataset", "dataset_damage"]

_FILE_OF = {"bars": BARS_FILE, "adjustments": ADJUSTMENTS_FILE}


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
        damage = dataset_damage(self.path)
        if damage:
            wrong = "; ".join(f"{name} {what}" for name, what in damage.items())
            raise DatasetError(
                f"dataset {self.path} is damaged: {wrong}; remove its directory and ingest the "
                "bundle again"
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


def dataset_damage(path: Path) -> dict[str, str]:
    """Compare a dataset's files with its id, and return what is wrong with each damaged one.

    Bytes are compared with the manifest, the manifest's statement of content with the id, and the
    values themselves with both; the manifest has a checksum over itself.

    Args:
        path: Directory `bundles/<bundle>/<dataset_id>`.
    """
    try:
        manifest = DatasetManifest.load(path / MANIFEST_FILE)
    except DatasetError as error:
        return {MANIFEST_FILE: f"cannot be used: {error}"}
    stated = dataset_id(manifest.content, calendar=manifest.calendar, timeframe=manifest.timeframe)
    if not path.name == stated == manifest.dataset_id:
        return {MANIFEST_FILE: f"describes another dataset, {stated}, under this id"}
    missing = [name for name in _FILE_OF.values() if not (path / name).is_file()]
    if missing:
        return dict.fromkeys(missing, "is missing")
    damage = {}
    contents = _contents(Dataset(path, manifest))
    for table, name in _FILE_OF.items():
        expected = manifest.files.get(name, {}).get("sha256")
        found = sha256_file(path / name)
        same = contents.get(table) == manifest.content[table]
        if found != expected:
            damage[name] = f"has sha256 {found}, not {expected}; " + (
                "the values in it are still the same" if same else _unlike(table, contents)
            )
        elif not same:
            damage[name] = _unlike(table, contents)
    return damage


def _contents(dataset: Dataset) -> dict[str, str]:
    """Return the content checksums of the tables that can be read, by table."""
    readers = {"bars": dataset.bars, "adjustments": dataset.adjustments}
    empty = {"bars": pl.DataFrame(schema=BAR_SCHEMA)}
    empty["adjustments"] = pl.DataFrame(schema=ADJUSTMENT_SCHEMA)
    found = {}
    for table, read in readers.items():
        with suppress(DatasetError):
            found[table] = content_checksums(**{**empty, table: read()})[table]
    return found


def _unlike(table: str, contents: Mapping[str, str]) -> str:
    if table not in contents:
        return f"the content of {table} cannot be read"
    return f"the content of {table} has {contents[table]}, another one than its id says"


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
