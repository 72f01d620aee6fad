"""Stage `run_backtest`: the captured code executed, its results written, its failures kept."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backtrail.artifacts.environment import describe_environment
from backtrail.artifacts.store import RunDir, RunStore
from backtrail.batch.execution.hints import with_hint
from backtrail.batch.execution.outcome import Outcome, StrategyFailedError
from backtrail.batch.execution.protocol import RunExecutor
from backtrail.batch.execution.written import remove_written
from backtrail.batch.stages.materials import write_metadata
from backtrail.batch.stages.records import begin_record, failure_record, finished_record
from backtrail.batch.stages.restoring import sealed_and_whole
from backtrail.canonical import sha256_file
from backtrail.errors import BacktrailError, RunFailedError
from backtrail.files import write_bytes, write_json
from backtrail.provenance.inputs import keep_inputs
from backtrail.provenance.objects import ObjectStore

__all__ = ["run_backtest"]

_BEFORE_A_RUN = frozenset({"code", "metadata", "logs", "run.json", ".lock"})


def run_backtest(store: RunStore, backtest_id: str, executor: RunExecutor) -> None:
    """Execute a run from its captured copy and write its results.

    A run that was executed and only lacks its seal is left as it is. A failed one is tried again
    under the same id; the logs of the earlier attempt are kept.

    Raises:
        RunFailedError: If the strategy fails; the run is marked and keeps the reason.
        SealError: If the run is sealed and was altered.
    """
    run = store.run(backtest_id)
    with run.lease():
        if sealed_and_whole(store, run, executor=executor):
            return
        former = run.read_manifest()
        if former is not None and former["status"] == "executed":
            return
        spec = run.read_spec()
        record = begin_record(spec, former, datetime.now(UTC))
        _clear_former_attempt(run, former, spec)
        write_json(run.manifest, record)
        write_json(run.environment, describe_environment())
        write_metadata(run, spec, record)
        try:
            outcome, contents = executor.execute(spec, run.code, run)
        except (StrategyFailedError, BacktrailError) as error:
            failure = with_hint(_outcome_of(error), spec)
            _mark_failed(store, run, record, failure, executor.bundles_dir)
            raise RunFailedError(
                f"run {backtest_id} ({', '.join(spec['labels']['names'])}) failed: "
                f"{failure.kind}: {failure.message}\n{failure.traceback}"
                f"It is catalogued{_where_logs_are(run)}"
            ) from None
        assert outcome.usage is not None
        usage = keep_inputs(outcome.usage, ObjectStore(store.objects), run.path)
        now = datetime.now(UTC)
        write_json(run.manifest, finished_record(record, outcome, contents, usage, now))


def _outcome_of(error: StrategyFailedError | BacktrailError) -> Outcome:
    if isinstance(error, StrategyFailedError):
        return error.outcome
    return Outcome(None, type(error).__name__, str(error), "", 0.0, 0.0, 0.0)


def _where_logs_are(run: RunDir) -> str:
    # A run that failed before its child was started printed nothing, and may have older logs.
    return f"; its logs are in {run.logs}" if (run.logs / "stdout.txt").exists() else ""


def _clear_former_attempt(
    run: RunDir, former: Mapping[str, Any] | None, spec: Mapping[str, Any]
) -> None:
    """Move earlier logs aside and remove what a failed or killed attempt left."""
    _remove_outputs(run)
    remove_written(run.code, [file["path"] for file in spec["code"]["files"]])
    if former is None:
        return
    kept = run.logs / f"attempt-{former['attempt']}"
    for name in ("stdout.txt", "stderr.txt"):
        if (run.logs / name).exists():
            kept.mkdir(parents=True, exist_ok=True)
            (run.logs / name).replace(kept / name)


def _remove_outputs(run: RunDir) -> None:
    """Remove everything but what was there before the run: code, records, logs and the lease."""
    for entry in os.scandir(run.path):
        if entry.name not in _BEFORE_A_RUN:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def _mark_failed(
    store: RunStore,
    run: RunDir,
    record: Mapping[str, Any],
    failure: Outcome,
    bundles_dir: Path,
) -> None:
    from backtrail.artifacts.tables import build_table, write_table
    from backtrail.reports.failed import render_failed_page

    _remove_outputs(run)
    usage = None
    if failure.usage is not None:
        usage = keep_inputs(failure.usage, ObjectStore(store.objects), run.path)
    failed = failure_record(record, failure, usage, run, datetime.now(UTC))
    error = failed["error"]
    write_table(
        run.errors / "errors.parquet",
        build_table(
            "errors",
            {
                "attempt": [failed["attempt"]],
                "stage": ["run_backtest"],
                "kind": [error["kind"]],
                "message": [error["message"]],
                "traceback": [error["traceback"]],
            },
        ),
    )
    write_json(run.manifest, failed, durable=True)
    write_metadata(run, run.read_spec(), failed)
    render_failed_page(run.path, bundles_dir=bundles_dir, out=run.errors / "failed_run.html")
    write_bytes(run.failed, f"{sha256_file(run.manifest)}\n".encode(), durable=True)
