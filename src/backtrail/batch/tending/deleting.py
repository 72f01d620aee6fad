"""Deleting runs: what would go, what stays, and the deletion itself.

The ledger gets a tombstone before anything goes. Plans that name a run are put aside before it
goes, so that the next call of their batch plans again and makes the run anew. The run itself goes
by a rename; what a killed call leaves is finished by the next one, or by the next plan.
"""

import getpass
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from backtrail.artifacts.removal import finish_removals, hold_run, remove_run, require_removable
from backtrail.artifacts.rundir import read_record
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import read_tags
from backtrail.artifacts.tombstones import Tombstone, add_tombstone, find_tombstone
from backtrail.batch.history.reading import find_run
from backtrail.batch.planning.former import plans_of, retire_plan
from backtrail.batch.tending.disk import freed_bytes
from backtrail.batch.tending.needs import (
    RunRecords,
    UnreachedObjects,
    read_records,
    unreached_objects,
)
from backtrail.canonical import sha256_file, utc_iso
from backtrail.errors import ArtifactManagerError
from backtrail.files import lease
from backtrail.provenance.attestation import read_attestations
from backtrail.wording import counted

__all__ = ["Deletion", "RunDeletion", "delete_runs", "find_claimed", "preview_deletion"]


@dataclass(frozen=True, slots=True)
class RunDeletion:
    """One run that goes.

    Attributes:
        backtest_id: Its id.
        names: Its names in the batch that claimed it.
        status: As its tombstone has it.
        bytes: What its own files take; of what it shares with other runs nothing.
        needed: What else refers to it, one sentence each.
        stays: What the ledger keeps of it, one sentence each.
    """

    backtest_id: str
    names: tuple[str, ...]
    status: str
    bytes: int
    needed: tuple[str, ...]
    stays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a deletion takes, or took.

    Attributes:
        runs: The runs.
        kept: How many others there are.
        objects: How many objects no other run needs.
        objects_bytes: What these take beside the runs.
        remark: Why objects stay that may be needed by nothing; None when none does.
        busy: Runs that were to go and are being executed, or belong to a batch that is.
        deleted: Whether it was done.
    """

    runs: tuple[RunDeletion, ...]
    kept: int
    objects: int
    objects_bytes: int
    remark: str | None
    busy: tuple[str, ...] = ()
    deleted: bool = False

    @property
    def bytes(self) -> int:
        """What the disk gets back: runs and objects."""
        return sum(run.bytes for run in self.runs) + self.objects_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "bytes": self.bytes}


def find_claimed(store: RunStore, wanted: str) -> str:
    """Return the id of a run, also of one whose folder was deleted by hand.

    Raises:
        ArtifactManagerError: If there is none, or more than one begins so.
    """
    if store.claimed_path(wanted).is_file() and not store.run(wanted).path.exists():
        return wanted
    return find_run(store, wanted).backtest_id


def preview_deletion(
    store: RunStore, backtest_ids: Sequence[str], *, every_object: bool = False
) -> Deletion:
    """Return what deleting runs would take: nothing is deleted.

    Args:
        store: The run store.
        backtest_ids: The runs.
        every_object: Count all objects that nothing needs, not only those of these runs.

    Raises:
        ArtifactManagerError: If a record of the ledger is damaged.
    """
    records = read_records(store)
    return _Survey(store, backtest_ids, records, every_object=every_object).deletion()


def delete_runs(
    store: RunStore,
    backtest_ids: Sequence[str],
    *,
    now: datetime,
    every_object: bool = False,
    pass_over_busy: bool = False,
) -> Deletion:
    """Delete runs, each with a tombstone in the ledger, and the objects that then nothing needs.

    No batch is planned meanwhile. The catalog is not touched.

    Args:
        store: The run store.
        backtest_ids: The runs.
        now: The moment that the tombstones state.
        every_object: Delete all objects that nothing needs, not only those of these runs.
        pass_over_busy: Leave runs that are being executed; otherwise one of them stops it all.

    Raises:
        ArtifactManagerError: If a run is being executed, this user may not delete it, or a record
            of the ledger is damaged; nothing is deleted.
    """
    store.plans.mkdir(parents=True, exist_ok=True)
    with lease(store.plans / ".lock"):
        finish_removals(store)
        records = read_records(store)
        if pass_over_busy:  # who was chosen may be gone meanwhile
            backtest_ids = [name for name in backtest_ids if name in records]
        survey = _Survey(store, backtest_ids, records, every_object=every_object)
        busy = survey.busy()
        if busy and not pass_over_busy:
            raise ArtifactManagerError(
                f"{next(iter(busy.values()))}; nothing was deleted. Wait until it is done"
            )
        free = [name for name in backtest_ids if name not in busy]
        for name in free:
            require_removable(store.run(name))
        survey = _Survey(store, free, records, every_object=every_object)
        found = survey.deletion()
        gone = [name for name in survey.ids if _delete(survey, name, now)]
        if len(gone) < len(survey.ids):  # one was begun since the look, and may need any of them
            remark = "a run was begun meanwhile; call `backtrail cleanup` when it is done"
            found = replace(found, objects=0, objects_bytes=0, remark=remark)
        else:
            objects = survey.objects()
            for path in objects.paths:
                path.unlink(missing_ok=True)
            if found.objects and not objects.paths:  # another run was executed since the look
                found = replace(found, objects=0, objects_bytes=0, remark=objects.reason)
    return replace(
        found,
        runs=tuple(run for run in found.runs if run.backtest_id in gone),
        kept=len(survey.records) - len(gone),
        busy=tuple(name for name in dict.fromkeys(backtest_ids) if name not in gone),
        deleted=True,
    )


def _delete(survey: "_Survey", backtest_id: str, now: datetime) -> bool:
    """Delete one run; say whether it was free."""
    store, records = survey.store, survey.records[backtest_id]
    run = store.run(backtest_id)
    with hold_run(run) as is_free:
        if not is_free:
            return False
        add_tombstone(store, _tombstone(store, records, now))
        for path, names in survey.plans.items():
            if backtest_id in names and path.exists():
                retire_plan(path)
        remove_run(store, run, records.run_key)
    return True


def _tombstone(store: RunStore, records: RunRecords, now: datetime) -> Tombstone:
    manifest = store.run(records.backtest_id).manifest
    return Tombstone(
        backtest_id=records.backtest_id,
        run_key=records.run_key,
        names=records.names,
        status=records.status,
        run_type=records.identity.get("run_type"),
        strategy=records.identity.get("strategy", {}).get("entry"),
        bundle=records.bundle,
        dataset_id=records.dataset_id,
        started_at=records.manifest.get("started_at"),
        manifest_sha256=sha256_file(manifest) if manifest.is_file() else None,
        deleted_at=utc_iso(now),
        deleted_by=_user(),
    )


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return None


class _Survey:
    """What there is to say of a deletion, each thing looked at once."""

    def __init__(
        self,
        store: RunStore,
        backtest_ids: Sequence[str],
        records: Mapping[str, RunRecords],
        *,
        every_object: bool,
    ) -> None:
        self.store = store
        self.ids = tuple(dict.fromkeys(backtest_ids))
        self.records = records
        for name in self.ids:
            if name not in self.records:
                raise ArtifactManagerError(
                    f"{find_tombstone(store, name) or f'there is no run {name!r}'}; nothing was "
                    "deleted"
                )
        gone = set(self.ids)
        self.kept = {name: item for name, item in self.records.items() if name not in gone}
        self.plans = plans_of(store)
        self._every_object = every_object
        self._looks: dict[str, list[str]] = {}
        for name, item in self.kept.items():
            if item.parent is not None:
                self._looks.setdefault(item.parent, []).append(name)

    def objects(self) -> UnreachedObjects:
        """Return the objects that go."""
        among = {sha256 for name in self.ids for sha256 in self.records[name].objects}
        return unreached_objects(self.store, self.kept, None if self._every_object else among)

    def deletion(self) -> Deletion:
        """Return what goes."""
        runs = tuple(self._run(name) for name in self.ids)
        objects = self.objects()
        paths = [path for name in self.ids for path in self._paths(name)]
        size = freed_bytes([*paths, *objects.paths])
        return Deletion(
            runs,
            len(self.kept),
            len(objects.paths),
            size - sum(run.bytes for run in runs),
            objects.reason,
        )

    def busy(self) -> dict[str, str]:
        """Return why runs cannot go now: they, or others of their batch, are being executed."""
        found = {name: f"run {name} is being executed" for name in self.ids if self._is_held(name)}
        asked = set(self.ids)
        for names in self.plans.values():
            chosen = asked.intersection(names)
            if not chosen:
                continue
            held = next((mate for mate in names if self._is_open(mate)), None)
            if held is not None:
                for name in chosen - {held}:
                    said = f"run {held}, which is of one batch with {name}, is being executed"
                    found.setdefault(name, said)
        return {name: found[name] for name in self.ids if name in found}

    def _is_open(self, name: str) -> bool:
        """Say whether a run has not ended well and somebody works on it."""
        records = self.records.get(name)
        if records is None or records.manifest.get("status") == "completed":
            return False
        return self._is_held(name)

    def _is_held(self, name: str) -> bool:
        with hold_run(self.store.run(name)) as is_free:
            return not is_free

    def _paths(self, name: str) -> list[Path]:
        run_key = self.records[name].run_key
        keys = [] if run_key is None else [self.store.key_path(run_key)]
        return [self.store.run(name).path, self.store.claimed_path(name), *keys]

    def _run(self, name: str) -> RunDeletion:
        records = self.records[name]
        return RunDeletion(
            name,
            records.names,
            records.status,
            freed_bytes(self._paths(name)),
            tuple(self._needed(records)),
            tuple(_staying(self.store, records)),
        )

    def _needed(self, records: RunRecords) -> Iterator[str]:
        """Yield what refers to a run."""
        if records.run_key is not None:
            tags = read_tags(self.store, records.run_key).names
            if tags:
                yield f"it has the tag{'' if len(tags) == 1 else 's'} {', '.join(tags)}"
        name = records.backtest_id
        for look in self._looks.get(name, ()):
            yield f"{look} is a look at its holdout, and stays"
        asked = [item for names in self.plans.values() for item in names.get(name, ())]
        if asked:
            yield (
                f"planned as {', '.join(sorted(set(asked)))}: the next snakemake of a batch that "
                "still has it makes it anew"
            )


def _staying(store: RunStore, records: RunRecords) -> Iterator[str]:
    """Yield what the ledger keeps of a run."""
    run_key, dataset_id = records.run_key, records.dataset_id
    if run_key is None:
        return
    if dataset_id is not None:
        sets = _value(store.trial_path(dataset_id, run_key), "sets")
        if sets:
            yield f"the count of {counted(sets, 'parameter set')}"
        look = _value(store.holdout_looks(dataset_id) / f"{run_key}.json", "look")
        if look:
            yield f"look {look} at the holdout of its search"
    replays = len(read_attestations(store.ledger / "replays" / f"{run_key}.json"))
    if replays:
        yield f"{replays} agreeing replay{'' if replays == 1 else 's'}"


def _value(path: Path, key: str) -> int:
    values: Mapping[str, Any] = read_record(path) if path.exists() else {}
    return int(values.get(key, 0))
