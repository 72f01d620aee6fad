"""Stage `run_backtest`: the captured code executed, its results written, its failures kept."""

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from backtrail.artifacts.environment import describe_environment
from backtrail.artifacts.manifest import inventory
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.hints import with_hint
from backtrail.batch.execution.outcome import StrategyFailedError
from backtrail.batch.execution.protocol import RunExecutor
from backtrail.batch.execution.written import remove_written
from backtrail.batch.stages.failing import failed_error, mark_failed, outcome_of, remove_outputs
from backtrail.batch.stages.materials import write_metadata
from backtrail.batch.stages.records import begin_record, finished_record
from backtrail.batch.stages.restoring import sealed_and_whole
from backtrail.errors import BacktrailError
from backtrail.files import write_json
from backtrail.provenance.inputs import keep_inputs
from backtrail.provenance.objects import ObjectStore

__all__ = ["run_backtest"]

# Not written by execution: each has a record of its own, or goes with the seal.
_NOT_WRITTEN = (".search/", "code/", "inputs/", "metadata/")


def run_backtest(store: RunStore, backtest_id: str, executor: RunExecutor) -> None:
    """Execute a run from its captured copy and write its results.

    Of a search run the selected set is executed, on the bars before the holdout.

    A run that was executed and only lacks its seal is left as it is, unless a file that it made is
    gone. A failed one is tried again under the same id; the logs of the earlier attempt are kept.

    Raises:
        RunFailedError: If the strategy fails; the run is marked and keeps the reason.
        SealError: If the run is sealed and was altered.
    """
    run = store.run(backtest_id)
    with run.lease():
        if sealed_and_whole(store, run, executor=executor):
            return
        former = run.read_manifest()
        if former is not None and _is_executed(run, former):
            return
        spec, started = run.read_spec(), time.monotonic()
        record = begin_record(spec, former, datetime.now(UTC))
        asked, kept = _asked_of(run, spec)
        _clear_former_attempt(run, former, spec, kept)
        write_json(run.manifest, record)
        write_json(run.environment, describe_environment())
        write_metadata(run, spec, record)
        try:
            outcome, contents = executor.execute(asked, run.code, run)
        except (StrategyFailedError, BacktrailError) as error:
            failure = with_hint(outcome_of(error), spec)
            mark_failed(store, run, record, failure, executor.bundles_dir)
            raise failed_error(run, spec, failure) from None
        assert outcome.usage is not None
        usage = keep_inputs(outcome.usage, ObjectStore(store.objects), run.path)
        finished = finished_record(
            record,
            outcome,
            contents,
            usage,
            _written(run),
            run,
            datetime.now(UTC),
            seconds=time.monotonic() - started,
        )
        write_json(run.manifest, finished)


def _is_executed(run: RunDir, former: Mapping[str, Any]) -> bool:
    return former["status"] == "executed" and all(
        (run.path / name).exists() for name in former["written"]
    )


def _written(run: RunDir) -> dict[str, str]:
    """Return the checksum of every file that execution made; the seal compares them."""
    made = inventory(run, {}, but_for=_NOT_WRITTEN)
    return {name: entry["sha256"] for name, entry in made.items()}


def _asked_of(run: RunDir, spec: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the spec to execute, and the results that are there before."""
    if "search" not in spec["identity"]:
        return spec, ()
    from backtrail.batch.execution.searching import backtest_spec
    from backtrail.batch.execution.selection_files import SEARCH_RESULTS

    return backtest_spec(spec, run), SEARCH_RESULTS


def _clear_former_attempt(
    run: RunDir, former: Mapping[str, Any] | None, spec: Mapping[str, Any], kept: Collection[str]
) -> None:
    """Move earlier logs aside and remove what a failed or killed attempt left."""
    remove_outputs(run, kept)
    remove_written(run.code, [file["path"] for file in spec["code"]["files"]])
    if former is None:
        return
    aside = run.logs / f"attempt-{former['attempt']}"
    for name in ("stdout.txt", "stderr.txt"):
        if (run.logs / name).exists():
            aside.mkdir(parents=True, exist_ok=True)
            (run.logs / name).replace(aside / name)
