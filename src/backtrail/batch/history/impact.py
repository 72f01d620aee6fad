"""The blast radius of a revision: which runs read what changed, which did not, and why.

Every run of the store that may have read the older dataset gets a verdict. Whether it is affected
follows from its records and from both datasets; nothing is executed for it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.history.revised_windows import RevisedWindows
from backtrail.batch.history.sources import used_dataset
from backtrail.batch.history.successors import Succession, Successors
from backtrail.data.datasets import Dataset
from backtrail.data.inventory import find_dataset, previous_dataset
from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.wording import error_words

if TYPE_CHECKING:
    from backtrail.batch.history.rerunning import Movement

__all__ = ["VERDICTS", "JudgedRun", "RevisionImpact", "open_revision", "trace_revision"]

_SHOWN_SYMBOLS: Final = 5

VERDICTS: Final = ("affected", "unaffected", "unjudged")


@dataclass(frozen=True, slots=True)
class JudgedRun:
    """What a revision does to one run.

    Attributes:
        backtest_id: The run.
        name: Its first name in a batch; None where its records do not say.
        run_type: `backtest`, `optimization` or `holdout`; None where its records do not say.
        verdict: `affected` (something that it read is not the same), `unaffected`, or `unjudged`.
        reasons: What it read otherwise, why it read the same, or why that cannot be told.
        rows: Bars and adjustments that changed in its symbols and dates.
        bundle: The bundle whose dataset it read; None where its records do not say.
        before: The dataset that it read.
        after: The one that took its place; None where there is none.
        movement: How its results move, once that was asked for.
    """

    backtest_id: str
    name: str | None
    run_type: str | None
    verdict: str
    reasons: tuple[str, ...]
    rows: int = 0
    bundle: str | None = None
    before: str | None = None
    after: str | None = None
    movement: "Movement | None" = None


@dataclass(frozen=True, slots=True)
class RevisionImpact:
    """Which runs of a store a revision affects.

    Attributes:
        bundle: Name of the revised bundle.
        before: Id of the older dataset.
        after: Id of the newer one.
        runs: Every run that may have read the older one, oldest first; with results asked for, the
            affected ones first, worst first.
        bundles: The bundle of each newer dataset that an affected run has, by its id.
        left_out: How many more runs may have read the older one and were not asked for.
    """

    bundle: str
    before: str
    after: str
    runs: tuple[JudgedRun, ...]
    bundles: Mapping[str, str] = field(default_factory=dict)
    left_out: int = 0

    def of(self, verdict: str) -> tuple[JudgedRun, ...]:
        """Return the runs with a verdict: `affected`, `unaffected` or `unjudged`."""
        return tuple(run for run in self.runs if run.verdict == verdict)

    @property
    def affected(self) -> tuple[str, ...]:
        """Ids of the runs that read what changed."""
        return tuple(run.backtest_id for run in self.of("affected"))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "bundle": self.bundle,
            "before": self.before,
            "after": self.after,
            "left_out": self.left_out,
            "counts": {verdict: len(self.of(verdict)) for verdict in VERDICTS},
            "runs": [asdict(run) for run in self.runs],
        }


def open_revision(
    bundles_dir: Path, bundle: str, before: str | None = None, after: str | None = None
) -> tuple[Dataset, Dataset]:
    """Open two datasets of a bundle, the older one first.

    Args:
        bundles_dir: Folder of the bundles.
        bundle: Name of the bundle.
        before: Id of the older one, or its beginning; the one before the newer when None.
        after: Id of the newer one, or its beginning; the one that the name means now when None.

    Raises:
        DatasetError: If there is no such bundle or dataset, or it was deleted.
    """
    newer = Dataset.open(find_dataset(bundles_dir, bundle, after))
    wanted = before or previous_dataset(bundles_dir, bundle, newer.manifest.dataset_id)
    return Dataset.open(find_dataset(bundles_dir, bundle, wanted)), newer


def trace_revision(
    store: RunStore,
    bundles_dir: Path,
    before: Dataset,
    after: Dataset,
    *,
    among: Collection[str] | None = None,
    limit: int = 3,
) -> RevisionImpact:
    """Find the runs that read what changed from one dataset to another.

    Runs on datasets that were made of the older one count as well, by the dataset that was made of
    the newer one in the same way.

    Args:
        store: The run store; it need not exist.
        bundles_dir: Folder of the bundles.
        before: The older dataset.
        after: The newer one.
        among: Ids of the runs that are asked for; every run of the store when None.
        limit: How many rows a reason shows of each kind.

    Raises:
        DatasetError: If the datasets have bars of different length.
    """
    frames = before.manifest.timeframe, after.manifest.timeframe
    if frames[0] != frames[1]:
        raise DatasetError(
            f"dataset {before.path.name} has bars of {frames[0]} and {after.path.name} of "
            f"{frames[1]}: no bar of one is a revision of a bar of the other; name two datasets "
            "with bars of the same length"
        )
    judge = _Judge(Successors(bundles_dir, before, after), before, bundles_dir, limit)
    found = [run for item in store.run_dirs() for run in judge.judge(item)]
    runs = [_with_parent(run, judge) if run.run_type == "holdout" else run for run in found]
    asked = [run for run in runs if among is None or run.backtest_id in among]
    return RevisionImpact(
        before.path.parent.name,
        before.manifest.dataset_id,
        after.manifest.dataset_id,
        tuple(asked),
        judge.bundles,
        len(runs) - len(asked),
    )


class _Judge:
    """Judges runs one after another; what runs have in common is looked at once."""

    def __init__(
        self, successors: Successors, before: Dataset, bundles_dir: Path, limit: int
    ) -> None:
        self._successors = successors
        self._before = before
        self._home = f"{bundles_dir.resolve()}/"
        self._limit = limit
        self._windows: dict[tuple[str, str], RevisedWindows] = {}
        self.bundles: dict[str, str] = {}
        self.by_key: dict[str, JudgedRun] = {}
        self.parents: dict[str, str] = {}

    def judge(self, run: RunDir) -> Iterator[JudgedRun]:
        """Yield the verdict on a run; nothing of one that the revision does not reach."""
        used = used_dataset(run)
        if used is None:
            if run.spec.exists() or run.manifest.exists() or run.success.exists():
                reason = (
                    "which dataset it read cannot be told: its records are damaged; `backtrail "
                    f"verify {run.backtest_id}` says how"
                )
                yield JudgedRun(run.backtest_id, None, None, "unjudged", (reason,))
            return
        place = self._successors.of(*used)
        if place is None:
            return
        record = run.read_manifest() if is_sealed(run) else run.read_spec()
        assert record is not None
        judged = JudgedRun(
            run.backtest_id,
            next(iter(record["labels"]["names"]), None),
            record["identity"].get("run_type"),
            "unjudged",
            (),
            0,
            used[0],
            used[1],
            None if place.after is None else place.after.manifest.dataset_id,
        )
        judged = self._verdict(judged, run, record, place)
        self.by_key[record["run_key"]] = judged
        if "parent" in record["identity"]:
            self.parents[run.backtest_id] = record["identity"]["parent"]
        yield judged

    def _verdict(
        self, judged: JudgedRun, run: RunDir, record: Mapping[str, Any], place: Succession
    ) -> JudgedRun:
        if not is_sealed(run):
            return replace(judged, reasons=(_no_result(run),))
        if place.before is None or place.after is None:
            return replace(judged, reasons=(place.problem,))
        after = place.after.manifest
        key = (judged.before or "", after.dataset_id)
        if key not in self._windows:
            self._windows[key] = RevisedWindows(place.before, place.after, limit=self._limit)
        try:
            change = self._windows[key].look(record["identity"])
        except DatasetError as error:
            return replace(judged, reasons=(f"what it read cannot be read again: {error}",))
        symbols = record["identity"]["symbols"]
        told = (*change.reasons, *_added_symbols(symbols, place.before, place.after))
        judged = replace(judged, rows=change.rows, reasons=told)
        if change.is_seen:
            self.bundles[after.dataset_id] = after.bundle
            return replace(judged, verdict="affected")
        beside = tuple(self._read_beside(record, place.before))
        if beside:
            return replace(judged, reasons=(*told, *beside))
        return replace(judged, verdict="unaffected")

    def _read_beside(self, record: Mapping[str, Any], dataset: Dataset) -> Iterator[str]:
        """Yield what a run used by which it may have read prices beside those it was handed."""
        usage = record.get("usage")
        if usage is None:
            yield "what its strategy opened was not recorded"
            return
        manifests = (dataset.manifest, self._before.manifest)
        sources = {Path(source.path).name for item in manifests for source in item.sources}
        for item in usage["opened"]:
            origin = str(item["origin"])
            if origin.startswith(self._home) or Path(origin).name in sources:
                yield f"its strategy opened {origin} itself, so what of it counted is not known"
        for command in usage["processes"]:
            yield f"its strategy started a program, which may have read prices: {command}"
        for name in usage["unseen"]:
            yield f"its strategy used native code whose files nobody saw: {name}"


def _added_symbols(symbols: Collection[str], before: Dataset, after: Dataset) -> Iterator[str]:
    """Say what becomes of a run of all symbols where there are more of them now."""
    known = before.manifest.symbols.keys()
    added = sorted(after.manifest.symbols.keys() - known)
    if not added or set(symbols) != set(known):
        return
    more = len(added) - _SHOWN_SYMBOLS
    names = ", ".join(added[:_SHOWN_SYMBOLS]) + (f" and {more:,} more" if more > 0 else "")
    yield (
        f"it has every symbol of the older dataset; an entry without `symbols` takes {names} in, "
        "too, and so makes another run"
    )


def _with_parent(judged: JudgedRun, judge: _Judge) -> JudgedRun:
    """Return the verdict on a look at a holdout: its set was selected on the dates before."""
    parent = judge.by_key.get(judge.parents.get(judged.backtest_id, ""))
    if judged.verdict == "affected" and (parent is None or parent.verdict != "affected"):
        return judged
    if parent is None:
        reason = "the search that selected its set is not in the store any more"
        return replace(judged, verdict="unjudged", reasons=(*judged.reasons, reason))
    if parent.verdict == "affected":
        reason = f"search {parent.backtest_id}, which selected its set, is affected"
        reasons = judged.reasons if judged.verdict == "affected" else ()
        return replace(judged, verdict="affected", reasons=(*reasons, reason))
    if parent.verdict == "unjudged" and judged.verdict == "unaffected":
        reason = f"search {parent.backtest_id}, which selected its set, cannot be judged"
        return replace(judged, verdict="unjudged", reasons=(*judged.reasons, reason))
    return judged


def _no_result(run: RunDir) -> str:
    if run.failed.exists():
        try:
            error = (run.read_manifest() or {}).get("error")
        except ArtifactManagerError:
            error = None
        words = f" ({error_words(error['kind'], error['message'])})" if error else ""
        return f"it failed{words}: it has no result that could move"
    return "it was never finished: it has no result that could move"
