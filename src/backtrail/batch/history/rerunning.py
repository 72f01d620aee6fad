"""How far the results of affected runs move: the same runs on the newer dataset, beside the store.

Where the store has the same run on the newer dataset, its results are taken. Else the run is
executed in scratch from its own captured code, as a replay does it, under the identity that it
would have on the newer dataset. Nothing of that enters the store, and no trial is counted: no set
is tried that was not tried before.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.environment import describe_environment, environment_difference
from backtrail.artifacts.manifest import inspect_run, inventory, is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.sandbox import Limits, Sandbox, StrategyFailedError
from backtrail.batch.history.diffing import Parting, diff_results
from backtrail.batch.history.impact import JudgedRun, RevisionImpact
from backtrail.batch.history.replay import examine_run, repeated_run
from backtrail.batch.history.sources import DatasetCheck, SourceCheck
from backtrail.batch.planning.resolving import dataset_identity
from backtrail.canonical import sha256_json
from backtrail.data.manifest import DatasetManifest
from backtrail.errors import BacktrailError, QueryError
from backtrail.files import write_json
from backtrail.provenance.fingerprint import library_fingerprint
from backtrail.wording import choices, error_words

__all__ = [
    "MAIN_METRICS",
    "MetricMove",
    "Movement",
    "rerun_affected",
    "revised_spec",
]

MAIN_METRICS: Final = ("total_return", "sharpe_ratio", "max_drawdown", "total_trades")
"""The metrics that are stated of every affected run, moved or not."""

_CSV_TWIN: Final = "results/backtest_results.csv"
_VALIDATION: Final = "results/validation/"
_RANKS: Final = {"failed": 0, "not executed": 1, "moved": 2, "equal": 3}


class _NotExecutedError(BacktrailError):
    """A run is not executed, for a reason that is not its own."""


@dataclass(frozen=True, slots=True)
class MetricMove:
    """A metric on both datasets.

    Attributes:
        before: Of the run.
        after: On the newer dataset.
        difference: What was added; None where a side has no value.
    """

    before: float | None
    after: float | None
    difference: float | None

    @classmethod
    def of(cls, before: float | None, after: float | None) -> "MetricMove":
        """Return the move from one value to another."""
        return cls(before, after, None if before is None or after is None else after - before)


@dataclass(frozen=True, slots=True)
class Movement:
    """How the results of a run move.

    Attributes:
        state: `moved`; `equal` (what changed makes no difference to it); `failed` (it does not get
            through on the newer dataset); or `not executed`.
        run: The run of the store whose results were taken; None when it was executed in scratch.
        problems: Why it failed, or was not executed.
        metrics: The main metrics, and every other one that is not the same.
        trade: The first trade that differs.
        decision: The first order that was decided otherwise.
        selected: Of a search, the parameters selected before and after, where they are others.
        verdict: Of a search that was validated, whether it passed before and after, if not alike.
        remarks: What else than the data is not the same: versions, and the library's own code.
    """

    state: str
    run: str | None = None
    problems: tuple[str, ...] = ()
    metrics: Mapping[str, MetricMove] = field(default_factory=dict)
    trade: Parting | None = None
    decision: Parting | None = None
    selected: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    verdict: tuple[bool, bool] | None = None
    remarks: tuple[str, ...] = ()


def rerun_affected(
    store: RunStore,
    bundles_dir: Path,
    limits: Limits,
    impact: RevisionImpact,
    *,
    metric: str = "total_return",
    tell: Callable[[JudgedRun], None] | None = None,
    sandbox: Sandbox | None = None,
) -> RevisionImpact:
    """Return an impact with the movement of every affected run, worst first.

    Runs that fail on the newer dataset come first, then those that were not executed, then the
    others by how far a metric moves, up or down. One that fails stops no other.

    Args:
        store: The run store; nothing is written into it.
        bundles_dir: Folder of the bundles.
        limits: Time and memory each run may use.
        impact: From `trace_revision`.
        metric: The metric that counts.
        tell: Is given each affected run when its movement is known.
        sandbox: Where strategies run; one of its own when None.

    Raises:
        QueryError: If no affected run has the metric; it says which there are.
    """
    _check_metric(store, impact, metric)
    measured = []
    with Executor(bundles_dir, limits, csv_twins=False, sandbox=sandbox) as executor:
        measure = _Measure(store, executor, impact.bundles)
        for judged in impact.of("affected"):
            measured.append(replace(judged, movement=measure.movement(judged)))
            if tell is not None:
                tell(measured[-1])
    others = (run for run in impact.runs if run.verdict != "affected")
    ordered = sorted(measured, key=lambda run: _place(run, metric))
    return replace(impact, runs=(*ordered, *others))


def _check_metric(store: RunStore, impact: RevisionImpact, metric: str) -> None:
    known = {
        name
        for judged in impact.of("affected")
        for name in (store.run(judged.backtest_id).read_manifest() or {}).get("metrics", {})
    }
    if known and metric not in known:
        there = choices(metric, sorted(known))
        raise QueryError(f"no affected run has the metric {metric!r}; there {there}")


def _place(judged: JudgedRun, metric: str) -> tuple[int, float, str]:
    movement = judged.movement
    assert movement is not None
    move, size = movement.metrics.get(metric), 0.0
    if move is not None and move.before != move.after:
        size = math.inf if move.difference is None else abs(move.difference)
    return _RANKS[movement.state], -size, judged.backtest_id


def revised_spec(
    store: RunStore, spec: Mapping[str, Any], newer: DatasetManifest, library: str
) -> dict[str, Any]:
    """Return the spec that a run would have on another dataset.

    Args:
        store: The run store.
        spec: Of the run.
        newer: The other dataset.
        library: Fingerprint of the library's own code that is to execute it.

    Raises:
        BacktrailError: If it is a look at the holdout of a search that is not in the store.
    """
    identity = _revised_identity(store, spec, newer, library)
    run_key, counted = sha256_json(identity), {}
    if "trials_before" in spec:
        counted["trials_before"] = store.count_trials(
            newer.dataset_id,
            identity["strategy"]["entry"],
            run_key,
            bundle=newer.bundle,
            window=(str(identity["start"]), str(identity["end"])),
        )
    return {
        **spec,
        **counted,
        "identity": identity,
        "run_key": run_key,
        "labels": {**spec["labels"], "bundle": newer.bundle},
        "data": {"content": dict(newer.content)},
    }


def _revised_identity(
    store: RunStore, spec: Mapping[str, Any], newer: DatasetManifest, library: str
) -> dict[str, Any]:
    identity = {**spec["identity"], "dataset": dataset_identity(newer), "library": library}
    if "holdout" in identity:
        search = store.find(identity["parent"])
        if search is None:
            raise _NotExecutedError("its search is not in the store any more")
        parent = _revised_identity(store, store.read_spec(search), newer, library)
        identity["parent"] = sha256_json(parent)
    return identity


class _Measure:
    """Takes affected runs to their newer datasets one after another."""

    def __init__(self, store: RunStore, executor: Executor, bundles: Mapping[str, str]) -> None:
        self._store = store
        self._executor = executor
        self._bundles = bundles
        self._sources = SourceCheck(store, executor.bundles_dir)
        self._datasets = DatasetCheck(executor.bundles_dir)

    def movement(self, judged: JudgedRun) -> Movement:
        """Return how the results of an affected run move."""
        run = self._store.run(judged.backtest_id)
        _, problems = examine_run(self._store, run, self._sources)
        if problems:
            return Movement("not executed", problems=problems)
        try:
            with self._on_newer(run, str(judged.after)) as (other, library):
                return self._compared(run, other, library)
        except StrategyFailedError as failure:
            outcome = failure.outcome
            return Movement("failed", problems=(error_words(str(outcome.kind), outcome.message),))
        except _NotExecutedError as error:
            return Movement("not executed", problems=(str(error),))
        except BacktrailError as error:
            return Movement("failed", problems=(str(error),))

    @contextmanager
    def _on_newer(self, run: RunDir, dataset_id: str) -> Iterator[tuple[RunDir, str]]:
        """Yield the same run on the newer dataset, and the library's code that made it."""
        newer = self._newer(dataset_id)
        spec = run.read_spec()
        identity = spec["identity"]
        present = library_fingerprint(search=not {"search", "holdout"}.isdisjoint(identity))
        for library in dict.fromkeys((identity["library"], present)):
            found = self._store.find(
                sha256_json(_revised_identity(self._store, spec, newer, library))
            )
            other = None if found is None else self._store.run(found)
            if other is not None and is_sealed(other) and not inspect_run(other):
                yield other, library
                return
        if "holdout" in identity:
            raise _NotExecutedError(
                "each look at a holdout is counted, so none is taken here; make its search on the "
                "newer dataset, and open the holdout of that one with `backtrail holdout`"
            )
        revised = revised_spec(self._store, spec, newer, present)
        listed = (run.read_manifest() or {})["inventory"]
        with repeated_run(run, revised, self._executor, csv_twins=_CSV_TWIN in listed) as made:
            scratch, contents = made
            stated = json.loads((scratch.results / "performance-metrics.json").read_bytes())
            manifest = {
                "status": "completed",
                "metrics": {name: entry["value"] for name, entry in stated.items()},
                "inventory": inventory(scratch, contents),
            }
            write_json(scratch.manifest, manifest)
            write_json(scratch.environment, describe_environment())
            yield scratch, present

    def _newer(self, dataset_id: str) -> DatasetManifest:
        """Return the manifest of a newer dataset that is what its id says."""
        bundle = self._bundles[dataset_id]
        damage = self._datasets.damage(bundle, dataset_id)
        if damage:
            words = "; ".join(f"{path} {what}" for path, what in damage.items())
            raise _NotExecutedError(f"the newer dataset is damaged: {words}")
        return DatasetManifest.load(self._executor.bundles_dir / bundle / dataset_id)

    def _compared(self, run: RunDir, other: RunDir, library: str) -> Movement:
        found = diff_results(run, other)
        stated = [(item.read_manifest() or {})["metrics"] for item in (run, other)]
        metrics = {name: (stated[0].get(name), stated[1].get(name)) for name in MAIN_METRICS}
        spec = run.read_spec()
        selected = verdict = None
        if "search" in spec["identity"]:
            params = [item.read_selection()["params"] for item in (run, other)]
            selected = None if params[0] == params[1] else (params[0], params[1])
            passed = [_passed(item) for item in (run, other)]
            verdict = None if passed[0] == passed[1] else (bool(passed[0]), bool(passed[1]))
        remarks = environment_difference(
            *(json.loads(item.environment.read_bytes()) for item in (run, other))
        )
        if spec["identity"]["library"] != library:
            remarks.append(f"backtrail's own code {spec['identity']['library']} -> {library}")
        # Records of a validation count trials and looks, of which a later run has more.
        files = [name for name in found.files if not name.startswith(_VALIDATION)]
        return Movement(
            "moved" if found.status or found.metrics or found.tables or files else "equal",
            other.backtest_id if other.path.parent == self._store.base_dir else None,
            metrics={k: MetricMove.of(*pair) for k, pair in {**metrics, **found.metrics}.items()},
            trade=found.trade,
            decision=found.decision,
            selected=selected,
            verdict=verdict,
            remarks=tuple(remarks),
        )


def _passed(run: RunDir) -> bool | None:
    """Return what the verdict on a search says; None where it was not validated."""
    path = run.results / "validation" / "verdict.json"
    return bool(json.loads(path.read_bytes())["passed"]) if path.exists() else None
