"""How a batch ended: what is new, reused, failed, damaged, and where to look."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from backtrail.artifacts.manifest import Damage, is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.batch.planning.loading import Batch
from backtrail.batch.planning.plan import Plan
from backtrail.batch.planning.resolving import outdated_bundles
from backtrail.batch.planning.targets import damaged_runs
from backtrail.wording import counted, error_words

__all__ = ["BatchSummary", "summarize_batch"]


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
        index: The comparison page as the config writes its folder; None when it was not made.
        warning: What the catalog's receipt warns of, such as a store that has grown large.
        outdated: Why bundles are not what their sources are now, so that the runs counted are those
            of the datasets before.
    """

    new: int
    reused: int
    failed: Sequence[tuple[str, str, str]]
    open: int
    damaged: Sequence[tuple[str, str, str]]
    restored: int
    index: Path | None
    warning: str | None = None
    outdated: Sequence[str] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every run is sealed and whole."""
        return not (self.failed or self.open or self.damaged or self.outdated)

    def __str__(self) -> str:
        total = self.new + self.reused + len(self.failed) + self.open
        lines = [f"Not planned anew: {why}" for why in self.outdated]
        if lines:
            lines.append("What follows counts the runs of the data before:")
        lines.append(
            f"{counted(total, 'run')}: {self.new} new, {self.reused} reused, "
            + f"{len(self.failed)} failed"
            + (f", {self.open} not finished" if self.open else "")
            + (f", {self.restored} restored" if self.restored else "")
            + (f", {len(self.damaged)} damaged" if self.damaged else "")
        )
        lines += [f"  failed {name} ({where}): {reason}" for name, where, reason in self.failed]
        lines += [f"  damaged {name} ({where}): {what}" for name, where, what in self.damaged]
        if self.warning is not None:
            lines.append(f"Warning: {self.warning}")
        if self.index is not None:
            lines.append(f"Compare them: {self.index}")
        return "\n".join(lines)


def summarize_batch(
    batch: Batch,
    *,
    since: float,
    looked: Mapping[str, Damage] | None = None,
    is_over: bool = True,
) -> BatchSummary | None:
    """Count what became of a batch's runs, or return None when it was never planned.

    A sealed run that is damaged counts as new or reused, and is named as damaged besides.

    Args:
        batch: The batch.
        since: Unix time at which the present call began.
        looked: What the present call found damaged when it looked at every sealed run; None when
            it did not look. A call that found all of them whole and made none looks only once.
        is_over: Whether the call succeeded. One that did not may have failed at a bundle, before
            the batch could be planned for what its source is now.
    """
    path = batch.root / batch.plan_path
    if not path.exists():
        return None
    plan, store = Plan.load(path), batch.places.store
    runs = {planned.backtest_id: store.run(planned.backtest_id) for planned in plan.runs}
    is_quiet = looked == {} and not any(_is_young(run, since) for run in runs.values())
    damaged = {} if is_quiet else damaged_runs(plan, store)
    new = reused = unfinished = 0
    failed = []
    for planned in plan.runs:
        run = runs[planned.backtest_id]
        if is_sealed(run):
            fresh = not _lost_manifest(damaged.get(planned.backtest_id)) and _made_since(run, since)
            new, reused = new + fresh, reused + (not fresh)
            continue
        error = _error(run.read_manifest()) if run.failed.exists() else None
        if error is None:
            unfinished += 1
        else:
            failed.append((planned.names[0], _home(batch, planned.backtest_id), error))
    mended = set(looked or ()).difference(damaged)
    index = batch.places.base_dir / "index.html"
    return BatchSummary(
        new,
        reused,
        failed,
        unfinished,
        [
            (plan.run(name).names[0], _home(batch, name), _in_words(damage))
            for name, damage in damaged.items()
        ],
        sum(is_sealed(runs[name]) for name in mended),
        index if (batch.root / index).exists() else None,
        _warning(path.parent),
        () if is_over else tuple(outdated_bundles(batch).values()),
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
    return ", ".join(f"{counted(count, 'file')} {word}" for word, count in counts.items() if count)


def _lost_manifest(damage: Damage | None) -> bool:
    return damage is not None and "run.json" in (*damage.missing, *damage.altered)


def _is_young(run: RunDir, since: float) -> bool:
    try:
        return os.stat(f"{run.path}/_SUCCESS").st_mtime >= since
    except FileNotFoundError:
        return False


def _made_since(run: RunDir, since: float) -> bool:
    # Snakemake touches what a job declares, so a young seal is not yet a new run.
    if not _is_young(run, since):
        return False
    manifest = run.read_manifest()
    assert manifest is not None
    finished: float = datetime.fromisoformat(manifest["finished_at"]).timestamp()
    return finished >= since


def _error(manifest: Mapping[str, object] | None) -> str | None:
    error = manifest.get("error") if manifest else None
    if not isinstance(error, Mapping):
        return None
    return error_words(str(error["kind"]), str(error["message"]))
