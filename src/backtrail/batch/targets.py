"""What a batch still lacks: the files that rule `all` asks for, and the summary at the end."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from backtrail.artifacts.manifest import inspect_run, is_sealed, require_intact
from backtrail.artifacts.paths import RESERVED_RESULTS
from backtrail.artifacts.store import RunDir, RunStore
from backtrail.batch.loading import Batch
from backtrail.batch.plan import Plan

__all__ = ["RESTORED_PATHS", "BatchSummary", "run_targets", "summarize_batch"]

_MADE_BY_A_STAGE = "|".join(
    (
        *(re.escape(f"results/{name}") for name in sorted(RESERVED_RESULTS)),
        r"metadata/(?:run_spec|code_manifest|backtest_metadata)\.json",
        r"run\.json",
        "_SUCCESS",
        "results/reports/.*",
    )
)
# Pattern of the files of a run that no stage declares as its output, a strategy's own among them.
RESTORED_PATHS = f"(?!(?:{_MADE_BY_A_STAGE})$).+"
_REPORT = "results/reports/basic_report.html"


def run_targets(plan: Plan, store: RunStore, base_dir: Path) -> list[str]:
    """Return the paths to ask for so that every run of a plan is sealed, whole and reported.

    A sealed run is compared with its manifest: missing files are asked for by their own path, so
    that the rule which makes them runs again. With chains every seal and every report is asked
    for. With shards only what is missing is: ten thousand targets would be as many jobs to weigh.

    Raises:
        SealError: If something in a sealed run was altered.
    """
    targets = []
    sharded, reported = _shards_done(plan, store)
    for planned in plan.runs:
        run = store.run(planned.backtest_id)
        home = (base_dir / planned.backtest_id).as_posix()
        sealed = is_sealed(run)
        if sealed:
            damage = inspect_run(run, thorough=False)
            require_intact(run, damage)
            targets += [f"{home}/{name}" for name in damage.missing]
        if plan.shards is None:
            targets += [f"{home}/_SUCCESS", f"{home}/{_REPORT}"]
        elif not sealed and planned.backtest_id in sharded:
            # Its shard was done; the run has been deleted since. Who is pending has a shard still.
            targets += [f"{home}/_SUCCESS", f"{home}/{_REPORT}"]
        elif planned.backtest_id in reported and not os.path.exists(f"{run.path}/{_REPORT}"):
            targets.append(f"{home}/{_REPORT}")
    return targets


def _shards_done(plan: Plan, store: RunStore) -> tuple[set[str], set[str]]:
    """Return the ids of runs that no shard is going to make, and of those none will report.

    Their shard is done, or they were sealed before the plan and never had one.
    """

    def waiting(kind: str, shards: Mapping[str, Sequence[str]]) -> set[str]:
        receipts = store.plans / plan.batch_key / kind
        return {
            name
            for shard, ids in shards.items()
            if not (receipts / f"{shard}.json").exists()
            for name in ids
        }

    every = {run.backtest_id for run in plan.runs}
    return every - waiting("runs", plan.shards or {}), every - waiting(
        "reports", plan.report_shards
    )


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """How a batch ended.

    Attributes:
        new: Runs sealed since the moment asked about.
        reused: Runs sealed before.
        failed: Names and reasons of failed runs.
        open: Runs without result or failure.
        index: The comparison page.
    """

    new: int
    reused: int
    failed: Sequence[tuple[str, str, str]]
    open: int
    index: Path

    @property
    def is_complete(self) -> bool:
        """Whether every run was sealed."""
        return not self.failed and not self.open

    def __str__(self) -> str:
        total = self.new + self.reused + len(self.failed) + self.open
        lines = [
            f"{total} runs: {self.new} new, {self.reused} reused, {len(self.failed)} failed"
            + (f", {self.open} not finished" if self.open else "")
        ]
        lines += [f"  failed {name} ({where}): {reason}" for name, where, reason in self.failed]
        if self.index.exists():
            lines.append(f"Compare them: {self.index}")
        return "\n".join(lines)


def summarize_batch(batch: Batch, *, since: float) -> BatchSummary | None:
    """Count what became of a batch's runs, or return None when it was never planned.

    Args:
        batch: The batch.
        since: Unix time at which the present call began.
    """
    path = batch.root / batch.plan_path
    if not path.exists():
        return None
    plan, store = Plan.load(path), batch.places.store
    new = reused = unfinished = 0
    failed = []
    for planned in plan.runs:
        run = store.run(planned.backtest_id)
        try:
            sealed_at = os.stat(run.success).st_mtime
        except FileNotFoundError:
            error = _error(run.read_manifest()) if run.failed.exists() else None
            if error is None:
                unfinished += 1
            else:
                home = (batch.places.base_dir / planned.backtest_id).as_posix()
                failed.append((planned.names[0], home, error))
            continue
        # Snakemake touches what a job declares, so a young seal is not yet a new run.
        if sealed_at >= since and _finished_at(run) >= since:
            new += 1
        else:
            reused += 1
    return BatchSummary(new, reused, failed, unfinished, batch.places.base_dir / "index.html")


def _finished_at(run: RunDir) -> float:
    manifest = run.read_manifest()
    assert manifest is not None
    return datetime.fromisoformat(manifest["finished_at"]).timestamp()


def _error(manifest: Mapping[str, object] | None) -> str | None:
    error = manifest.get("error") if manifest else None
    if not isinstance(error, Mapping):
        return None
    return f"{error['kind']}: {str(error['message']).splitlines()[0]}"
