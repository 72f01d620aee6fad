"""Verifying an archive: its files, the seals and records of its runs, its datasets."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.manifest import inspect_run, is_sealed
from backtrail.artifacts.rundir import RunDir, read_record
from backtrail.artifacts.store import RunStore, check_id
from backtrail.batch.tending.archive_files import read_archive
from backtrail.batch.tending.archiving import (
    BUNDLES,
    LEDGER,
    OBJECTS,
    RUNS,
    Archive,
    ArchivedRun,
    ledger_paths,
)
from backtrail.canonical import sha256_file, sha256_json
from backtrail.data.datasets import dataset_damage
from backtrail.errors import ArtifactManagerError, BacktrailError

__all__ = ["check_archive", "examine"]

_BUNDLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DATASET: Final = re.compile(r"[0-9a-f]{16}")


def check_archive(path: Path) -> Archive:
    """Verify an archive offline: every file, every seal, every dataset; no store is touched.

    Args:
        path: The archive.

    Raises:
        ArtifactManagerError: If anything is not what the archive, a seal or an id says.
    """
    with tempfile.TemporaryDirectory(prefix="backtrail-archive-") as folder:
        return examine(path, Path(folder))


def examine(path: Path, folder: Path) -> Archive:
    """Unpack an archive into an empty folder and verify all that is in it.

    Args:
        path: The archive.
        folder: Takes `runs/<id>/`, `bundles/<bundle>/<dataset_id>/`, `objects/` and `ledger/`.

    Raises:
        ArtifactManagerError: If anything is not what the archive, a seal or an id says.
    """
    values = read_archive(path, folder)
    try:
        runs = tuple(
            ArchivedRun(**{**run, "names": tuple(run["names"]), "tags": tuple(run["tags"])})
            for run in values["runs"]
        )
        datasets = tuple((str(bundle), str(name)) for bundle, name in values["datasets"])
        absent = tuple((str(bundle), str(name)) for bundle, name in values["absent"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactManagerError(f"the list of {path} is no list of runs ({error!r})") from None
    used = tuple((run.bundle, run.dataset_id) for run in runs)
    for bundle, dataset_id in (*datasets, *absent, *used):  # they become folders
        if not (_BUNDLE.fullmatch(bundle) and _DATASET.fullmatch(dataset_id)):
            raise ArtifactManagerError(
                f"{path} names a dataset {dataset_id!r} of a bundle {bundle!r}: no such names are "
                "ever given"
            )
    for run in runs:
        _examine_run(path, folder, run)
    for bundle, dataset_id in datasets:
        damage = dataset_damage(folder / BUNDLES / bundle / dataset_id)
        for name, what in damage.items():
            raise ArtifactManagerError(
                f"dataset {dataset_id} of bundle {bundle} in {path} is damaged: {name} {what}"
            )
    known = {f"{BUNDLES}/{bundle}/{name}" for bundle, name in (*datasets, *absent)}
    _refuse_strangers(path, folder, runs, values["files"], known)
    return Archive(
        str(path),
        sha256_file(path),
        path.stat().st_size,
        len(values["files"]),
        runs,
        datasets,
        absent,
    )


def _examine_run(path: Path, folder: Path, archived: ArchivedRun) -> None:
    run = RunDir(folder / RUNS / check_id(archived.backtest_id))
    if not is_sealed(run):
        raise ArtifactManagerError(f"run {run.backtest_id} in {path} has no seal")
    damage = inspect_run(run)
    if damage:
        first = (*damage.altered, *damage.missing, *damage.unlisted)[0]
        raise ArtifactManagerError(f"run {run.backtest_id} in {path} is not intact: {first}")
    spec, manifest = run.read_spec(), run.read_manifest() or {}
    try:
        found = ArchivedRun(
            manifest["backtest_id"],
            sha256_json(spec["identity"]),
            tuple(manifest["labels"]["names"]),
            manifest["labels"]["bundle"],
            manifest["identity"]["dataset"]["dataset_id"],
            archived.tags,
            sha256_file(run.manifest),
        )
        same = (
            found == archived
            and spec["run_key"] == manifest["run_key"] == found.run_key
            and spec["backtest_id"] == found.backtest_id
            and spec["identity"] == manifest["identity"]
        )
    except (BacktrailError, KeyError, TypeError) as error:
        raise ArtifactManagerError(
            f"the records of run {run.backtest_id} in {path} are none of a run ({error!r})"
        ) from None
    if not same:
        raise ArtifactManagerError(
            f"the records of run {run.backtest_id} in {path} contradict each other: its key, its "
            "id or its dataset is another one in the list than in the run"
        )


def _refuse_strangers(
    path: Path,
    folder: Path,
    runs: Sequence[ArchivedRun],
    listed: Mapping[str, Any],
    datasets: set[str],
) -> None:
    """Refuse a file that belongs to none of the archive's runs."""
    homes = {f"{RUNS}/{run.backtest_id}/" for run in runs} | {f"{name}/" for name in datasets}
    scratch = RunStore(folder / "none")
    ledger = {
        f"{LEDGER}/{item.relative_to(scratch.ledger).as_posix()}"
        for run in runs
        for item in ledger_paths(scratch, run.dataset_id, run.run_key)
    }
    for name in listed:
        is_object = name.startswith(f"{OBJECTS}/") and listed[name]["sha256"] == name.split("/")[1]
        if not (name in ledger or is_object or name.startswith(tuple(homes))):
            raise ArtifactManagerError(f"{name} in {path} belongs to none of its runs")
    for run in runs:
        for item in ledger_paths(scratch, run.dataset_id, run.run_key):
            inside = folder / LEDGER / item.relative_to(scratch.ledger)
            if inside.is_file() and read_record(inside).get("run_key") != run.run_key:
                raise ArtifactManagerError(f"{inside.name} in {path} is the record of another run")
