"""Why a run is not the one before it, in research words: code, data, parameters, settings."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from backtrail.artifacts.manifest import Damage, inspect_run, is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore, is_generated_id, name_of
from backtrail.batch.execution.sandbox import Sandbox
from backtrail.batch.history.sides import (
    FileChange,
    RunSide,
    code_changes,
    side_of_request,
    side_of_run,
    value_changes,
)
from backtrail.batch.planning.former import latest_by_name, planned_names
from backtrail.batch.planning.loading import Batch
from backtrail.batch.planning.plan import plan_search
from backtrail.batch.planning.resolving import outdated_bundles, resolve_runs
from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.wording import error_words

__all__ = [
    "STATES",
    "Explanation",
    "PreviewedRun",
    "explain_code",
    "explain_difference",
    "explain_run",
    "preview_batch",
]

STATES = ("damaged", "failed", "open", "restore", "new", "reused")
_PLACES_SHOWN: Final = 6
_ROWS_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class PreviewedRun:
    """What planning would make of one run.

    Attributes:
        run_key: Its identity; None while its bundle has to be ingested first.
        state: `new`; `open` (begun, never sealed); `failed` (will be tried again); `restore`
            (sealed, with missing files that will be put back); `damaged` (sealed, and altered);
            or `reused`.
        backtest_id: The run's directory where it has one.
        predecessor: The last run of this name, where there is one and it is another.
        reasons: Why a new run is not its predecessor, and what another one lacks; for a run with
            two names, the second of them says so.
        search: What a search that has not been done is expected to take; None for other runs.
    """

    name: str
    run_key: str | None
    state: str
    backtest_id: str | None
    predecessor: str | None
    reasons: tuple[str, ...]
    search: str | None = None


def preview_batch(batch: Batch, *, sandbox: Sandbox | None = None) -> list[PreviewedRun]:
    """Say what would run and why, without writing anything.

    A run whose bundle has to be ingested first has no key yet; it is new, and the reason says so.

    Args:
        batch: An open batch.
        sandbox: Where strategies are imported; one of its own when None.

    Raises:
        ConfigError: If the batch cannot be planned.
    """
    outdated = outdated_bundles(batch)
    store = batch.places.store
    named = latest_by_name(store)
    previews = [
        PreviewedRun(item.name, None, "new", None, named.get(item.name), (outdated[item.bundle],))
        for item in batch.requests
        if item.bundle in outdated
    ]
    known = [item for item in batch.requests if item.bundle not in outdated]
    first_names: dict[str, str] = {}
    for run in resolve_runs(batch, known, sandbox=sandbox):
        key, name = run.run_key, run.request.name
        backtest_id = store.find(key)
        predecessor = named.get(name)
        if backtest_id is not None:
            state, reasons = _state(store.run(backtest_id))
            predecessor = predecessor if state != "reused" and predecessor != backtest_id else None
        elif predecessor is None:
            state, reasons = "new", ("no run of this name before",)
        else:
            before = side_of_run(store, store.run(predecessor))
            after = side_of_request(batch.root, run, batch.closures[run.request.strategy])
            state, reasons = "new", tuple(explain_difference(before, after))
        first = first_names.setdefault(key, name)
        if first != name:  # why it is new depends on the name, the rest only on the run
            reasons = (*(reasons if state == "new" else ()), f"the same run as {first}")
        search = None
        if run.request.search is not None and state in ("new", "open", "failed"):
            search = plan_search(batch, run, named.get(name))[1]
        previews.append(PreviewedRun(name, key, state, backtest_id, predecessor, reasons, search))
    return previews


def _state(run: RunDir) -> tuple[str, tuple[str, ...]]:
    if is_sealed(run):
        return _sealed_state(inspect_run(run, thorough=False))
    try:
        manifest = run.read_manifest()
    except ArtifactManagerError as error:
        return "damaged", (f"{error}; delete the run's folder to have the run made again",)
    if not run.path.exists():
        return "open", ("its folder was deleted; it will be made again under the same id",)
    if manifest is None:
        return "open", ("planned, not begun",)
    failure = manifest.get("error")
    if run.failed.exists() and failure:
        words = error_words(failure["kind"], failure["message"])
        return "failed", (words, f"attempt {manifest['attempt']} failed; it will be tried again")
    if manifest["status"] == "executed":
        return "open", (f"executed, not sealed; begun at {manifest['started_at']}",)
    return "open", (f"begun at {manifest['started_at']}, not finished",)


def _sealed_state(damage: Damage) -> tuple[str, tuple[str, ...]]:
    missing = [f"{name} is missing" for name in damage.missing]
    if "run.json" in (*damage.missing, *damage.altered):
        how = "is missing" if missing else "is not the one that was sealed"
        return "damaged", (
            f"run.json {how}",
            "snakemake refuses it; put the sealed one back, or delete the run's folder and the "
            "run is made again",
        )
    if damage.altered:
        return "damaged", (
            *(f"{name} was altered after the seal" for name in damage.altered),
            *missing,
            "snakemake refuses it; delete what was altered, and the next call puts it back",
        )
    if missing:
        return "restore", (*missing, "the next call makes it again and compares the bytes")
    return "reused", ()


def explain_difference(
    before: RunSide, after: RunSide, bundles_dir: Path | None = None
) -> Iterator[str]:
    """Yield a sentence for everything that makes a run another one than before.

    Args:
        before: The predecessor.
        after: The run.
        bundles_dir: Folder of the bundles, to name the bars that changed; None names the
            datasets alone.
    """
    yield from explain_code(before, after)
    old, new = before.identity["dataset"], after.identity["dataset"]
    if old != new:
        yield (
            f"the data of bundle {after.bundle} changed: dataset {old['dataset_id']} -> "
            f"{new['dataset_id']}"
        )
        if bundles_dir is not None:
            yield from _data_sentences(before, after, bundles_dir)
    for value in value_changes(before, after):
        if value.group == "library":
            yield f"the library's own code changed: {value.before} -> {value.after}"
        else:
            yield str(value)


def explain_code(before: RunSide, after: RunSide) -> Iterator[str]:
    """Yield a sentence for every file of a run's code that is not the one of another run.

    Args:
        before: The predecessor.
        after: The run.
    """
    for change in code_changes(before, after):
        yield _file_sentence(change)


def _file_sentence(change: FileChange) -> str:
    said = {"changed": "changed", "added": "is new", "removed": "is no longer used"}[change.kind]
    places = change.lines()
    if places:
        shown = ", ".join(places[:_PLACES_SHOWN])
        more = len(places) - _PLACES_SHOWN
        said += f" in {shown}" + (f" and {more} more places" if more > 0 else "")
    importers = "".join(f", imported by {path}" for path in change.importers)
    return f"{change.path} {said}{importers if change.kind != 'removed' else ''}"


def _data_sentences(before: RunSide, after: RunSide, bundles_dir: Path) -> Iterator[str]:
    from backtrail.data.comparison import compare_datasets, dataset_sentences
    from backtrail.data.datasets import Dataset

    try:
        old, new = (
            Dataset.open(bundles_dir / side.bundle / side.identity["dataset"]["dataset_id"])
            for side in (before, after)
        )
        yield from dataset_sentences(compare_datasets(old, new, limit=_ROWS_SHOWN))
        identity = after.identity
        symbols = {
            *identity["symbols"],
            *([identity["benchmark"]] if identity["benchmark"] else ()),
        }
        start, end = (date.fromisoformat(identity[key]) for key in ("start", "end"))
        seen = compare_datasets(old, new, symbols=sorted(symbols), start=start, end=end, limit=1)
        changes = [
            count
            for table in (seen.bars, seen.adjustments)
            for count in (table.changed, table.added, table.removed)
        ]
        yield (
            f"of these, {sum(changes):,} lie in the symbols and dates of this run"
            if sum(changes)
            else "none of these lies in the symbols and dates of this run"
        )
    except DatasetError as error:
        yield f"which bars changed cannot be said: {error}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run exists beside its predecessor.

    Attributes:
        backtest_id: The run.
        names: Its names in batch configs.
        predecessor: The run it is compared with; None for the first of its kind.
        relation: `name` when both have a name in common, `strategy` when the predecessor is the
            most similar earlier run of the same strategy file; None without a predecessor.
        reasons: What made it another run, one sentence each.
        unchanged: What is the same in both: code, data, parameters, settings.
    """

    backtest_id: str
    names: tuple[str, ...]
    predecessor: str | None
    relation: str | None
    reasons: tuple[str, ...]
    unchanged: tuple[str, ...]


def explain_run(store: RunStore, run: RunDir, bundles_dir: Path) -> Explanation:
    """Say why a run exists beside the last one of its name that was made before it.

    Args:
        store: The run store.
        run: A run of it.
        bundles_dir: Folder of the bundles, to name the bars that changed.

    Raises:
        ArtifactManagerError: If the run has no readable spec.
    """
    names: defaultdict[str, set[str]] = defaultdict(set)
    for name, backtest_id in planned_names(store):
        names[backtest_id].add(name)
    own = names[run.backtest_id] | set(run.read_spec()["labels"]["names"])
    after, moment = side_of_run(store, run), _moment(run)
    namesakes, relatives = [], []
    for other in store.run_dirs():
        if other.backtest_id == run.backtest_id or not other.spec.exists():
            continue
        spec = other.read_spec()
        if _moment(other) >= moment:
            continue
        if own & (names[other.backtest_id] | set(spec["labels"]["names"])):
            namesakes.append(other)
        elif spec["identity"]["strategy"]["entry"] == after.entry:
            relatives.append((_distance(spec["identity"], after.identity), other))
    if namesakes:
        found, relation = max(namesakes, key=_moment), "name"
    elif relatives:
        least = min(distance for distance, _ in relatives)
        alike = [other for distance, other in relatives if distance == least]
        found, relation = max(alike, key=_moment), "strategy"
    else:
        first = ("it is the first run of its name and of its strategy file",)
        return Explanation(run.backtest_id, tuple(sorted(own)), None, None, first, ())
    before = side_of_run(store, found)
    return Explanation(
        run.backtest_id,
        tuple(sorted(own)),
        found.backtest_id,
        relation,
        tuple(explain_difference(before, after, bundles_dir)),
        tuple(_unchanged(before, after)),
    )


def _moment(run: RunDir) -> str:
    """Return when a run was claimed, as its id says it; of a custom id, when it began."""
    if is_generated_id(run.backtest_id):
        return run.backtest_id
    try:
        begun = datetime.fromisoformat((run.read_manifest() or {})["started_at"])
    except (ArtifactManagerError, KeyError, ValueError):
        begun = datetime.fromtimestamp(run.spec.stat().st_mtime, UTC)
    return name_of(begun)


def _distance(old: Mapping[str, object], new: Mapping[str, object]) -> int:
    """Count in how many parts two identities differ."""
    return sum(old.get(key) != new.get(key) for key in old.keys() | new.keys())


def _unchanged(before: RunSide, after: RunSide) -> Iterator[str]:
    groups = {value.group for value in value_changes(before, after)}
    if not any(code_changes(before, after)):
        yield "code"
    if before.identity["dataset"] == after.identity["dataset"]:
        yield "data"
    if "parameter" not in groups:
        yield "parameters"
    if not groups - {"parameter", "library"}:
        yield "settings"
    if "library" not in groups:
        yield "library"
