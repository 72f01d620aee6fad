"""What runs need beside their own folder: shared objects, and other runs."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backtrail.artifacts.removal import hold_run
from backtrail.artifacts.rundir import RunDir, read_record
from backtrail.artifacts.store import RunStore
from backtrail.errors import ArtifactManagerError

__all__ = ["RunRecords", "UnreachedObjects", "read_records", "unreached_objects"]


@dataclass(frozen=True, slots=True)
class RunRecords:
    """What the records of one run say.

    Attributes:
        backtest_id: Its id.
        spec: Its run spec, empty where there is none.
        manifest: Its `run.json`, empty where there is none.
        unreadable: The records that are there and cannot be read.
    """

    backtest_id: str
    spec: Mapping[str, Any]
    manifest: Mapping[str, Any]
    unreadable: tuple[Path, ...] = ()

    @property
    def run_key(self) -> str | None:
        """The run's key; None of a run that is kept by hand."""
        return self.spec.get("run_key") or self.manifest.get("run_key")

    @property
    def names(self) -> tuple[str, ...]:
        """Its names in the batch that claimed it."""
        return tuple(self._said("labels").get("names", ()))

    @property
    def identity(self) -> Mapping[str, Any]:
        """What was hashed into its key."""
        return self._said("identity")

    @property
    def bundle(self) -> str | None:
        """The name of its bundle."""
        return self._said("labels").get("bundle")

    @property
    def dataset_id(self) -> str | None:
        """Its dataset."""
        dataset: Mapping[str, Any] = self.identity.get("dataset", {})
        return dataset.get("dataset_id")

    @property
    def parent(self) -> str | None:
        """The search at whose holdout it is a look; None of any other run."""
        parent: Mapping[str, Any] = self.spec.get("parent") or {}
        return parent.get("backtest_id")

    def began(self, run: RunDir) -> datetime | None:
        """Return when the run began, by its records; before that, when it was planned.

        A run that is kept by hand has the moment of its metadata. The name of a run says nothing.
        """
        said = self.manifest.get("started_at") or self.manifest.get("created_at")
        try:
            if said is None and not self.spec and not self.unreadable:
                values = read_record(run.metadata)
                said = values.get("created_at") or values.get("timestamp")
            if said is not None:
                moment = datetime.fromisoformat(said)
                return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
            return datetime.fromtimestamp(run.spec.stat().st_mtime, UTC)
        except (ArtifactManagerError, OSError, TypeError, ValueError, AttributeError):
            return None

    @property
    def status(self) -> str:
        """Status of its manifest; `planned` before it began, `kept by hand` without records."""
        if self.manifest:
            return str(self.manifest.get("status", "damaged"))
        return "planned" if self.spec else "damaged" if self.unreadable else "kept by hand"

    @property
    def objects(self) -> set[str]:
        """The sha256 of every object that the run was made from or that a restore would ask for."""
        found = {file["sha256"] for file in self.spec.get("code", {}).get("files", ())}
        found.add(((self.spec.get("origin") or {}).get("git") or {}).get("diff_sha256"))
        usage = self.manifest.get("usage", {})
        found |= {item["sha256"] for name in ("opened", "modules") for item in usage.get(name, ())}
        for name, entry in self.manifest.get("inventory", {}).items():
            if name.startswith(("code/", "inputs/", "metadata/uncommitted")):
                found.add(entry["sha256"])
        return found - {None}

    def _said(self, key: str) -> Mapping[str, Any]:
        said: Mapping[str, Any] = self.spec.get(key) or self.manifest.get(key) or {}
        return said


def read_records(store: RunStore) -> dict[str, RunRecords]:
    """Return the records of every run of a store by its id, deleted by hand or not."""
    claimed = store.keys / "ids"
    names = {run.backtest_id for run in store.run_dirs()}
    names |= {path.name for path in claimed.iterdir()} if claimed.is_dir() else set()
    return {name: _records(store, store.run(name)) for name in sorted(names)}


def _records(store: RunStore, run: RunDir) -> RunRecords:
    unreadable, said = [], []
    for path, read in (
        (run.spec, lambda: store.read_spec(run.backtest_id)),
        (run.manifest, run.read_manifest),
    ):
        values: Any = {}
        try:
            values = read() or {}
            if not isinstance(values, dict):
                unreadable.append(path)
                values = {}
        except (ArtifactManagerError, OSError):
            if path.exists():
                unreadable.append(path)
        said.append(values)
    spec, manifest = said
    return RunRecords(run.backtest_id, spec, manifest, tuple(unreadable))


@dataclass(frozen=True, slots=True)
class UnreachedObjects:
    """Objects that no run needs any more.

    Attributes:
        paths: Where they lie.
        reason: Why none is named although there may be some; None when all are.
    """

    paths: tuple[Path, ...]
    reason: str | None = None


def unreached_objects(
    store: RunStore, kept: Mapping[str, RunRecords], among: Collection[str] | None = None
) -> UnreachedObjects:
    """Return the objects that no kept run needs.

    None is named while a record of a kept run cannot be read, while a run is being executed, or
    when one was since its records were read: what it opened is stored before its manifest says so.

    Args:
        store: The run store.
        kept: Records of every run that stays.
        among: Only these contents; None looks at every object.
    """
    for records in kept.values():
        if records.unreadable:
            return UnreachedObjects(
                (),
                f"which objects run {records.backtest_id} needs cannot be told: "
                f"{records.unreadable[0]} cannot be read; mend the run, or delete it",
            )
    for name, records in kept.items():
        if records.manifest.get("status") == "completed":
            continue
        if _is_busy(store.run(name)):
            return UnreachedObjects(
                (), f"run {name} is being executed; call `backtrail cleanup` when it is done"
            )
        if _records(store, store.run(name)) != records:
            return UnreachedObjects(
                (), f"run {name} was executed meanwhile; call `backtrail cleanup` again"
            )
    needed = {sha256 for records in kept.values() for sha256 in records.objects}
    return UnreachedObjects(
        tuple(
            path
            for path in _stored(store)
            if path.name not in needed and (among is None or path.name in among)
        )
    )


def _is_busy(run: RunDir) -> bool:
    if not run.path.is_dir():
        return False
    with suppress(FileNotFoundError), hold_run(run) as held:
        return not held
    return False


def _stored(store: RunStore) -> Iterator[Path]:
    yield from sorted(store.objects.glob("[0-9a-f][0-9a-f]/[0-9a-f]*"))
