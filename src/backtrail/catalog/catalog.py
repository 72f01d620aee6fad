"""The catalog database: one writer, rebuilt from disk at any time, giving equal tables."""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from backtrail.artifacts.store import RunStore
from backtrail.catalog import tables
from backtrail.catalog.database import (
    READING,
    connect,
    first_line,
    make_file,
    refuse_absent,
    shown_url,
)
from backtrail.catalog.rows import (
    UNTAGGED,
    ManifestState,
    RunRows,
    bundle_rows,
    manifest_state,
    replay_rows,
    run_rows,
    run_tags,
    trial_files,
    trial_rows,
)
from backtrail.errors import ArtifactManagerError, CatalogError
from backtrail.files import atomic_path, lease, remove_stale
from backtrail.provenance.attestation import attestation_files

if TYPE_CHECKING:
    import polars as pl

    from backtrail.catalog.filters import RunFilter

__all__ = ["Catalog", "SyncCounts"]

_BATCH = 2_000
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SyncCounts:
    """What one sync changed.

    Attributes:
        added: Runs that were not in the catalog.
        updated: Runs whose manifest has changed since.
        removed: Runs whose directory is gone.
        total: Runs in the catalog now.
        unreadable: Files whose run, dataset or trial was left out, each with the reason.
        failed: Runs among the added and updated ones that failed.
    """

    added: int
    updated: int
    removed: int
    total: int
    unreadable: Mapping[str, str] = field(default_factory=dict)
    failed: int = 0


class Catalog:
    """The index of a run store. Use it as a context manager.

    Args:
        url: SQLAlchemy URL.
        store: The run store it indexes.
        bundles_dir: Folder of the bundles whose datasets it lists.

    Raises:
        CatalogError: If the database cannot be opened.
    """

    def __init__(self, url: str, store: RunStore, bundles_dir: Path) -> None:
        self.store = store
        self.bundles_dir = bundles_dir
        self.url = url
        self._engine = connect(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._engine.dispose()

    def sync(self, *, rebuild: bool = False) -> SyncCounts:
        """Bring the catalog level with the disk: new and changed runs in, vanished ones out.

        A run whose mark states the checksum that the catalog has is not opened, unless its
        manifest is younger than the mark. The table of runs is also written to `runs.parquet`.
        Syncing twice changes nothing. A file that cannot be read leaves out what it stands for
        and nothing else; it is named in the counts and logged as a warning.

        Args:
            rebuild: Drop every table first and make it anew; so is a catalog whose tables have
                other columns.

        Raises:
            CatalogError: If the database cannot be written; runs are untouched.
        """
        with self._locked(), self._transaction() as connection:
            remove_stale(self.store.base_dir)
            if rebuild or _has_other_columns(connection):
                tables.metadata.drop_all(connection)
                tables.metadata.create_all(connection)
            unreadable: dict[str, str] = {}
            on_disk = self._sync_bundles(connection, unreadable)
            counts = self._sync_runs(connection, unreadable)
            self._prune_datasets(connection, on_disk)
            self._sync_trials(connection, unreadable)
            self._sync_replays(connection, unreadable)
            self._sync_tags(connection, unreadable)
            self._export(connection)
        for path, reason in unreadable.items():
            _LOG.warning("left out of the catalog: %s: %s", path, reason)
        return counts

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the one writer of the catalog; what the file system refuses is an error of its own."""
        try:
            self.store.base_dir.mkdir(parents=True, exist_ok=True)
            with lease(self.store.catalog_lock):
                make_file(self.url)
                yield
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from error

    def _unwritable(self, reason: str) -> CatalogError:
        return CatalogError(
            f"cannot write the catalog {shown_url(self.url)}: {reason}; the runs are complete, "
            "`backtrail catalog-sync` links them later"
        )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                tables.metadata.create_all(connection)
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise self._unwritable(first_line(error)) from error

    def _sync_bundles(self, connection: Connection, unreadable: dict[str, str]) -> set[str]:
        heads, found = bundle_rows(self.bundles_dir, unreadable)
        self._replace(connection, tables.bundles, heads)
        columns = tables.datasets.c
        known = {
            row.dataset_id: dict(row._mapping)
            for row in connection.execute(sa.select(tables.datasets))
        }
        on_disk = {row["dataset_id"]: row for row in found}
        for dataset_id, row in known.items():
            # What the disk no longer knows is emptied as a rebuild would; links may still need it.
            present = on_disk.get(dataset_id) or _unknown_dataset(dataset_id, row["bundle"])
            if present != row:
                update = sa.update(tables.datasets).where(columns.dataset_id == dataset_id)
                connection.execute(update.values(**present))
        _insert(connection, tables.datasets, [r for r in found if r["dataset_id"] not in known])
        return set(on_disk)

    def _sync_runs(self, connection: Connection, unreadable: dict[str, str]) -> SyncCounts:
        columns = tables.runs.c
        query = sa.select(columns.backtest_id, columns.manifest_sha256, columns.status)
        catalogued = {
            row.backtest_id: ManifestState(row.manifest_sha256, row.status != "altered")
            for row in connection.execute(query)
        }
        changed: list[RunRows] = []
        present = set()
        for run in self.store.run_dirs():
            known = catalogued.get(run.backtest_id)
            try:
                if known is None or manifest_state(run, known) != known:
                    rows = run_rows(run)
                    if rows is None:
                        continue
                    changed.append(rows)
            except ArtifactManagerError as error:
                unreadable[str(run.manifest)] = str(error)
                continue
            present.add(run.backtest_id)
        gone = [name for name in catalogued if name not in present]
        stale = [
            rows.run["backtest_id"] for rows in changed if rows.run["backtest_id"] in catalogued
        ]
        self._delete_runs(connection, [*gone, *stale])
        self._add_missing_datasets(connection, changed)
        _insert(connection, tables.runs, [rows.run for rows in changed])
        _insert(connection, tables.data_links, [rows.link for rows in changed])
        _insert(connection, tables.artifacts, [row for rows in changed for row in rows.artifacts])
        total = len(catalogued) - len(gone) - len(stale) + len(changed)
        failed = sum(rows.run["status"] == "failed" for rows in changed)
        return SyncCounts(
            len(changed) - len(stale), len(stale), len(gone), total, unreadable, failed
        )

    def _sync_trials(self, connection: Connection, unreadable: dict[str, str]) -> None:
        query = sa.select(tables.trials.c.dataset_id, tables.trials.c.run_key)
        known = {(row.dataset_id, row.run_key) for row in connection.execute(query)}
        on_disk = trial_files(self.store)
        gone = [{"dataset": item[0], "key": item[1]} for item in sorted(known - on_disk.keys())]
        if gone:
            columns = tables.trials.c
            is_gone = (columns.dataset_id == sa.bindparam("dataset")) & (
                columns.run_key == sa.bindparam("key")
            )
            connection.execute(sa.delete(tables.trials).where(is_gone), gone)
        new = {item: path for item, path in on_disk.items() if item not in known}
        _insert(connection, tables.trials, list(trial_rows(new, unreadable)))

    def _sync_replays(self, connection: Connection, unreadable: dict[str, str]) -> None:
        """Read ledger files that grew since, and lift or lower the grade of the runs they prove."""
        columns = tables.replays.c
        query = sa.select(columns.run_key, columns.ledger_bytes).where(columns.number == 1)
        known = dict(connection.execute(query).tuples().all())
        on_disk = {path.stem: path for path in attestation_files(self.store)}
        grown = [key for key, path in on_disk.items() if known.get(key) != path.stat().st_size]
        outdated = [key for key in known if key not in on_disk] + grown
        for start in range(0, len(outdated), _BATCH):
            some = outdated[start : start + _BATCH]
            connection.execute(sa.delete(tables.replays).where(columns.run_key.in_(some)))
        rows = [row for key in grown for row in replay_rows(on_disk[key], unreadable)]
        _insert(connection, tables.replays, rows)
        runs = tables.runs.c
        lifted = (runs.capture_grade == "B") & sa.exists().where(
            columns.manifest_sha256 == runs.manifest_sha256
        )
        best = sa.case((lifted, "A"), else_=runs.capture_grade)
        stale = runs.grade.is_distinct_from(best)
        connection.execute(sa.update(tables.runs).where(stale).values(grade=best))

    def _sync_tags(self, connection: Connection, unreadable: dict[str, str]) -> None:
        """Give every run the tags that the ledger has for it; every record is read."""
        columns = tables.runs.c
        on_disk = run_tags(self.store, unreadable)
        query = sa.select(columns.backtest_id, columns.run_key, columns.tags_json)
        changed = [
            {"run": row.backtest_id, "tags": on_disk.get(row.run_key, UNTAGGED)}
            for row in connection.execute(query)
            if row.tags_json != on_disk.get(row.run_key, UNTAGGED)
        ]
        if changed:
            update = sa.update(tables.runs).where(columns.backtest_id == sa.bindparam("run"))
            connection.execute(update.values(tags_json=sa.bindparam("tags")), changed)

    def _add_missing_datasets(self, connection: Connection, changed: Sequence[RunRows]) -> None:
        """Keep links to datasets whose folder was deleted; what is unknown is left empty."""
        known = set(connection.scalars(sa.select(tables.datasets.c.dataset_id)))
        missing = {
            rows.run["dataset_id"]: rows.run
            for rows in changed
            if rows.run["dataset_id"] not in known
        }
        _insert(
            connection,
            tables.datasets,
            [_unknown_dataset(name, run["bundle"]) for name, run in sorted(missing.items())],
        )

    def _prune_datasets(self, connection: Connection, on_disk: Collection[str]) -> None:
        """Forget datasets that neither the disk nor a run knows; name others by their runs."""
        query = sa.select(tables.runs.c.dataset_id, sa.func.min(tables.runs.c.bundle))
        used = dict(connection.execute(query.group_by(tables.runs.c.dataset_id)).tuples().all())
        columns = tables.datasets.c
        for dataset_id in connection.scalars(sa.select(columns.dataset_id)).all():
            if dataset_id in on_disk:
                continue
            where = columns.dataset_id == dataset_id
            if dataset_id in used:
                row = _unknown_dataset(dataset_id, used[dataset_id])
                connection.execute(sa.update(tables.datasets).where(where).values(**row))
            else:
                connection.execute(sa.delete(tables.datasets).where(where))

    def _delete_runs(self, connection: Connection, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _BATCH):
            some = ids[start : start + _BATCH]
            for table in (tables.artifacts, tables.data_links, tables.runs):
                connection.execute(sa.delete(table).where(table.c.backtest_id.in_(some)))

    def _replace(self, connection: Connection, table: sa.Table, rows: list[dict[str, Any]]) -> None:
        connection.execute(sa.delete(table))
        _insert(connection, table, rows)

    def _export(self, connection: Connection) -> None:
        import polars as pl

        from backtrail.catalog.frames import frame_of

        rows = connection.execute(sa.select(tables.runs).order_by(tables.runs.c.backtest_id))
        frame = frame_of(tables.runs.columns, [tuple(row) for row in rows])
        with atomic_path(self.store.runs_table) as temporary:
            try:
                frame.write_parquet(temporary, compression="zstd")
            except pl.exceptions.PolarsError as error:  # a full disk, in words of its own
                raise OSError(f"{self.store.runs_table} cannot be written: {error}") from error

    def stored_bytes(self) -> int:
        """Return how much the files of all sealed runs take, by their manifests.

        Captured code counts once for all runs of one code hash. Pages, which can be rendered
        again, are not counted.
        """
        columns = tables.runs.c
        results = sa.select(sa.func.sum(columns.result_bytes).label("size"))
        code = sa.select(sa.func.max(columns.code_bytes).label("size")).group_by(columns.code_hash)
        rows = [*self._read(results), *self._read(code)]
        return sum(int(row["size"] or 0) for row in rows)

    def find_runs(self, **wanted: str | date | bool | None) -> list[dict[str, Any]]:
        """Return the runs that fit a filter as plain values, oldest first.

        Args:
            **wanted: Attributes of `RunFilter`, such as `name` or `since`, and columns of the
                table of runs, such as `run_key`, with the values wanted; None is ignored.

        Raises:
            QueryError: If a name is neither.
            CatalogError: If the catalog cannot be read.
        """
        from backtrail.catalog.filters import RunFilter

        # A filter goes first: `name` means any name of a run, not the first of them alone.
        plain = set(tables.runs.c.keys()) - {each.name for each in fields(RunFilter)}
        equal = {key: wanted.pop(key) for key in list(wanted) if key in plain}
        return self.read_runs(RunFilter.of(wanted), equal).to_dicts()

    def read_runs(
        self, wanted: "RunFilter | None" = None, equal: Mapping[str, Any] | None = None
    ) -> "pl.DataFrame":
        """Return the table of runs, or a part of it, oldest first.

        Args:
            wanted: What the runs have in common.
            equal: Values of columns besides; None is no value and is ignored.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        from backtrail.catalog.filters import RunFilter
        from backtrail.catalog.frames import frame_of

        wanted = wanted or RunFilter()
        query = wanted.statement()
        for key, value in (equal or {}).items():
            if value is not None:
                query = query.where(tables.runs.c[key] == value)
        return wanted.fit(frame_of(tables.runs.columns, self._rows(query)))

    def read_artifacts(self, ending: str) -> "pl.DataFrame":
        """Return the rows of artifacts whose path ends so, by run and path.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        from backtrail.catalog.frames import frame_of

        columns = tables.artifacts.c
        query = sa.select(tables.artifacts).where(columns.path.endswith(ending, autoescape=True))
        return frame_of(columns, self._rows(query)).sort("backtest_id", "path")

    def read_trials(self) -> "pl.DataFrame":
        """Return the table of trials: a row per run ever sealed, deleted runs included.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        from backtrail.catalog.frames import frame_of

        return frame_of(tables.trials.columns, self._rows(sa.select(tables.trials)))

    def artifact_names(self) -> list[str]:
        """Return the distinct file names of all results of all runs, sorted.

        Raises:
            CatalogError: If the catalog cannot be read.
        """
        path = tables.artifacts.c.path
        query = sa.select(path).where(path.not_like("code/%")).distinct()
        return sorted({str(row[0]).rpartition("/")[2] for row in self._rows(query)})

    def find_links(self, **equal: str | None) -> list[dict[str, Any]]:
        """Return the links between runs and datasets, oldest run first.

        Args:
            **equal: `backtest_id`, `dataset_id` or `bundle`; None is ignored.
        """
        links, runs = tables.data_links, tables.runs
        query = (
            sa.select(links, runs.c.bundle)
            .join(runs, runs.c.backtest_id == links.c.backtest_id)
            .order_by(links.c.backtest_id, links.c.dataset_id)
        )
        for name, value in equal.items():
            if value is not None:
                query = query.where((runs if name == "bundle" else links).c[name] == value)
        return self._read(query)

    def find_bundles(self) -> list[dict[str, Any]]:
        """Return every bundle with the dataset its name means, by name."""
        columns = tables.bundles.c
        query = sa.select(columns.bundle, columns.dataset_id, columns.datasets)
        return self._read(query.order_by(columns.bundle))

    def find_datasets(
        self, *, bundle: str | None = None, **equal: str | None
    ) -> list[dict[str, Any]]:
        """Return the datasets whose columns equal the given values, by id.

        Args:
            bundle: One that holds them; also where another bundle holds the same content.
            **equal: Columns of the dataset table, such as `calendar`; None is ignored.
        """
        columns = tables.datasets.c
        query = sa.select(tables.datasets).order_by(columns.dataset_id)
        for name, value in equal.items():
            if value is not None:
                query = query.where(columns[name] == value)
        if bundle is None:
            return self._read(query)
        held = sa.select(tables.bundles.c.datasets_json).where(tables.bundles.c.bundle == bundle)
        ids = [name for row in self._read(held) for name in json.loads(row["datasets_json"])]
        query = query.where(sa.or_(columns.bundle == bundle, columns.dataset_id.in_(ids)))
        return [{**row, "bundle": bundle} for row in self._read(query)]

    def _read(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        names = list(query.selected_columns.keys())
        return [dict(zip(names, row, strict=True)) for row in self._rows(query)]

    def _rows(self, query: sa.Select[Any]) -> list[tuple[Any, ...]]:
        refuse_absent(self.url)
        try:
            # Reading takes no write lock: no transaction is begun.
            with self._engine.connect().execution_options(**{READING: True}) as reading:
                return [tuple(row) for row in reading.execute(query).all()]
        except sa.exc.SQLAlchemyError as error:
            raise CatalogError(
                f"cannot read the catalog {shown_url(self.url)}: {first_line(error)}; "
                "`backtrail catalog-sync` makes it from the run directories"
            ) from error


def _has_other_columns(connection: Connection) -> bool:
    """Say whether the tables were made by a version of this library that declared others."""
    inspector = sa.inspect(connection)
    return any(
        {column["name"] for column in inspector.get_columns(table.name)} != set(table.c.keys())
        for table in tables.metadata.sorted_tables
    )


def _unknown_dataset(dataset_id: str, bundle: str) -> dict[str, Any]:
    """Return the row of a dataset whose folder was deleted."""
    return {
        "dataset_id": dataset_id,
        "bundle": bundle,
        "calendar": "",
        "timeframe": "",
        "bars": 0,
        "symbols": 0,
        "first_bar": "",
        "last_bar": "",
        "synthetic": False,
    }


def _insert(connection: Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _BATCH):
        connection.execute(sa.insert(table), list(rows[start : start + _BATCH]))
