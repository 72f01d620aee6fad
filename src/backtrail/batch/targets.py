"""What a batch still lacks: the files that rule `all` asks for, and the summary at the end."""

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from backtrail.artifacts.manifest import Damage, inspect_run, is_sealed, require_all_intact
from backtrail.artifacts.paths import RESERVED_RESULTS, is_twin
from backtrail.artifacts.store import RunDir, RunStore
from backtrail.batch.loading import Batch
from backtrail.batch.plan import Plan
from backtrail.provenance.objects import ObjectStore

__all__ = [
    "RESTORED_PATHS",
    "BatchSummary",
    "damaged_runs",
    "object_targets",
    "run_targets",
    "summarize_batch",
]

# Twins are made or not as the config says, so no rule declares them.
_DECLARED_RESULTS = sorted(name for name in RESERVED_RESULTS if not is_twin(name))
_MADE_BY_A_STAGE = "|".join(
    (
        *(re.escape(f"results/{name}") for name in _DECLARED_RESULTS),
        r"metadata/(?:run_spec|code_manifest|backtest_metadata)\.json",
        r"run\.json",
        "_SUCCESS",
        "results/reports/.*",
    )
)
# Pattern of the files of a run that no stage declares as its output, a strategy's own among them.
RESTORED_PATHS = f"(?!(?:{_MADE_BY_A_STAGE})$).+"
_REPORT = "results/reports/basic_report.html"


def damaged_runs(plan: Plan, store: RunStore) -> dict[str, Damage]:
    """Look at every file of every sealed run of a plan; return what differs, by backtest id."""
    runs = [store.run(planned.backtest_id) for planned in plan.runs]
    looked = {run.backtest_id: inspect_run(run, thorough=False) for run in runs if is_sealed(run)}
    return {backtest_id: damage for backtest_id, damage in looked.items() if damage}


def run_targets(
    plan: Plan, store: RunStore, base_dir: Path, damaged: Mapping[str, Damage]
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
        if plan.shards is None:
            targets += [f"{home}/_SUCCESS", f"{home}/{_REPORT}"]
        elif planned.backtest_id in sharded and not is_sealed(run):
            # Its shard was done; the run has been deleted since. Who is pending has a shard still.
            targets += [f"{home}/_SUCCESS", f"{home}/{_REPORT}"]
        elif planned.backtest_id in reported and not os.path.exists(f"{run.path}/{_REPORT}"):
            targets.append(f"{home}/{_REPORT}")
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


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """How a batch ended.

    Attributes:
        new: Runs sealed since the moment asked about.
        reused: Runs sealed before.
        failed: Names, folders and reasons of failed runs.
        open: Runs without result or failure.
        damaged: Names and folders of sealed runs, and what differs from their manifests.
        restored: Runs that the present call found damaged and that are whole again.
        index: The comparison page.
        warning: What the catalog's receipt warns of, such as a store that has grown large.
    """

    new: int
    reused: int
    failed: Sequence[tuple[str, str, str]]
    open: int
    damaged: Sequence[tuple[str, str, str]]
    restored: int
    index: Path
    warning: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every run is sealed and whole."""
        return not self.failed and not self.open and not self.damaged

    def __str__(self) -> str:
        total = self.new + self.reused + len(self.failed) + self.open
        lines = [
            f"{total} runs: {self.new} new, {self.reused} reused, {len(self.failed)} failed"
            + (f", {self.open} not finished" if self.open else "")
            + (f", {self.restored} restored" if self.restored else "")
            + (f", {len(self.damaged)} damaged" if self.damaged else "")
        ]
        lines += [f"  failed {name} ({where}): {reason}" for name, where, reason in self.failed]
        lines += [f"  damaged {name} ({where}): {what}" for name, where, what in self.damaged]
        if self.warning is not None:
            lines.append(f"Warning: {self.warning}")
        if self.index.exists():
            lines.append(f"Compare them: {self.index}")
        return "\n".join(lines)


def summarize_batch(
    batch: Batch, *, since: float, damaged_before: Collection[str] = ()
) -> BatchSummary | None:
    """Count what became of a batch's runs, or return None when it was never planned.

    A sealed run that is damaged counts as new or reused, and is named as damaged besides.

    Args:
        batch: The batch.
        since: Unix time at which the present call began.
        damaged_before: Ids of the sealed runs that the present call found damaged.
    """
    path = batch.root / batch.plan_path
    if not path.exists():
        return None
    plan, store = Plan.load(path), batch.places.store
    damaged = damaged_runs(plan, store)
    new = reused = unfinished = 0
    failed = []
    for planned in plan.runs:
        run = store.run(planned.backtest_id)
        if is_sealed(run):
            fresh = not _lost_manifest(damaged.get(planned.backtest_id)) and _made_since(run, since)
            new, reused = new + fresh, reused + (not fresh)
            continue
        error = _error(run.read_manifest()) if run.failed.exists() else None
        if error is None:
            unfinished += 1
        else:
            failed.append((planned.names[0], _home(batch, planned.backtest_id), error))
    mended = set(damaged_before).difference(damaged)
    return BatchSummary(
        new,
        reused,
        failed,
        unfinished,
        [
            (plan.run(name).names[0], _home(batch, name), _in_words(damage))
            for name, damage in damaged.items()
        ],
        sum(is_sealed(store.run(name)) for name in mended),
        batch.places.base_dir / "index.html",
        _warning(path.parent),
    )


def _warning(planned: Path) -> str | None:
    try:
        receipt = json.loads((planned / "catalog.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    warning: str | None = receipt.get("warning")
    return warning


def _home(batch: Batch, backtest_id: str) -> str:
    return (batch.places.base_dir / backtest_id).as_posix()


def _in_words(damage: Damage) -> str:
    counts = {"missing": len(damage.missing), "altered": len(damage.altered)}
    return ", ".join(
        f"{count} file{'' if count == 1 else 's'} {word}" for word, count in counts.items() if count
    )


def _lost_manifest(damage: Damage | None) -> bool:
    return damage is not None and "run.json" in (*damage.missing, *damage.altered)


def _made_since(run: RunDir, since: float) -> bool:
    # Snakemake touches what a job declares, so a young seal is not yet a new run.
    if os.stat(run.success).st_mtime < since:
        return False
    manifest = run.read_manifest()
    assert manifest is not None
    finished: float = datetime.fromisoformat(manifest["finished_at"]).timestamp()
    return finished >= since


def _error(manifest: Mapping[str, object] | None) -> str | None:
    error = manifest.get("error") if manifest else None
    if not isinstance(error, Mapping):
        return None
    return f"{error['kind']}: {str(error['message']).splitlines()[0]}"
