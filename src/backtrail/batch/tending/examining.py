"""Verifying an archive: its files, the seals and records of its runs, its datasets."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.manifest import inspect_run, is_sealed
from backtrail.artifacts.rundir import RunDir, read_record
from backtrail.artifacts.store import RunStore, check_id
from backtrail.artifacts.tags import check_tag
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
from backtrail.data.manifest import MANIFEST_FILE, TABLE_FILES
from backtrail.errors import ArtifactManagerError, BacktrailError
from backtrail.provenance.attestation import read_attestations

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
        _examine_ledger(path, folder, run)
    for name in ("backtest_id", "run_key"):
        if len({getattr(run, name) for run in runs}) < len(runs):
            raise ArtifactManagerError(f"two runs of {path} have the same {name}")
    for bundle, dataset_id in datasets:
        damage = dataset_damage(folder / BUNDLES / bundle / dataset_id)
        for name, what in damage.items():
            raise ArtifactManagerError(
                f"dataset {dataset_id} of bundle {bundle} in {path} is damaged: {name} {what}"
            )
    known = {
        f"{BUNDLES}/{bundle}/{name}/{file}"
        for bundle, name in (*datasets, *absent)
        for file in (MANIFEST_FILE, *TABLE_FILES.values())
    }
    _refuse_strangers(path, runs, values["files"], known)
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
    for tag in archived.tags:
        check_tag(tag)
    try:
        damage = inspect_run(run)
        inventory = (run.read_manifest() or {})["inventory"]
        outside = [name for name in inventory if ".." in name.split("/") or name.startswith("/")]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactManagerError(
            f"{run.manifest.name} of run {run.backtest_id} in {path} is none of a run ({error!r})"
        ) from None
    if outside:
        raise ArtifactManagerError(
            f"run {run.backtest_id} in {path} states a file {outside[0]!r}, which leads out of it"
        )
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
    except (BacktrailError, AttributeError, KeyError, TypeError) as error:
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
    runs: Sequence[ArchivedRun],
    listed: Mapping[str, Any],
    datasets: set[str],
) -> None:
    """Refuse a file that belongs to none of the archive's runs."""
    homes = tuple(f"{RUNS}/{run.backtest_id}/" for run in runs)
    ledger = {f"{LEDGER}/{item}" for run in runs for item in _ledger_names(run)}
    for name in listed:
        is_object = name == f"{OBJECTS}/{listed[name]['sha256']}"
        if not (name in ledger or name in datasets or is_object or name.startswith(homes)):
            raise ArtifactManagerError(f"{name} in {path} belongs to none of its runs")


def _examine_ledger(path: Path, folder: Path, run: ArchivedRun) -> None:
    """Refuse records that no ledger has, or that are about another run."""
    trial, replays, look = (folder / LEDGER / name for name in _ledger_names(run))
    for file, key, kind in ((trial, "sets", int), (replays, "replays", list), (look, "look", int)):
        if not file.is_file():
            continue
        values: Any = read_record(file)
        if not isinstance(values, dict) or not isinstance(values.get(key), kind):
            raise ArtifactManagerError(f"{file.name} in {path} is no record of a ledger")
        if values.get("run_key") != run.run_key:
            raise ArtifactManagerError(f"{file.name} in {path} is the record of another run")
    read_attestations(replays)


def _ledger_names(run: ArchivedRun) -> tuple[str, ...]:
    scratch = RunStore(Path("none"))
    paths = ledger_paths(scratch, run.dataset_id, run.run_key)
    return tuple(path.relative_to(scratch.ledger).as_posix() for path in paths)
