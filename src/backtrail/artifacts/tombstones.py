"""Tombstones: what the ledger keeps of a deleted run.

One file per run key, because a run that a batch asks for again is made anew under another id, and
may be deleted again. A run that was kept by hand has no key; its file is called after its id.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from backtrail.artifacts.rundir import read_record
from backtrail.artifacts.store import RunStore
from backtrail.errors import ArtifactManagerError
from backtrail.files import write_json

__all__ = ["Tombstone", "add_tombstone", "find_tombstone", "read_tombstones"]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One run that was deleted.

    Attributes:
        backtest_id: Its id.
        run_key: Its key; None of a run that was kept by hand.
        names: Its names in the batch that made it.
        status: Status of its manifest; `planned` before it began, `kept by hand` without records.
        run_type: What kind of run it was; None where no record said it.
        strategy: Strategy file, relative to the project; None where no record said it.
        bundle: Name of its bundle; None where no record said it.
        dataset_id: Its dataset; None where no record said it.
        started_at: When it began, ISO 8601, UTC; None before that.
        manifest_sha256: Checksum of its `run.json`; None without one.
        deleted_at: When it was deleted, ISO 8601, UTC.
        deleted_by: Who deleted it; None where the system does not know the user.
    """

    backtest_id: str
    run_key: str | None
    names: tuple[str, ...]
    status: str
    run_type: str | None
    strategy: str | None
    bundle: str | None
    dataset_id: str | None
    started_at: str | None
    manifest_sha256: str | None
    deleted_at: str
    deleted_by: str | None

    def __str__(self) -> str:
        by = "" if self.deleted_by is None else f" by {self.deleted_by}"
        called = f"{', '.join(self.names)}, " if self.names else ""
        return f"run {self.backtest_id} ({called}{self.status}) was deleted {self.deleted_at}{by}"


def _path(store: RunStore, stone: Tombstone) -> Path:
    folder = store.ledger / "tombstones"
    if stone.run_key is None:
        return folder / "ids" / f"{stone.backtest_id}.json"
    return folder / f"{stone.run_key}.json"


def add_tombstone(store: RunStore, stone: Tombstone) -> Path:
    """Write a tombstone, flushed to disk, and return its file; those of other ids stay.

    Raises:
        ArtifactManagerError: If the file is there and damaged.
    """
    path = _path(store, stone)
    path.parent.mkdir(parents=True, exist_ok=True)
    others = [item for item in read_tombstones(path) if item.backtest_id != stone.backtest_id]
    record = {
        "kind": "run",
        "run_key": stone.run_key,
        "runs": [asdict(item) for item in (*others, stone)],
    }
    write_json(path, record, durable=True)
    return path


def read_tombstones(path: Path) -> tuple[Tombstone, ...]:
    """Return the tombstones of a ledger file, oldest first; none when there is no file.

    Raises:
        ArtifactManagerError: If the file is damaged.
    """
    if not path.exists():
        return ()
    values = read_record(path)
    try:
        return tuple(_stone(item) for item in values["runs"])
    except (KeyError, TypeError) as error:
        raise ArtifactManagerError(
            f"the ledger file {path} is no record of deleted runs ({error!r}); restore it, or "
            "remove it: that these runs were deleted is forgotten then"
        ) from None


def _stone(values: dict[str, Any]) -> Tombstone:
    known = {field.name: values[field.name] for field in fields(Tombstone)}
    return Tombstone(**{**known, "names": tuple(values["names"])})


def find_tombstone(store: RunStore, wanted: str) -> Tombstone | None:
    """Return the tombstone of an id, or of the one id that begins as asked.

    Raises:
        ArtifactManagerError: If a file of the ledger is damaged.
    """
    found = [
        stone
        for path in _files(store)
        for stone in read_tombstones(path)
        if stone.backtest_id.startswith(wanted)
    ]
    exact = [stone for stone in found if stone.backtest_id == wanted]
    matches = exact or found
    return matches[0] if len(matches) == 1 else None


def _files(store: RunStore) -> Iterator[Path]:
    folder = store.ledger / "tombstones"
    yield from sorted(folder.glob("[!.]*.json"))
    yield from sorted((folder / "ids").glob("[!.]*.json"))
