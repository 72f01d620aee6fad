"""Stages `evaluate_chunk` and `select_parameters`: the sets of a search, and the one selected."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.artifacts.environment import describe_environment
from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.hints import with_hint
from backtrail.batch.execution.outcome import Outcome, StrategyFailedError, joined_outcome
from backtrail.batch.planning.chunk_names import chunk_name, chunk_range
from backtrail.batch.stages.failing import failed_error, mark_failed, outcome_of
from backtrail.batch.stages.records import begin_record
from backtrail.batch.stages.restoring import sealed_and_whole
from backtrail.batch.stages.working import WorkingFiles
from backtrail.errors import BacktrailError
from backtrail.files import lease, write_bytes, write_json
from backtrail.optimization.search import Search

if TYPE_CHECKING:
    from backtrail.batch.execution.evaluated_sets import EvaluatedSets

__all__ = ["cover", "evaluate_chunk", "searched_sets", "select_parameters"]

_log = logging.getLogger(__name__)
_TOLD = 2_000


def evaluate_chunk(store: RunStore, backtest_id: str, chunk: str, executor: Executor) -> str:
    """Evaluate the parameter sets of one chunk of a search, from the captured copy.

    A chunk that has been evaluated is left as it is; chunks of one run may be evaluated at the same
    time. A set that fails is a row with its error.

    Args:
        store: The run store.
        backtest_id: The run.
        chunk: Name of the chunk, from the plan.
        executor: Where it is evaluated.

    Returns:
        How far the search has come, in words.

    Raises:
        RunFailedError: If the strategy cannot be loaded, or the chunk outran a limit; the run is
            marked and keeps the reason, the other chunks stay.
    """
    run = store.run(backtest_id)
    work = WorkingFiles(run)
    work.path.mkdir(parents=True, exist_ok=True)
    if is_sealed(run):  # by another call, meanwhile; the selection removes this again
        write_bytes(work.rows(chunk), b"")
        return f"{backtest_id} is sealed"
    with lease(work.lock(chunk)):
        if not work.rows(chunk).exists():
            try:
                _evaluate(executor, run, work, chunk)
            except (StrategyFailedError, BacktrailError) as error:
                _fail(store, run, with_hint(outcome_of(error), run.read_spec()), executor, chunk)
    progress = _progress(run, work)
    _log.info(progress)
    return progress


def _evaluate(executor: Executor, run: RunDir, work: WorkingFiles, chunk: str) -> None:
    executor.sandbox  # noqa: B018  it imports the engine while Polars is imported here
    from backtrail.batch.execution.evaluated_sets import evaluate_places, searched_numbers

    spec = run.read_spec()
    numbers = searched_numbers(Search.of(spec), work.numbers)
    outcome, evaluated = evaluate_places(
        executor, spec, run.code, chunk_range(chunk), numbers, logs=work.logs(chunk)
    )
    record = {name: value for name, value in asdict(outcome).items() if name != "answer"}
    _tell_warnings(work.logs(chunk) / "stderr.txt", chunk)
    write_json(work.record(chunk), {**record, "sets": len(evaluated.rows)})
    evaluated.save(work.rows(chunk))


def _tell_warnings(stderr: Path, chunk: str) -> None:
    """Log what a chunk was warned of, since its own logs go when the search ends."""
    text = stderr.read_text(encoding="utf-8", errors="replace").strip() if stderr.exists() else ""
    if text:
        more = " …" if len(text) > _TOLD else ""
        _log.warning("chunk %s wrote to standard error: %s%s", chunk, text[:_TOLD], more)


def _fail(store: RunStore, run: RunDir, failure: Outcome, executor: Executor, chunk: str) -> None:
    """Mark a run whose chunk failed; of several that fail in one call the first is told.

    A chunk that fails once more is another attempt, any other one the same.

    Raises:
        RunFailedError: Always.
    """
    with run.lease():
        spec, former = run.read_spec(), run.read_manifest()
        told = (former or {}).get("error") or {}
        if not run.failed.exists() or told.get("chunk") == chunk:
            record = begin_record(spec, former, datetime.now(UTC))
            logs = WorkingFiles(run).logs(chunk)
            for name in ("stdout.txt", "stderr.txt"):
                if (logs / name).exists():
                    write_bytes(run.logs / name, (logs / name).read_bytes())
            write_json(run.environment, describe_environment())
            mark_failed(
                store,
                run,
                record,
                failure,
                executor.bundles_dir,
                stage="evaluate_chunk",
                details={"chunk": chunk},
            )
    raise failed_error(run, spec, failure)


def _progress(run: RunDir, work: WorkingFiles) -> str:
    """Return in words how far a search has come, from the chunks that there are."""
    chunks = work.chunks()
    done = [work.read_record(name) for name in chunks]
    sets = sum(record["sets"] for record in done)
    seconds = sum(record["seconds"] for record in done)
    places = sum(stop - first for first, stop in map(chunk_range, chunks))
    draws = Search.of(run.read_spec()).draws
    left = (draws - places) * seconds / max(places, 1)
    rate = sets / max(seconds, 1e-9)
    return (
        f"{run.backtest_id}: {places / draws:.0%} of the search, {sets:,} sets, {rate:,.0f} a "
        f"second on one core, about {left:.0f} s of one core left"
    )


def select_parameters(store: RunStore, backtest_id: str, executor: Executor) -> None:
    """Join the chunks of a search, judge every set and select one.

    Chunks that are missing are evaluated here.

    Raises:
        RunFailedError: If no set can be selected; the run is marked, and has the table of sets
            among its errors.
        SealError: If the run is sealed and was altered.
    """
    run = store.run(backtest_id)
    with run.lease():
        work = WorkingFiles(run)
        if sealed_and_whole(store, run, executor=executor):
            work.remove()
            return
        if work.is_done("select_parameters"):
            return
        executor.sandbox  # noqa: B018  as above
        spec = run.read_spec()
        try:
            _select(executor, run, work, spec)
        except (StrategyFailedError, BacktrailError) as error:
            failure = with_hint(outcome_of(error), spec)
            record = begin_record(spec, run.read_manifest(), datetime.now(UTC))
            write_json(run.environment, describe_environment())
            table = run.results / "optimization_results.parquet"
            rows = table.read_bytes() if table.exists() else None
            mark_failed(
                store, run, record, failure, executor.bundles_dir, stage="select_parameters"
            )
            if rows is not None:
                write_bytes(run.errors / table.name, rows)
            raise failed_error(run, spec, failure) from None


def _select(executor: Executor, run: RunDir, work: WorkingFiles, spec: Mapping[str, Any]) -> None:
    from backtrail.batch.execution.selection_files import (
        SEARCH_RESULTS,
        write_curves,
        write_selection,
    )

    chunks = _whole_search(executor, run, work, Search.of(spec).draws)
    evaluated = _joined(work, chunks)
    contents = write_selection(spec, evaluated.rows, run, csv_twins=executor.csv_twins)
    outcome, curves = write_curves(executor, spec, run.code, run)
    contents |= curves
    outcomes = [
        Outcome(
            None,
            None,
            "",
            "",
            item["seconds"],
            item["cpu_seconds"],
            item["max_rss_mb"],
            item["usage"],
        )
        for item in map(work.read_record, chunks)
    ]
    files = [f"results/{name}" for name in SEARCH_RESULTS if (run.results / name).exists()]
    work.add_part(
        "select_parameters",
        joined_outcome([*outcomes, outcome]),
        contents,
        files,
        timed_as="search",
        timings={"chunks": len(chunks)},
    )


def searched_sets(executor: Executor, run: RunDir) -> "EvaluatedSets":
    """Return what evaluating every set of a search gave, for a stage between it and the seal.

    Chunks that are missing are evaluated here.

    Args:
        executor: Where they are.
        run: The run; its lease is held.
    """
    work, spec = WorkingFiles(run), run.read_spec()
    return _joined(work, _whole_search(executor, run, work, Search.of(spec).draws))


def _joined(work: WorkingFiles, chunks: Sequence[str]) -> "EvaluatedSets":
    from backtrail.batch.execution.evaluated_sets import EvaluatedSets

    return EvaluatedSets.join([EvaluatedSets.load(work.rows(chunk)) for chunk in chunks])


def _whole_search(executor: Executor, run: RunDir, work: WorkingFiles, draws: int) -> list[str]:
    """Return chunks that cover a search once, after evaluating what none of them has."""
    from backtrail.batch.execution.asking import Pace

    chunks, gaps = cover(work.chunks(), draws)
    pace = Pace(executor.limits)
    for first, stop in map(chunk_range, gaps):
        while first < stop:
            chunk = chunk_name(first, min(first + pace.size, stop))
            _evaluate(executor, run, work, chunk)
            end = chunk_range(chunk)[1]
            pace.took(end - first, work.read_record(chunk)["seconds"])
            first = end
            chunks.append(chunk)
    return sorted(chunks)


def cover(chunks: Sequence[str], draws: int) -> tuple[list[str], list[str]]:
    """Return the chunks that cover a search without overlapping, and the chunks that are missing.

    Chunks of another plan of the same run may lie across those of this one; what overlaps a chunk
    before it is left out.

    Args:
        chunks: Names of the chunks that there are.
        draws: Number of places of the search.
    """
    taken, gaps, reached = [], [], 0
    for first, stop in sorted(map(chunk_range, chunks)):
        if first < reached:
            continue
        if first > reached:
            gaps.append(chunk_name(reached, first))
        taken.append(chunk_name(first, stop))
        reached = stop
    if reached < draws:
        gaps.append(chunk_name(reached, draws))
    return taken, gaps
