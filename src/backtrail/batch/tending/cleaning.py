"""Making room: runs that are old or failed, objects and files that nothing needs any more."""

import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from backtrail.artifacts.removal import graves, hold_run
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import check_tag, read_tags
from backtrail.batch.tending.deleting import Deletion, delete_runs, preview_deletion
from backtrail.batch.tending.disk import freed_bytes
from backtrail.batch.tending.importing import IMPORTS
from backtrail.batch.tending.needs import RunRecords, read_records
from backtrail.errors import BacktrailError
from backtrail.files import lease, stale_files

__all__ = [
    "Choice",
    "Chosen",
    "Cleanup",
    "choose_runs",
    "clean_store",
    "parse_age",
    "preview_cleanup",
]

_AGE = re.compile(r"(\d+)([hdw])")
_ABANDONED = (".swept.", IMPORTS)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def parse_age(text: str) -> timedelta:
    """Return an age such as `90d`, `12h` or `6w`.

    Raises:
        BacktrailError: If it is none.
    """
    match = _AGE.fullmatch(text)
    try:
        if match is not None:
            return int(match[1]) * _UNITS[match[2]]
    except OverflowError:
        pass
    raise BacktrailError(f"{text!r} is no age; write a whole number and h, d or w, as in 90d")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which runs go. With neither age nor status, none does.

    Attributes:
        older_than: Only runs that began longer ago, by their records and never by their names.
        status: Only runs with this status.
        keep_tags: Runs with one of these tags stay.
        keep_best: So many completed runs of the store with the largest value of `metric` stay.
        metric: A metric of the manifests.
    """

    older_than: timedelta | None = None
    status: str | None = None
    keep_tags: tuple[str, ...] = ()
    keep_best: int = 0
    metric: str | None = None

    def __post_init__(self) -> None:
        for tag in self.keep_tags:
            check_tag(tag)
        if bool(self.keep_best) != (self.metric is not None):
            raise BacktrailError(
                "--keep-best N and --metric NAME go together: give both, or neither"
            )
        if not self._chooses and (self.keep_tags or self.keep_best):
            raise BacktrailError(
                "--keep-tag and --keep-best spare some of the runs that --older-than or --status "
                "choose; give one of these (--older-than 0d chooses every run)"
            )

    @property
    def _chooses(self) -> bool:
        return self.older_than is not None or self.status is not None

    def takes(self, records: RunRecords, began: datetime | None, now: datetime) -> bool:
        """Say whether a run is chosen, before any is spared."""
        if not self._chooses or self.status not in (None, records.status):
            return False
        return self.older_than is None or (began is not None and now - began >= self.older_than)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The runs that a choice takes.

    Attributes:
        backtest_ids: The runs, in the order of their names.
        spared: Runs that age or status chose and that stay, each with the reason.
        undated: Runs of which nothing says when they began; with an age they stay.
    """

    backtest_ids: tuple[str, ...]
    spared: Mapping[str, str]
    undated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cleanup:
    """What a cleanup takes, or took.

    Attributes:
        deletion: The runs and the objects.
        spared: Runs that stay although age or status chose them, each with the reason.
        undated: Runs of which nothing says when they began.
        leftovers: How many temporary files and folders dead processes have left.
        leftover_bytes: What these take.
    """

    deletion: Deletion
    spared: Mapping[str, str]
    undated: tuple[str, ...]
    leftovers: int
    leftover_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            **self.deletion.to_dict(),
            "spared": dict(self.spared),
            "undated": list(self.undated),
            "leftovers": self.leftovers,
            "leftover_bytes": self.leftover_bytes,
        }


def choose_runs(store: RunStore, choice: Choice, *, now: datetime) -> Chosen:
    """Return the runs that a choice takes.

    Args:
        store: The run store.
        choice: Which runs go.
        now: The moment that ages count to.

    Raises:
        BacktrailError: If no completed run has the metric to keep the best by, or no run has a tag
            to keep runs by.
        ArtifactManagerError: If a run's record of tags is damaged.
    """
    records = read_records(store)
    began = {name: item.began(store.run(name)) for name, item in records.items()}
    taken = [name for name, item in records.items() if choice.takes(item, began[name], now)]
    best = _best(records, choice)
    tags = _tags(store, records) if choice.keep_tags else {}
    _require_tags(choice.keep_tags, tags)
    spared = {}
    for name in taken:
        kept = [tag for tag in choice.keep_tags if tag in tags.get(name, ())]
        if kept:
            spared[name] = f"it has the tag {kept[0]}"
        elif name in best:
            spared[name] = f"number {best.index(name) + 1} by {choice.metric}"
    return Chosen(
        tuple(name for name in taken if name not in spared),
        spared,
        tuple(name for name, moment in began.items() if moment is None),
    )


def _tags(store: RunStore, records: Mapping[str, RunRecords]) -> dict[str, tuple[str, ...]]:
    keys = {name: item.run_key for name, item in records.items()}
    return {name: read_tags(store, key).names for name, key in keys.items() if key is not None}


def _require_tags(wanted: Sequence[str], tags: Mapping[str, Sequence[str]]) -> None:
    """Refuse a tag that spares nothing: misspelled, it would let the runs go that were meant."""
    known = sorted({tag for names in tags.values() for tag in names})
    for tag in wanted:
        if tag not in known:
            raise BacktrailError(
                f"no run has the tag {tag!r}, so --keep-tag spares none; there "
                + (f"are {', '.join(known)}" if known else "are no tags at all")
            )


def _best(records: Mapping[str, RunRecords], choice: Choice) -> Sequence[str]:
    if choice.metric is None:
        return ()
    found = {
        name: item.manifest.get("metrics", {})
        for name, item in records.items()
        if item.status == "completed"
    }
    known = sorted({metric for metrics in found.values() for metric in metrics})
    if choice.metric not in known:
        raise BacktrailError(
            f"no completed run has the metric {choice.metric!r}, so nobody can tell the best; "
            f"they have {', '.join(known) or 'none'}"
        )
    values = {name: metrics.get(choice.metric) for name, metrics in found.items()}
    ranked = sorted(
        (-value, name)
        for name, value in values.items()
        if isinstance(value, int | float) and math.isfinite(value)
    )
    return [name for _, name in ranked[: choice.keep_best]]


def preview_cleanup(store: RunStore, choice: Choice, *, now: datetime) -> Cleanup:
    """Return what a cleanup would take: nothing is deleted.

    Args:
        store: The run store.
        choice: Which runs go.
        now: The moment that ages count to.

    Raises:
        BacktrailError: As `choose_runs`.
    """
    chosen = choose_runs(store, choice, now=now)
    left = list(_leftovers(store))
    return Cleanup(
        preview_deletion(store, chosen.backtest_ids, every_object=True),
        chosen.spared,
        chosen.undated,
        len(left),
        freed_bytes(left),
    )


def clean_store(store: RunStore, choice: Choice, *, now: datetime) -> Cleanup:
    """Delete what `preview_cleanup` names; runs that are being executed stay.

    Args:
        store: The run store.
        choice: Which runs go.
        now: The moment that ages count to, and that tombstones state.

    Raises:
        BacktrailError: As `choose_runs`; nothing is deleted.
    """
    chosen = choose_runs(store, choice, now=now)
    left = list(_leftovers(store))
    size = freed_bytes(left)
    store.plans.mkdir(parents=True, exist_ok=True)
    with lease(store.plans / ".lock"):
        for path in left:
            _remove_leftover(store, path)
    deletion = delete_runs(
        store, chosen.backtest_ids, now=now, every_object=True, pass_over_busy=True
    )
    return Cleanup(deletion, chosen.spared, chosen.undated, len(left), size)


def _leftovers(store: RunStore) -> Iterator[Path]:
    yield from graves(store)
    for begin in _ABANDONED:
        yield from sorted(store.base_dir.glob(f"{begin}*"))
    yield from stale_files(store.base_dir)
    for folder in (store.plans, store.keys, store.objects, store.ledger):
        yield from stale_files(folder, recursive=True)
    for run in store.run_dirs():
        yield from stale_files(run.path, recursive=True)


def _remove_leftover(store: RunStore, path: Path) -> None:
    inside = path.relative_to(store.base_dir).parts
    if len(inside) > 1 and not inside[0].startswith("."):  # only who holds a run removes its files
        with hold_run(store.run(inside[0])) as is_free:
            if is_free:
                path.unlink(missing_ok=True)
    elif path.is_dir():
        if path.name.startswith(_ABANDONED):
            shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
