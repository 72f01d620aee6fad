"""Marking a run that failed: status, error and log lines, and nothing of what it had made."""

import os
import shutil
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.outcome import Outcome, StrategyFailedError
from backtrail.batch.stages.materials import write_metadata
from backtrail.batch.stages.records import failure_record
from backtrail.batch.stages.reporting import find_openings
from backtrail.canonical import sha256_file
from backtrail.errors import BacktrailError, RunFailedError
from backtrail.files import write_bytes, write_json
from backtrail.provenance.inputs import keep_inputs
from backtrail.provenance.objects import ObjectStore

__all__ = ["failed_error", "mark_failed", "outcome_of", "remove_outputs"]

_BEFORE_A_RUN = frozenset({".lock", ".search", "code", "logs", "metadata", "run.json"})


def outcome_of(error: StrategyFailedError | BacktrailError) -> Outcome:
    """Return an error as the outcome of a run."""
    if isinstance(error, StrategyFailedError):
        return error.outcome
    return Outcome(None, type(error).__name__, str(error), "", 0.0, 0.0, 0.0)


def failed_error(run: RunDir, spec: Mapping[str, Any], failure: Outcome) -> RunFailedError:
    """Return the error that ends the job of a run that was marked as failed."""
    # A run that failed before its child was started printed nothing, and may have older logs.
    logs = f"; its logs are in {run.logs}" if (run.logs / "stdout.txt").exists() else ""
    return RunFailedError(
        f"run {run.backtest_id} ({', '.join(spec['labels']['names'])}) failed: "
        f"{failure.kind}: {failure.message}\n{failure.traceback}"
        f"It is catalogued{logs}"
    )


def remove_outputs(run: RunDir, kept: Collection[str] = ()) -> None:
    """Remove everything but what was there before the run: code, records, logs and the lease.

    Args:
        run: The run.
        kept: Results that stay, relative to `results/`.
    """
    for entry in os.scandir(run.path):
        if entry.name in _BEFORE_A_RUN or (entry.name == "results" and kept):
            continue
        _remove(entry)
    if kept and run.results.exists():
        for entry in os.scandir(run.results):
            if entry.name not in kept:
                _remove(entry)


def _remove(entry: "os.DirEntry[str]") -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        os.unlink(entry.path)


def mark_failed(
    store: RunStore,
    run: RunDir,
    record: Mapping[str, Any],
    failure: Outcome,
    bundles_dir: Path,
    *,
    stage: str = "run_backtest",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Mark a run as failed, and write why; its lease is held.

    Args:
        store: The run store.
        run: The run.
        record: Its manifest as it began.
        failure: How it failed.
        bundles_dir: Folder of the bundles.
        stage: The rule that failed.
        details: What the manifest says of the error beside kind and message.
    """
    from backtrail.artifacts.tables import build_table, write_table
    from backtrail.reports.failed import render_failed_page

    remove_outputs(run)
    usage = None
    if failure.usage is not None:
        usage = keep_inputs(failure.usage, ObjectStore(store.objects), run.path)
    now = datetime.now(UTC)
    failed = failure_record(record, failure, usage, run, now, stage=stage, details=details)
    error = failed["error"]
    write_table(
        run.errors / "errors.parquet",
        build_table(
            "errors",
            {
                "attempt": [failed["attempt"]],
                "stage": [error["stage"]],
                "kind": [error["kind"]],
                "message": [error["message"]],
                "traceback": [error["traceback"]],
            },
        ),
    )
    write_json(run.manifest, failed, durable=True)
    write_metadata(run, run.read_spec(), failed)
    page = run.errors / "failed_run.html"
    looks = find_openings(store, run)
    render_failed_page(run.path, bundles_dir=bundles_dir, out=page, looks=looks)
    write_bytes(run.failed, f"{sha256_file(run.manifest)}\n".encode(), durable=True)
