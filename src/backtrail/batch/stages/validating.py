"""Stages of the validation of a search run: walk forward, Monte Carlo, luck, bias, the verdict."""

from datetime import UTC, datetime
from functools import partial

from backtrail.artifacts.environment import describe_environment
from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.hints import with_hint
from backtrail.batch.execution.outcome import Outcome, StrategyFailedError
from backtrail.batch.planning.validation_steps import VALIDATION_FILES
from backtrail.batch.stages.failing import failed_error, mark_failed, outcome_of
from backtrail.batch.stages.records import begin_record
from backtrail.batch.stages.restoring import sealed_and_whole
from backtrail.batch.stages.searching import searched_sets
from backtrail.batch.stages.working import WorkingFiles
from backtrail.errors import BacktrailError
from backtrail.files import lease, write_json

__all__ = ["validate_run"]

_DEPLOYED = "deploy/strategy-config.json"


def validate_run(store: RunStore, backtest_id: str, step: str, executor: Executor) -> None:
    """Do one step of the validation of a search run, from the captured copy.

    A step that is done is left as it is; steps of one run may be done at the same time.

    Args:
        store: The run store.
        backtest_id: The run, executed and not sealed.
        step: The rule's name; see `validation_steps`.
        executor: Where children are started.

    Raises:
        RunFailedError: If the strategy fails on a part or a variant of its history, or outruns a
            limit; the run is marked and keeps the reason.
        SealError: If the run is sealed and was altered.
    """
    run = store.run(backtest_id)
    if is_sealed(run):
        with run.lease():
            sealed_and_whole(store, run, executor=executor)
        return
    work = WorkingFiles(run)
    work.path.mkdir(parents=True, exist_ok=True)
    with lease(work.lock(step)):
        if work.is_done(step):
            return
        if run.failed.exists():  # another step did, meanwhile, and what this one needs is gone
            raise failed_error(run, run.read_spec(), _told(run))
        try:
            _validate(executor, run, work, step)
        except (StrategyFailedError, BacktrailError) as error:
            _fail(store, run, with_hint(outcome_of(error), run.read_spec()), executor, step)


def _validate(executor: Executor, run: RunDir, work: WorkingFiles, step: str) -> None:
    executor.sandbox  # noqa: B018  it imports the engine while Polars is imported here
    from backtrail.batch.execution.validating import validate

    outcome, contents = validate(
        executor,
        run.read_spec(),
        run.code,
        run,
        step,
        partial(searched_sets, executor, run),
        logs=work.logs(step),
    )
    made = [name for name in VALIDATION_FILES[step] if (run.results / name).exists()]
    if step == "judge_run" and (run.results / _DEPLOYED).exists():
        made.append(_DEPLOYED)
    work.add_part(step, outcome, contents, [f"results/{name}" for name in made])


def _told(run: RunDir) -> Outcome:
    """Return what a run was marked as failed for."""
    error = (run.read_manifest() or {}).get("error") or {}
    kind, message = error.get("kind"), error.get("message", "")
    return Outcome(None, kind, message, "", 0.0, 0.0, 0.0)


def _fail(store: RunStore, run: RunDir, failure: Outcome, executor: Executor, step: str) -> None:
    """Mark a run whose validation failed; of several steps that fail at once the first is told.

    Raises:
        RunFailedError: Always.
    """
    with run.lease():
        spec = run.read_spec()
        if not run.failed.exists():
            former = run.read_manifest()
            record = begin_record(spec, former, datetime.now(UTC))
            if former is not None and former["status"] == "executed":  # it is the same attempt
                record = {**record, "attempt": former["attempt"]}
            write_json(run.environment, describe_environment())
            mark_failed(store, run, record, failure, executor.bundles_dir, stage=step)
    raise failed_error(run, spec, failure)
