"""Reading a dataset that was ingested: lazily, and never another one than asked for."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from backtrail.canonical import sha256_file
from backtrail.data.calendars import is_daily
from backtrail.data.identity import (
    ADJUSTMENT_SCHEMA,
    BAR_SCHEMA,
    SESSION_SCHEMA,
    UNIVERSE_SCHEMA,
    dataset_id,
    table_checksum,
)
from backtrail.data.manifest import (
    ADJUSTMENTS_FILE,
    BARS_FILE,
    MANIFEST_FILE,
    SESSIONS_FILE,
    TABLE_FILES,
    UNIVERSE_FILE,
    DatasetManifest,
)
from backtrail.errors import DatasetError

if TYPE_CHECKING:
    from backtrail.data.sessions import Calendar  # which needs NumPy

__all__ = ["Dataset", "dataset_damage"]


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
        for name in (TABLE_FILES[table] for table in manifest.content):
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
            start: First session date: the UTC date, but where the dataset holds sessions and bars
                are shorter than a day, that of the session in which a bar begins.
            end: Last session date, included.

        Raises:
            DatasetError: If a symbol is not in the dataset, or the file is damaged.
        """
        lazy = pl.scan_parquet(self.path / BARS_FILE, schema=dict(BAR_SCHEMA))
        if symbols is not None:
            self._check_symbols(symbols)
            lazy = lazy.filter(pl.col("symbol").is_in(list(symbols)))
        if start is not None:
            lazy = lazy.filter(pl.col("timestamp") >= self._beginning(start))
        if end is not None:
            lazy = lazy.filter(pl.col("timestamp") < self._beginning(end + timedelta(days=1)))
        return self._collect(lazy, BARS_FILE)

    def adjustments(self) -> pl.DataFrame:
        """Return splits (new shares per old), dividends (cash per share), delistings (last price).

        Raises:
            DatasetError: If the file is damaged.
        """
        lazy = pl.scan_parquet(self.path / ADJUSTMENTS_FILE, schema=dict(ADJUSTMENT_SCHEMA))
        return self._collect(lazy, ADJUSTMENTS_FILE)

    def calendar(self) -> "Calendar":
        """Return the trading calendar: a name, or the sessions that the dataset holds.

        Raises:
            DatasetError: If the file is damaged.
        """
        frame = self.session_rows()
        if frame is None:
            return self.manifest.calendar
        from backtrail.data.stored_sessions import stored_sessions

        return stored_sessions(self.manifest.calendar, frame, self.manifest.sessions)

    def session_rows(self) -> pl.DataFrame | None:
        """Return the sessions that the dataset holds, columns of `SESSION_SCHEMA`, or None.

        Raises:
            DatasetError: If the file is damaged.
        """
        if "sessions" not in self.manifest.content:
            return None
        lazy = pl.scan_parquet(self.path / SESSIONS_FILE, schema=dict(SESSION_SCHEMA))
        return self._collect(lazy, SESSIONS_FILE)

    def universe(self) -> pl.DataFrame | None:
        """Return from when to when each symbol belongs to the universe; None where nothing says so.

        Raises:
            DatasetError: If the file is damaged.
        """
        if "universe" not in self.manifest.content:
            return None
        lazy = pl.scan_parquet(self.path / UNIVERSE_FILE, schema=dict(UNIVERSE_SCHEMA))
        return self._collect(lazy, UNIVERSE_FILE)

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

    def _beginning(self, day: date) -> datetime:
        """Return the first moment that belongs to a session date or a later one."""
        sessions = None if is_daily(self.manifest.timeframe) else self.session_rows()
        if sessions is not None:
            later = sessions.filter(pl.col("date") >= day)
            if later.height and sessions["date"][0] < day:
                opened: datetime = later["open"][0]
                return opened
        return _midnight(day)

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
    files = {table: TABLE_FILES[table] for table in manifest.content}
    missing = [name for name in files.values() if not (path / name).is_file()]
    if missing:
        return dict.fromkeys(missing, "is missing")
    damage = {}
    contents = _contents(Dataset(path, manifest))
    for table, name in files.items():
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
    found = {}
    for table in dataset.manifest.content:
        with suppress(DatasetError):
            found[table] = _checksum(dataset, table)
    return found


def _checksum(dataset: Dataset, table: str) -> str:
    if table == "sessions":
        from backtrail.data.stored_sessions import sessions_checksum

        calendar = dataset.calendar()
        assert not isinstance(calendar, str)  # for its content says that there are sessions
        return sessions_checksum(calendar)
    if table == "universe":
        universe = dataset.universe()
        assert universe is not None
        return table_checksum(universe, table)
    return table_checksum(dataset.bars() if table == "bars" else dataset.adjustments(), table)


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
