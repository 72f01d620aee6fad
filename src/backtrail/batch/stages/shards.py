"""Many runs in one job: the stages of a chain, called in a loop."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.execution.executor import Executor
from backtrail.batch.planning.plan import Plan
from backtrail.batch.stages.trials import TrialCounts
from backtrail.canonical import sha256_json
from backtrail.errors import ArtifactManagerError, BacktrailError, RunFailedError, SealError
from backtrail.files import remove_stale, write_json
from backtrail.reports.settings import ReportConfig
from backtrail.wording import counted

__all__ = ["execute_shard", "report_shard"]

_log = logging.getLogger(__name__)


def execute_shard(
    store: RunStore, plan: Plan, shard: str, executor: Executor, receipt: Path
) -> None:
    """Take every run of a shard through capture, execution and seal.

    A run that fails, or was altered, does not stop the others; sealed ones are passed over.

    Raises:
        RunFailedError: After the last run, if any was not finished; the receipt is not written
            then.
    """
    assert plan.shards is not None
    ids = plan.shards[shard]
    failed = []
    for number, backtest_id in enumerate(ids, start=1):
        try:
            stages.capture_code(store, backtest_id)
            stages.run_backtest(store, backtest_id, executor)
            stages.seal_run(store, backtest_id)
        except BacktrailError as error:
            failed.append(str(error))
        _log.info("%d of %d runs: %s", number, len(ids), backtest_id)
    if failed:
        raise RunFailedError(f"{len(failed)} of {len(ids)} runs failed:\n" + "\n".join(failed))
    _write_receipt(receipt, shard, ids)


def report_shard(
    store: RunStore,
    plan: Plan,
    shard: str,
    bundles_dir: Path,
    receipt: Path,
    *,
    config: ReportConfig = ReportConfig(),  # noqa: B008  it is frozen
) -> None:
    """Render the basic reports of a shard's runs; one that is up to date is left as it is.

    A run that was altered or is incomplete does not stop the others.

    Args:
        store: The run store.
        plan: The plan.
        shard: Which of its report shards.
        bundles_dir: Folder of the bundles.
        receipt: The file to write when all is done.
        config: Theme and templates of the pages.

    Raises:
        ArtifactManagerError: After the last run, if any has no report; the receipt is not written
            then.
    """
    config = replace(config, kinds=("basic",))
    ids = plan.report_shards[shard]
    failed = []
    trials = TrialCounts(store)
    for backtest_id in ids:
        try:
            stages.render_report(
                store, backtest_id, bundles_dir, config=config, only_stale=True, trials=trials
            )
        except (SealError, ArtifactManagerError) as error:
            failed.append(str(error))
    if failed:
        said = f"{len(failed)} of {counted(len(ids), 'report')} could not be made:"
        raise ArtifactManagerError("\n".join([said, *failed]))
    _write_receipt(receipt, shard, ids)


def _write_receipt(receipt: Path, shard: str, ids: Sequence[str]) -> None:
    receipt.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(receipt.parent)
    write_json(receipt, {"shard": shard, "runs": len(ids), "ids_sha256": sha256_json(list(ids))})
