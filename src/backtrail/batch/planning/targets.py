"""What a batch still lacks: the files that rule `all` asks for."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from backtrail.artifacts.manifest import Damage, inspect_run, is_sealed, require_all_intact
from backtrail.artifacts.paths import RESERVED_RESULTS, is_twin
from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.loading import Batch
from backtrail.batch.planning.plan import Plan
from backtrail.batch.planning.validation_steps import VALIDATION_FILES
from backtrail.provenance.objects import ObjectStore

__all__ = [
    "RESTORED_PATHS",
    "damaged_runs",
    "object_targets",
    "run_targets",
]

# Twins are made or not as the config says, so no rule declares them.
_DECLARED_RESULTS = sorted(name for name in RESERVED_RESULTS if not is_twin(name))
_MADE_BY_A_STAGE = "|".join(
    (
        *(re.escape(f"results/{name}") for name in _DECLARED_RESULTS),
        *(re.escape(f"results/{name}") for files in VALIDATION_FILES.values() for name in files),
        r"metadata/(?:run_spec|code_manifest|backtest_metadata)\.json",
        r"run\.json",
        "_SUCCESS",
        "results/reports/.*",
        r"\.search/.*",
    )
)
# Pattern of the files of a run that no stage declares as its output, a strategy's own among them.
RESTORED_PATHS = f"(?!(?:{_MADE_BY_A_STAGE})$).+"
_REPORTS = "results/reports"
_BASIC_REPORT = "basic_report.html"


def damaged_runs(plan: Plan, store: RunStore) -> dict[str, Damage]:
    """Look at every file of every sealed run of a plan; return what differs, by backtest id."""
    runs = [store.run(planned.backtest_id) for planned in plan.runs]
    looked = {run.backtest_id: inspect_run(run, thorough=False) for run in runs if is_sealed(run)}
    return {backtest_id: damage for backtest_id, damage in looked.items() if damage}


def run_targets(
    plan: Plan,
    store: RunStore,
    base_dir: Path,
    damaged: Mapping[str, Damage],
    reports: Sequence[str] = (_BASIC_REPORT,),
) -> list[str]:
    """Return the paths to ask for so that every run of a plan is sealed, whole and reported.

    Missing files of a sealed run are asked for by their own path, so that the rule which makes
    them runs again. With chains every seal and every report is asked for. With shards only what
    is missing is: ten thousand targets would be as many jobs to weigh.

    Args:
        plan: The plan.
        store: The run store.
        base_dir: The store's folder as the config writes it, for the paths.
        damaged: What `damaged_runs` found.
        reports: Pages that a run with a chain has; one in a shard has the basic report.

    Raises:
        SealError: If something in sealed runs was altered; every such run is named.
    """
    require_all_intact([(store.run(name), damage) for name, damage in damaged.items()])
    targets = []
    sharded, reported = _shards_done(plan, store)
    for planned in plan.runs:
        run = store.run(planned.backtest_id)
        home = (base_dir / planned.backtest_id).as_posix()
        if planned.backtest_id in damaged:
            targets += [f"{home}/{name}" for name in damaged[planned.backtest_id].missing]
        if plan.shards is None or plan.is_search(planned):
            targets += [f"{home}/_SUCCESS", *(f"{home}/{_REPORTS}/{name}" for name in reports)]
        elif planned.backtest_id in sharded and not is_sealed(run):
            # Its shard was done; the run has been deleted since. Who is pending has a shard still.
            targets += [f"{home}/_SUCCESS", f"{home}/{_REPORTS}/{_BASIC_REPORT}"]
        elif planned.backtest_id in reported and not os.path.exists(
            f"{run.path}/{_REPORTS}/{_BASIC_REPORT}"
        ):
            targets.append(f"{home}/{_REPORTS}/{_BASIC_REPORT}")
    return targets


def object_targets(batch: Batch) -> list[str]:
    """Return the paths of shared code files that `.objects/` lacks and the batch's runs need."""
    objects = ObjectStore(batch.places.base_dir / ".objects")
    wanted = {file.sha256 for closure in batch.closures.values() for file in closure.files}
    paths = [objects.path(sha256) for sha256 in sorted(wanted)]
    return [path.as_posix() for path in paths if not (batch.root / path).exists()]


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
