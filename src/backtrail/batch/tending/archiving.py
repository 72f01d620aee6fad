"""Archives of runs: one file with all that another machine needs to verify and to replay them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.manifest import inspect_run, is_sealed
from backtrail.artifacts.rundir import LOCK, RunDir
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import read_tags
from backtrail.batch.tending.archive_files import write_archive
from backtrail.batch.tending.needs import RunRecords
from backtrail.canonical import sha256_file
from backtrail.data.datasets import dataset_damage
from backtrail.data.manifest import MANIFEST_FILE, TABLE_FILES
from backtrail.errors import ArtifactManagerError
from backtrail.files import is_temporary
from backtrail.provenance.objects import ObjectStore

__all__ = [
    "BUNDLES",
    "LEDGER",
    "OBJECTS",
    "RUNS",
    "Archive",
    "ArchivedRun",
    "archive_runs",
    "ledger_paths",
]

RUNS: Final = "runs"
BUNDLES: Final = "bundles"
OBJECTS: Final = "objects"
LEDGER: Final = "ledger"


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """One run of an archive.

    Attributes:
        backtest_id: Its id.
        run_key: Its key.
        names: Its names in the batch that made it.
        bundle: The name of its bundle.
        dataset_id: Its dataset.
        tags: The tags it has in the store it comes from.
        manifest_sha256: Checksum of its `run.json`.
    """

    backtest_id: str
    run_key: str
    names: tuple[str, ...]
    bundle: str
    dataset_id: str
    tags: tuple[str, ...]
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Archive:
    """What an archive holds.

    Attributes:
        path: The file.
        sha256: Its checksum.
        bytes: Its size.
        files: How many files are in it.
        runs: The runs.
        datasets: Bundle and id of each dataset that is in it.
        absent: Those that the runs used and of which only the manifest is in it.
    """

    path: str
    sha256: str
    bytes: int
    files: int
    runs: tuple[ArchivedRun, ...]
    datasets: tuple[tuple[str, str], ...]
    absent: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def archive_runs(
    store: RunStore,
    runs: Sequence[RunDir],
    bundles_dir: Path,
    path: Path,
    *,
    with_data: bool = True,
) -> Archive:
    """Write sealed runs into one file; the same runs give the same bytes.

    Args:
        store: The run store.
        runs: Runs of it.
        bundles_dir: Folder of the bundles.
        path: The archive, `.tar` or `.tar.gz`; must not be there.
        with_data: Take the datasets in; otherwise only their manifests, with every checksum.

    Raises:
        ArtifactManagerError: If a run is not sealed or not intact, a dataset or an object is
            missing or damaged, or the file cannot be one.
    """
    chosen = sorted({run.backtest_id for run in runs})
    files: dict[str, Path] = {}
    said, absent = [], []
    for name in chosen:
        run = store.run(name)
        _require_whole(run)
        archived = _archived(store, run)
        said.append(archived)
        files.update(_run_files(run))
        files.update(_ledger_files(store, archived))
        files.update(_missing_objects(store, run))
    used = sorted({(run.bundle, run.dataset_id) for run in said})
    for bundle, dataset_id in used:
        folder = bundles_dir / bundle / dataset_id
        files.update(_dataset_files(folder, with_data=with_data))
        if not with_data:
            absent.append((bundle, dataset_id))
    write_archive(
        path,
        files,
        {
            "runs": [asdict(run) for run in said],
            "datasets": [list(item) for item in used if with_data],
            "absent": [list(item) for item in absent],
        },
    )
    return Archive(
        str(path),
        sha256_file(path),
        path.stat().st_size,
        len(files),
        tuple(said),
        tuple(used) if with_data else (),
        tuple(absent),
    )


def _require_whole(run: RunDir) -> None:
    if not is_sealed(run):
        state = "failed" if run.failed.exists() else "was never finished"
        raise ArtifactManagerError(
            f"run {run.backtest_id} {state}; only a sealed run can be archived, because only its "
            "files have checksums that another machine can compare"
        )
    damage = inspect_run(run)
    if damage:
        first = (*damage.altered, *damage.missing, *damage.unlisted)[0]
        raise ArtifactManagerError(
            f"run {run.backtest_id} is not intact ({first}); `backtrail verify {run.backtest_id}` "
            "says what mends it"
        )


def _archived(store: RunStore, run: RunDir) -> ArchivedRun:
    records = RunRecords(run.backtest_id, run.read_spec(), run.read_manifest() or {})
    assert records.run_key is not None
    assert records.bundle is not None
    assert records.dataset_id is not None
    return ArchivedRun(
        run.backtest_id,
        records.run_key,
        records.names,
        records.bundle,
        records.dataset_id,
        read_tags(store, records.run_key).names,
        sha256_file(run.manifest),
    )


def _run_files(run: RunDir) -> Iterator[tuple[str, Path]]:
    for top, _, names in os.walk(run.path):
        for name in names:
            path = Path(top, name)
            inside = path.relative_to(run.path).as_posix()
            if inside != LOCK and not is_temporary(path) and path.is_file():
                yield f"{RUNS}/{run.backtest_id}/{inside}", path


def _ledger_files(store: RunStore, run: ArchivedRun) -> Iterator[tuple[str, Path]]:
    for path in ledger_paths(store, run.dataset_id, run.run_key):
        if path.is_file():
            yield f"{LEDGER}/{path.relative_to(store.ledger).as_posix()}", path


def ledger_paths(store: RunStore, dataset_id: str, run_key: str) -> tuple[Path, Path, Path]:
    """Return where the ledger has the trials, the replays and the look of a run."""
    return (
        store.trial_path(dataset_id, run_key),
        store.ledger / "replays" / f"{run_key}.json",
        store.holdout_looks(dataset_id) / f"{run_key}.json",
    )


def _missing_objects(store: RunStore, run: RunDir) -> Iterator[tuple[str, Path]]:
    """Yield the objects that a run needs and has no file of its own of."""
    manifest = run.read_manifest() or {}
    there = {entry["sha256"] for entry in manifest["inventory"].values()}
    records = RunRecords(run.backtest_id, run.read_spec(), manifest)
    objects = ObjectStore(store.objects)
    for sha256 in sorted(records.objects - there):
        state = objects.state(sha256)
        if state == "damaged":
            raise ArtifactManagerError(
                f"object {objects.path(sha256)}, which run {run.backtest_id} needs, is damaged; "
                "`backtrail verify` says what mends it"
            )
        if state == "intact":
            yield f"{OBJECTS}/{sha256}", objects.path(sha256)


def _dataset_files(folder: Path, *, with_data: bool) -> Iterator[tuple[str, Path]]:
    home = f"{BUNDLES}/{folder.parent.name}/{folder.name}"
    damage = dataset_damage(folder) if with_data else {}
    if damage or not (folder / MANIFEST_FILE).is_file():
        what = next((f"{name} {said}" for name, said in damage.items()), "is missing")
        raise ArtifactManagerError(
            f"dataset {folder} cannot be archived: {what}; mend it, or give --without-data"
        )
    names = (MANIFEST_FILE, *(TABLE_FILES.values() if with_data else ()))
    yield from ((f"{home}/{name}", folder / name) for name in names if (folder / name).is_file())
