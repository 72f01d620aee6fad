"""Rows of the catalog as a pure function of what lies on disk."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import BigInteger, Table

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import read_tags, tag_files
from backtrail.canonical import canonical_json, sha256_bytes, sha256_file
from backtrail.catalog import tables
from backtrail.catalog.tables import MAIN_METRICS
from backtrail.data.manifest import HEAD_FILE, MANIFEST_FILE, DatasetManifest, read_head
from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.optimization.search import executed_identity
from backtrail.provenance.attestation import read_attestations

__all__ = [
    "UNTAGGED",
    "ManifestState",
    "RunRows",
    "bundle_rows",
    "manifest_state",
    "replay_rows",
    "run_rows",
    "run_tags",
    "trial_files",
    "trial_rows",
]

Row = dict[str, Any]

UNTAGGED = "[]"

_FINAL = {"completed", "failed"}
_VISIBLE = "[!.]*"  # a hidden folder is a dataset that is being built
# What a file that is JSON, but not the JSON we wrote, can do to its reader.
_TOLD = {  # columns of trials, and the keys of what not every record says
    "bundle": "bundle",
    "start_date": "start",
    "end_date": "end",
    "withheld_from": "withheld",
    "started_at": "started_at",
}
_MISFIT = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class RunRows:
    """What one run contributes."""

    run: Row
    link: Row
    artifacts: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ManifestState:
    """A finished run's manifest as it is now.

    Attributes:
        checksum: Its sha256.
        is_stated: Whether the run's mark states this checksum.
    """

    checksum: str
    is_stated: bool = True


def manifest_state(run: RunDir, known: ManifestState | None = None) -> ManifestState | None:
    """Return the state of a finished run's manifest, or None while the run has not ended.

    The run's mark states the checksum. The manifest itself is hashed only where the mark states
    another one than is known, or where the manifest is younger than its mark.

    Args:
        run: The run.
        known: What the catalog has.

    Raises:
        ArtifactManagerError: If the run has ended and its manifest cannot be read.
    """
    try:
        # One file opened and one looked at: a catalog of a hundred thousand runs asks this of each.
        with _open_mark(run) as mark:
            stated, marked_at = _checksum_in(mark.read()), os.fstat(mark.fileno()).st_mtime_ns
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(run, error)
        return None
    try:
        is_younger = os.stat(f"{run.path}/run.json").st_mtime_ns > marked_at
        if known == ManifestState(stated) and not is_younger:
            return known
        checksum = sha256_file(run.manifest)
        return ManifestState(checksum, checksum == stated)
    except OSError as error:
        _refuse(run, error)
        return None


def _checksum_in(mark: bytes) -> str:
    return mark.decode(errors="replace").strip()


def _open_mark(run: RunDir) -> BinaryIO:
    try:
        return open(f"{run.path}/_SUCCESS", "rb")
    except FileNotFoundError:
        return open(f"{run.path}/_FAILED", "rb")


def _mark(run: RunDir) -> Path | None:
    return next((mark for mark in (run.success, run.failed) if mark.exists()), None)


def _refuse(run: RunDir, error: Exception) -> None:
    """Say why a run cannot be catalogued, unless it was begun anew or deleted meanwhile."""
    mark = _mark(run)
    if mark is None:
        return
    match error:
        case FileNotFoundError():
            reason = f"it is missing, though {mark.name} is there"
        case OSError():
            reason = f"it cannot be read ({error.strerror})"
        case KeyError():
            reason = f"it is not the manifest of a run: the key {error} is missing"
        case _:
            reason = f"it is not the manifest of a run: {error}"
    raise ArtifactManagerError(reason)


def run_rows(run: RunDir) -> RunRows | None:
    """Return the rows of a finished run, or None while it has not ended.

    A manifest that is not the one its mark states is catalogued as `altered`, without figures
    and files: nobody can say which of its values are the run's.

    Raises:
        ArtifactManagerError: If the run has ended and its manifest is missing or none.
    """
    mark = _mark(run)
    if mark is None:
        return None
    try:
        stated, data = _checksum_in(mark.read_bytes()), run.manifest.read_bytes()
        manifest = json.loads(data)
        checksum = sha256_bytes(data)
        if manifest["backtest_id"] != run.backtest_id:
            raise ValueError(f"it is that of run {manifest['backtest_id']}")
        if manifest["status"] not in _FINAL:
            raise ValueError(f"its status is {manifest['status']!r}, though the run has ended")
        rows = _rows_of(manifest, _git(run, manifest), checksum, is_altered=checksum != stated)
        _require_storable(tables.runs, rows.run)
        _require_storable(tables.data_links, rows.link)
        for row in rows.artifacts:
            _require_storable(tables.artifacts, row)
    except (OSError, *_MISFIT) as error:
        _refuse(run, error)
        return None
    return rows


def _git(run: RunDir, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the repository as the run was planned in it; older runs have it in their spec."""
    if "git" in manifest:
        return manifest["git"] or {}
    try:
        return run.read_spec()["origin"]["git"] or {}
    except (ArtifactManagerError, KeyError):  # `backtrail verify` tells a damaged spec
        return {}


def _rows_of(
    manifest: dict[str, Any], git: dict[str, Any], checksum: str, *, is_altered: bool
) -> RunRows:
    backtest_id = manifest["backtest_id"]
    identity = executed_identity(manifest)
    dataset_id = identity["dataset"]["dataset_id"]
    bundle = manifest["labels"]["bundle"]
    metrics = {} if is_altered else manifest.get("metrics", {})
    inventory = {} if is_altered else manifest.get("inventory", {})
    artifacts = [
        {
            "backtest_id": backtest_id,
            "path": path,
            "size": entry["size"],
            "sha256": entry["sha256"],
            "content_sha256": entry.get("content_sha256"),
        }
        for path, entry in inventory.items()
    ]
    code_bytes = sum(item["size"] for item in artifacts if item["path"].startswith("code/"))
    row = {
        "backtest_id": backtest_id,
        "run_key": manifest["run_key"],
        "run_type": manifest["run_type"],
        "name": manifest["labels"]["names"][0],
        "names_json": canonical_json(manifest["labels"]["names"]),
        "tags_json": UNTAGGED,  # the ledger is looked at when all runs are in
        "strategy": identity["strategy"]["entry"],
        "code_hash": identity["strategy"]["code_hash"],
        "library": identity["library"],
        "git_commit": git.get("commit"),
        "git_branch": git.get("branch"),
        "git_dirty": git.get("dirty"),
        "bundle": bundle,
        "dataset_id": dataset_id,
        "symbols_json": canonical_json(identity["symbols"]),
        "benchmark": identity["benchmark"],
        "start_date": identity["start"],
        "end_date": identity["end"],
        "params_json": canonical_json(identity["params"]),
        "sets": _sets(manifest),
        "settings_json": canonical_json(_settings(identity)),
        "attempt": manifest["attempt"],
        "started_at": manifest["started_at"],
        "finished_at": manifest.get("finished_at"),
        "execute_seconds": manifest.get("timings", {}).get("execute_seconds"),
        "result_bytes": sum(item["size"] for item in artifacts) - code_bytes,
        "code_bytes": code_bytes,
        **_outcome(manifest, is_altered=is_altered),
        **{name: metrics.get(name) for name in MAIN_METRICS},
        "metrics_json": canonical_json(metrics),
        "manifest_sha256": checksum,
    }
    link = {
        "link_id": int(sha256_bytes(f"{backtest_id}|{dataset_id}".encode())[:15], 16),
        "backtest_id": backtest_id,
        "dataset_id": dataset_id,
        "cached_at": int(datetime.fromisoformat(manifest["started_at"]).timestamp()),
        "cache_key": f"{bundle}/{dataset_id}",
    }
    return RunRows(row, link, artifacts)


_SETTINGS = (
    "engine",
    "ledger",
    "capital_base",
    "commission",
    "slippage",
    "execution",
    "seed",
)


def _sets(manifest: dict[str, Any]) -> int | None:
    if manifest["run_type"] != "optimization":
        return 1
    selection = manifest.get("selection")
    return None if selection is None else int(selection["sets"])


def _settings(identity: dict[str, Any]) -> dict[str, Any]:
    found = {key: identity[key] for key in _SETTINGS}
    if "risk_free_rate" in identity:
        found["risk_free_rate"] = identity["risk_free_rate"]
    return found


def _outcome(manifest: dict[str, Any], *, is_altered: bool) -> Row:
    if is_altered:
        return {
            "status": "altered",
            "grade": "D",
            "capture_grade": "D",
            "error_kind": "altered",
            "error_message": "run.json is not the one that was written when the run ended",
        }
    error = manifest["error"] or {}
    return {
        "status": manifest["status"],
        "grade": manifest["grade"],  # attestations are looked at when all runs are in
        "capture_grade": manifest["grade"],
        "error_kind": _plain(error.get("kind")),
        "error_message": _plain(error.get("message")),
    }


def _plain(text: str | None) -> str | None:
    """Spell out the one character that PostgreSQL cannot store; a strategy may raise with it."""
    return None if text is None else text.replace("\0", "\\0")


def _require_storable(table: Table, row: Row) -> None:
    """Refuse a value that not every database would take: one run must not stop the others."""
    for name, nullable, kind, most in _limits(table):
        value = row[name]
        if value is None and nullable:
            continue
        if not _is_storable(value, kind, most):
            raise ValueError(f"{name} is {value!r:.60}")


@cache
def _limits(table: Table) -> tuple[tuple[str, bool, type[Any], int | None], ...]:
    """Return name, whether it may be null, type and largest size of every column."""
    found = []
    for column in table.columns:
        most = getattr(column.type, "length", None)
        if column.type.python_type is int:
            most = 1 << (63 if isinstance(column.type, BigInteger) else 31)
        found.append((column.name, bool(column.nullable), column.type.python_type, most))
    return tuple(found)


def _is_storable(value: Any, kind: type[Any], most: int | None) -> bool:
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    if type(value) is not kind:
        return False
    if kind is str:
        value.encode()  # half a character is a ValueError
        return "\0" not in value and (most is None or len(value) <= most)
    return most is None or abs(value) < most


def bundle_rows(bundles_dir: Path, unreadable: dict[str, str]) -> tuple[list[Row], list[Row]]:
    """Return the rows of all bundles and of all datasets below a folder.

    Args:
        bundles_dir: Folder of the bundles.
        unreadable: Takes the path of every file that is damaged, with the reason.
    """
    heads = []
    for head in sorted(bundles_dir.glob(f"*/{HEAD_FILE}")):
        try:
            dataset_id = read_head(bundles_dir, head.parent.name)
        except DatasetError as error:
            unreadable[str(head)] = str(error)
            continue
        held = sorted(path.parent.name for path in head.parent.glob(f"{_VISIBLE}/{MANIFEST_FILE}"))
        heads.append(
            {
                "bundle": head.parent.name,
                "dataset_id": dataset_id,
                "datasets": len(held),
                "datasets_json": canonical_json(held),
            }
        )
    rows: dict[str, Row] = {}
    for path in sorted(bundles_dir.glob(f"*/{_VISIBLE}/{MANIFEST_FILE}")):
        try:
            manifest = DatasetManifest.load(path)
        except (DatasetError, *_MISFIT) as error:
            unreadable[str(path)] = str(error)
            continue
        # Two bundles of equal content are one dataset, listed by the first name; both hold it.
        rows.setdefault(
            manifest.dataset_id,
            {
                "dataset_id": manifest.dataset_id,
                "bundle": manifest.bundle,
                "calendar": manifest.calendar,
                "timeframe": manifest.timeframe,
                "bars": manifest.rows,
                "symbols": len(manifest.symbols),
                "first_bar": min(item.first for item in manifest.symbols.values()),
                "last_bar": max(item.last for item in manifest.symbols.values()),
                "synthetic": manifest.synthetic,
            },
        )
    return heads, list(rows.values())


def trial_files(store: RunStore) -> dict[tuple[str, str], Path]:
    """Return the trial ledger by dataset id and run key: a file per run ever sealed."""
    found = sorted((store.ledger / "trials").glob("*/*.json"))
    return {(path.parent.name, path.stem): path for path in found}


def trial_rows(files: Mapping[tuple[str, str], Path], unreadable: dict[str, str]) -> Iterator[Row]:
    """Yield the rows of records of the trial ledger.

    Args:
        files: Some of `trial_files`.
        unreadable: Takes the path of every record that is damaged, with the reason.
    """
    columns = [column.name for column in tables.trials.columns]
    for place, path in files.items():
        try:
            record = json.loads(path.read_bytes())
            row = {
                name: record.get(_TOLD[name]) if name in _TOLD else record[name] for name in columns
            }
            if (row["dataset_id"], row["run_key"]) != place:
                raise ValueError("it is that of another run")
            _require_storable(tables.trials, row)
        except _MISFIT as error:
            unreadable[str(path)] = f"it is not the record of a trial: {error}"
            continue
        yield row


def run_tags(store: RunStore, unreadable: dict[str, str]) -> dict[str, str]:
    """Return the tags of every tagged run as the catalog has them, by run key.

    Args:
        store: The run store.
        unreadable: Takes the path of every record that is damaged, with the reason.
    """
    found = {}
    for path in tag_files(store):
        try:
            record = read_tags(store, path.stem)
        except ArtifactManagerError as error:
            unreadable[str(path)] = str(error)
            continue
        if record.names:
            found[path.stem] = canonical_json(list(record.names))
    return found


def replay_rows(path: Path, unreadable: dict[str, str]) -> list[Row]:
    """Return the rows of one ledger file of replays.

    Args:
        path: The file.
        unreadable: Takes its path when it is damaged, with the reason.
    """
    size = path.stat().st_size  # before reading: a file that grows meanwhile is read again
    try:
        rows = list(_replay_rows(path, size))
        for row in rows:
            _require_storable(tables.replays, row)
    except (ArtifactManagerError, *_MISFIT) as error:
        unreadable[str(path)] = str(error)
        return []
    return rows


def _replay_rows(path: Path, size: int) -> Iterator[Row]:
    for number, item in enumerate(read_attestations(path), start=1):
        yield {
            "run_key": path.stem,
            "number": number,
            "backtest_id": item.backtest_id,
            "manifest_sha256": item.manifest_sha256,
            "agreed_at": item.agreed_at,
            "files": len(item.files),
            "other_bytes": sum(state != "identical" for state in item.files.values()),
            "changed_json": canonical_json(list(item.changed)),
            "ledger_bytes": size,
        }
