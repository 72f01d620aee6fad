"""Rows of the catalog as a pure function of what lies on disk."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunDir, RunStore
from backtrail.canonical import canonical_json, sha256_bytes, sha256_file
from backtrail.catalog.tables import MAIN_METRICS
from backtrail.data.manifest import HEAD_FILE, MANIFEST_FILE, DatasetManifest
from backtrail.provenance.attestation import read_attestations

__all__ = [
    "RunRows",
    "bundle_rows",
    "manifest_checksum",
    "replay_rows",
    "run_rows",
    "trial_rows",
]

Row = dict[str, Any]

_FINAL = {"completed", "failed"}


@dataclass(frozen=True, slots=True)
class RunRows:
    """What one run contributes."""

    run: Row
    link: Row
    artifacts: list[Row] = field(default_factory=list)


def manifest_checksum(run: RunDir) -> str | None:
    """Return the sha256 of a finished run's manifest as its mark states it, or None.

    One small read: neither manifest nor results are opened.
    """
    for mark in (run.success, run.failed):
        try:
            return mark.read_text().strip()
        except FileNotFoundError:
            continue
    return None


def run_rows(run: RunDir) -> RunRows | None:
    """Return the rows of a finished run, or None while it is not finished."""
    manifest = run.read_manifest()
    if manifest is None or manifest["status"] not in _FINAL:
        return None
    identity = manifest["identity"]
    dataset_id = identity["dataset"]["dataset_id"]
    bundle = manifest["labels"]["bundle"]
    error = manifest["error"] or {}
    metrics = manifest.get("metrics", {})
    row = {
        "backtest_id": manifest["backtest_id"],
        "run_key": manifest["run_key"],
        "run_type": manifest["run_type"],
        "status": manifest["status"],
        "grade": manifest["grade"],  # attestations are looked at when all runs are in
        "capture_grade": manifest["grade"],
        "name": manifest["labels"]["names"][0],
        "strategy": identity["strategy"]["entry"],
        "code_hash": identity["strategy"]["code_hash"],
        "library": identity["library"],
        "bundle": bundle,
        "dataset_id": dataset_id,
        "symbols_json": canonical_json(identity["symbols"]),
        "benchmark": identity["benchmark"],
        "start_date": identity["start"],
        "end_date": identity["end"],
        "params_json": canonical_json(identity["params"]),
        "settings_json": canonical_json(
            {
                key: identity[key]
                for key in (
                    "engine",
                    "ledger",
                    "capital_base",
                    "commission",
                    "slippage",
                    "execution",
                    "seed",
                )
            }
        ),
        "attempt": manifest["attempt"],
        "started_at": manifest["started_at"],
        "finished_at": manifest.get("finished_at"),
        "execute_seconds": manifest.get("timings", {}).get("execute_seconds"),
        "error_kind": error.get("kind"),
        "error_message": error.get("message"),
        **{name: metrics.get(name) for name in MAIN_METRICS},
        "metrics_json": canonical_json(metrics),
        "manifest_sha256": sha256_file(run.manifest),
    }
    link = {
        "link_id": int(sha256_bytes(f"{run.backtest_id}|{dataset_id}".encode())[:15], 16),
        "backtest_id": manifest["backtest_id"],
        "dataset_id": dataset_id,
        "cached_at": int(datetime.fromisoformat(manifest["started_at"]).timestamp()),
        "cache_key": f"{bundle}/{dataset_id}",
    }
    artifacts = [
        {
            "backtest_id": manifest["backtest_id"],
            "path": path,
            "size": entry["size"],
            "sha256": entry["sha256"],
            "content_sha256": entry.get("content_sha256"),
        }
        for path, entry in manifest.get("inventory", {}).items()
    ]
    return RunRows(row, link, artifacts)


def bundle_rows(bundles_dir: Path) -> tuple[list[Row], list[Row]]:
    """Return the rows of all bundles and of all datasets below a folder."""
    heads = []
    for head in sorted(bundles_dir.glob(f"*/{HEAD_FILE}")):
        values = json.loads(head.read_bytes())
        heads.append(
            {
                "bundle": head.parent.name,
                "dataset_id": values["dataset_id"],
                "datasets": len(list(head.parent.glob(f"*/{MANIFEST_FILE}"))),
            }
        )
    rows: dict[str, Row] = {}
    for path in sorted(bundles_dir.glob(f"*/*/{MANIFEST_FILE}")):
        manifest = DatasetManifest.load(path)
        # Two bundles of equal content are one dataset; the first by name stands for it.
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


def trial_rows(store: RunStore, known: Collection[tuple[str, str]] = ()) -> Iterator[Row]:
    """Yield the trial ledger: one row per run ever sealed, deleted ones included.

    Args:
        store: The run store.
        known: Dataset id and run key of records that are not wanted; they are not opened.
    """
    for path in sorted((store.ledger / "trials").glob("*/*.json")):
        if (path.parent.name, path.stem) in known:
            continue
        record = json.loads(path.read_bytes())
        yield {
            key: record[key]
            for key in (
                "dataset_id",
                "run_key",
                "family",
                "code_hash",
                "run_type",
                "sets",
                "sets_sha256",
            )
        }


def replay_rows(path: Path) -> list[Row]:
    """Return the rows of one ledger file of replays."""
    size = path.stat().st_size  # before reading: a file that grows meanwhile is read again
    return [
        {
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
        for number, item in enumerate(read_attestations(path), start=1)
    ]
