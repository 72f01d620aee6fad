"""Taking the runs of an archive into a store: whole, under their own ids, or not at all.

Everything is unpacked and verified in a hidden folder of the store first. Then the datasets and the
ledger's records go to their places, then each run by one rename. A killed import leaves whole runs
and a hidden folder; the next one does the rest.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.removal import finish_removals
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import edit_tags
from backtrail.batch.tending.archiving import (
    BUNDLES,
    LEDGER,
    OBJECTS,
    RUNS,
    Archive,
    ArchivedRun,
    ledger_paths,
)
from backtrail.batch.tending.examining import examine
from backtrail.batch.tending.needs import RunRecords
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError
from backtrail.files import flush_dir, lease, write_bytes
from backtrail.provenance.attestation import add_attestation, read_attestations
from backtrail.provenance.objects import ObjectStore

__all__ = ["IMPORTS", "Import", "ImportedRun", "import_archive"]

IMPORTS: Final = ".import."


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """What became of one run of an archive.

    Attributes:
        backtest_id: Its id in the archive.
        names: Its names in the batch that made it.
        state: `imported`; `there` when the store has the very run; `equal` when it has a sealed
            run of the same key under another id, which is kept in its place.
        equal_to: That run.
    """

    backtest_id: str
    names: tuple[str, ...]
    state: str
    equal_to: str | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """What an import did.

    Attributes:
        runs: The runs of the archive.
        datasets: Bundle and id of the datasets that the store did not have.
        lacking: Datasets of runs of the archive that neither it nor the store has; a replay needs
            them.
    """

    runs: tuple[ImportedRun, ...]
    datasets: tuple[tuple[str, str], ...]
    lacking: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def import_archive(store: RunStore, bundles_dir: Path, path: Path) -> Import:
    """Take the runs of an archive into a store. The catalog is not touched.

    No batch is planned meanwhile. A dataset gets no name: what a bundle means stays as it is.

    Args:
        store: The run store; made when absent.
        bundles_dir: Folder of the bundles; made when absent.
        path: The archive.

    Raises:
        ArtifactManagerError: If the archive is damaged, or the store has another run under an id
            or an unfinished one under a key; nothing is taken over then.
    """
    store.plans.mkdir(parents=True, exist_ok=True)
    with lease(store.plans / ".lock"):
        finish_removals(store)
        for left in store.base_dir.glob(f"{IMPORTS}*"):  # of imports that were killed
            shutil.rmtree(left, ignore_errors=True)  # another user's stays
        folder = store.base_dir / f"{IMPORTS}{os.getpid()}"
        folder.mkdir()
        try:
            archive = examine(path, folder)
            states = [_state(store, run) for run in archive.runs]
            datasets = tuple(_import_datasets(archive, folder, bundles_dir))
            for run, state in zip(archive.runs, states, strict=True):
                _import_ledger(store, folder, run)
                if state.state == "imported":
                    _import_run(store, folder, run)
                elif state.state == "there":
                    _link(store, store.run(run.backtest_id), run.run_key)
            lacking = [
                item for item in archive.absent if not (bundles_dir / item[0] / item[1]).is_dir()
            ]
            return Import(tuple(states), datasets, tuple(lacking))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _state(store: RunStore, archived: ArchivedRun) -> ImportedRun:
    """Say what is to become of a run.

    Raises:
        ArtifactManagerError: If it cannot be taken over.
    """
    run = store.run(archived.backtest_id)
    known = store.find(archived.run_key)
    if run.path.exists():
        if is_sealed(run) and sha256_file(run.manifest) == archived.manifest_sha256:
            return ImportedRun(archived.backtest_id, archived.names, "there")
        raise ArtifactManagerError(
            f"{store.base_dir} has another run {archived.backtest_id} than the archive; nothing "
            f"was taken over. Delete it (`backtrail delete {archived.backtest_id}`), or import "
            "into another store"
        )
    if known is not None and known != archived.backtest_id:
        if is_sealed(store.run(known)):
            return ImportedRun(archived.backtest_id, archived.names, "equal", known)
        raise ArtifactManagerError(
            f"{store.base_dir} has run {known}, which is planned from the same content as "
            f"{archived.backtest_id} and not finished; nothing was taken over. Finish it, or "
            f"delete it (`backtrail delete {known}`)"
        )
    return ImportedRun(archived.backtest_id, archived.names, "imported")


def _import_datasets(
    archive: Archive, folder: Path, bundles_dir: Path
) -> Iterator[tuple[str, str]]:
    for bundle, dataset_id in archive.datasets:
        target = bundles_dir / bundle / dataset_id
        target.parent.mkdir(parents=True, exist_ok=True)
        with lease(target.parent / ".lock"):
            if target.is_dir():
                continue
            made = target.with_name(f".{dataset_id}.imported.building~")
            if made.is_dir():
                shutil.rmtree(made)
            # The bundles may lie on another disk than the store.
            shutil.copytree(folder / BUNDLES / bundle / dataset_id, made)
            os.replace(made, target)
            flush_dir(target.parent)
        yield bundle, dataset_id


def _import_ledger(store: RunStore, folder: Path, run: ArchivedRun) -> None:
    """Add what the archive's ledger knows of a run; what this ledger says stays."""
    trial, replays, look = ledger_paths(store, run.dataset_id, run.run_key)
    for path in (trial, look):
        given = folder / LEDGER / path.relative_to(store.ledger)
        if given.is_file() and not path.exists():
            write_bytes(path, given.read_bytes(), durable=True)
    given = folder / LEDGER / replays.relative_to(store.ledger)
    known = read_attestations(replays)
    for attestation in read_attestations(given):
        if attestation not in known:
            add_attestation(store, run.run_key, attestation)
    if run.tags:
        edit_tags(store, [run.run_key], add=run.tags)


def _import_run(store: RunStore, folder: Path, archived: ArchivedRun) -> None:
    staged = RunDir(folder / RUNS / archived.backtest_id)
    _share_objects(store, folder, staged)
    moment = time.time_ns()  # one for all: no stage seems older than what it was made from
    for path in staged.path.rglob("*"):
        if path.is_file() and path.stat().st_nlink == 1:
            os.utime(path, ns=(moment, moment))
    for path in (staged.manifest, staged.success):
        os.utime(path, ns=(moment, moment))
    run = store.run(archived.backtest_id)
    staged.path.rename(run.path)
    flush_dir(store.base_dir)
    _link(store, run, archived.run_key)


def _share_objects(store: RunStore, folder: Path, staged: RunDir) -> None:
    """Store what the run shares with others by content, and let its files be links to that."""
    objects = ObjectStore(store.objects)
    manifest = staged.read_manifest() or {}
    needed = RunRecords(staged.backtest_id, staged.read_spec(), manifest).objects
    for name, entry in manifest["inventory"].items():
        if entry["sha256"] in needed and name.startswith(("code/", "inputs/", "metadata/uncom")):
            objects.put(staged.path / name, entry["sha256"])
            objects.materialize(entry["sha256"], staged.path / name)
    for sha256 in needed:
        given = folder / OBJECTS / sha256
        if given.is_file():
            objects.put(given, sha256)


def _link(store: RunStore, run: RunDir, run_key: str) -> None:
    """Let its key and its id find a run, as a claim does."""
    link = store.key_path(run_key)
    link.parent.mkdir(parents=True, exist_ok=True)
    claimed = store.claimed_path(run.backtest_id)
    claimed.parent.mkdir(parents=True, exist_ok=True)
    for path in (link, claimed):
        with suppress(FileExistsError):
            os.link(run.spec, path)
