"""The plan of a batch: every run with its key and directory, fixed before the first job."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.removal import finish_removals
from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.sandbox import Sandbox
from backtrail.batch.planning.chunks import chunk_ranges, estimate_search
from backtrail.batch.planning.claiming import Claimant, store_code
from backtrail.batch.planning.former import latest_by_name, seconds_per_set
from backtrail.batch.planning.loading import Batch
from backtrail.batch.planning.resolving import ResolvedRun, outdated_bundles, resolve_runs
from backtrail.batch.planning.windows import BarDates
from backtrail.canonical import sha256_json
from backtrail.errors import BatchChangedError
from backtrail.files import lease, remove_stale, write_json
from backtrail.optimization.search import Search, in_sample_identity
from backtrail.provenance.closure import log_capture

__all__ = ["Plan", "PlannedRun", "RunOrigin", "make_plan", "plan_search", "run_origin"]

_REPORTS_PER_SHARD = 50
_DOUBTS = ("warnings", "notes")


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        state: `new` when the plan made the directory, `open` when it exists without a seal,
            `reused` when it was sealed.
        names: Every name the batch has for this run.
    """

    backtest_id: str
    run_key: str
    names: tuple[str, ...]
    strategy: str
    bundle: str
    state: str


@dataclass(frozen=True)
class Plan:
    """What one batch runs, and how its runs are packed into jobs.

    Attributes:
        batch_key: The batch it belongs to.
        datasets: Dataset id of every bundle used.
        runs: The runs, in the order of the config, each once.
        shards: Ids per shard, by the hash of its ordered run keys; None when runs have chains.
        searches: Names of the chunks of every search run, by its id. They have chains always.
        estimates: What each search is expected to take, in words.
    """

    batch_key: str
    datasets: Mapping[str, str]
    runs: tuple[PlannedRun, ...]
    shards: Mapping[str, tuple[str, ...]] | None
    searches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    estimates: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def chained(self) -> tuple[PlannedRun, ...]:
        """The runs with a chain of jobs of their own: all, or with shards the searches."""
        return tuple(run for run in self.runs if self.shards is None or self.is_search(run))

    def is_search(self, run: PlannedRun) -> bool:
        """Say whether a run searches a parameter space."""
        return run.backtest_id in self.searches

    @property
    def plan_key(self) -> str:
        """Sha256 of the ordered run keys."""
        return sha256_json([run.run_key for run in self.runs])

    @cached_property
    def report_shards(self) -> dict[str, tuple[str, ...]]:
        """Ids per shard of reports: runs without a chain, in shards as large as the largest one."""
        if self.shards is None:
            return {}
        size = max([_REPORTS_PER_SHARD, *map(len, self.shards.values())])
        return _chunks([run for run in self.runs if not self.is_search(run)], size)

    @cached_property
    def report_sources(self) -> dict[str, tuple[str, ...]]:
        """The shards that make runs of each shard of reports; none where all were made before."""
        made_by = {name: shard for shard, ids in (self.shards or {}).items() for name in ids}
        return {
            shard: tuple(dict.fromkeys(made_by[name] for name in ids if name in made_by))
            for shard, ids in self.report_shards.items()
        }

    def run(self, backtest_id: str) -> PlannedRun:
        """Return a run of the plan by its id."""
        return self._by_id[backtest_id]

    def __contains__(self, backtest_id: str) -> bool:
        return backtest_id in self._by_id

    @cached_property
    def _by_id(self) -> dict[str, PlannedRun]:
        return {run.backtest_id: run for run in self.runs}

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan; one that was read before and has not changed is not read again."""
        found = path.stat()
        return cls._read(path.absolute(), found.st_mtime_ns, found.st_ino)

    @classmethod
    @lru_cache(maxsize=4)
    def _read(cls, path: Path, _mtime_ns: int, _inode: int) -> "Plan":
        values = json.loads(path.read_bytes())
        runs = tuple(PlannedRun(**{**run, "names": tuple(run["names"])}) for run in values["runs"])
        shards = values["shards"]
        return cls(
            values["batch_key"],
            values["datasets"],
            runs,
            None if shards is None else {key: tuple(ids) for key, ids in shards.items()},
            {key: tuple(chunks) for key, chunks in values.get("searches", {}).items()},
            values.get("estimates", {}),
        )

    def save(self, path: Path) -> None:
        """Write the plan; equal plans have equal bytes."""
        write_json(
            path,
            {
                "batch_key": self.batch_key,
                "plan_key": self.plan_key,
                "datasets": dict(self.datasets),
                "runs": [
                    {
                        "backtest_id": run.backtest_id,
                        "run_key": run.run_key,
                        "names": list(run.names),
                        "strategy": run.strategy,
                        "bundle": run.bundle,
                        "state": run.state,
                    }
                    for run in self.runs
                ],
                "shards": None
                if self.shards is None
                else {key: list(ids) for key, ids in self.shards.items()},
                "searches": {key: list(chunks) for key, chunks in self.searches.items()},
                "estimates": dict(self.estimates),
            },
        )


@dataclass(frozen=True, slots=True)
class RunOrigin:
    """What a run was made from.

    Attributes:
        names: Every name its batch has for the run.
        is_search: Whether it searches a parameter space.
    """

    names: tuple[str, ...]
    strategy: str
    bundle: str
    dataset_id: str
    is_search: bool = False


def run_origin(plan: Plan, store: RunStore, backtest_id: str) -> RunOrigin:
    """Return what a run was made from, whether it is the plan's or of another batch of the store.

    Raises:
        ArtifactManagerError: If the store has no such run.
    """
    if backtest_id in plan:
        run = plan.run(backtest_id)
        dataset_id = plan.datasets[run.bundle]
        return RunOrigin(run.names, run.strategy, run.bundle, dataset_id, plan.is_search(run))
    spec = store.read_spec(backtest_id)
    labels, identity = spec["labels"], spec["identity"]
    return RunOrigin(
        tuple(labels["names"]),
        identity["strategy"]["entry"],
        labels["bundle"],
        identity["dataset"]["dataset_id"],
        "search" in identity,
    )


def make_plan(
    batch: Batch, *, expected_key: str | None = None, sandbox: Sandbox | None = None
) -> Plan:
    """Fix what a batch runs: identities, directories, captured code, shards.

    Every mistake is found before the first directory is made. Two planners of one store take
    turns. The plan is also written to `batch.plan_path`.

    Args:
        batch: An open batch whose bundles are ingested.
        expected_key: The batch key under which the caller will look for the plan.
        sandbox: Where strategies are imported; one of its own when None.

    Raises:
        BatchChangedError: If config or code changed since the expected key was computed.
        BundleLockError: If a bundle is not the dataset that the project's lock says.
        ConfigError: If a symbol, a date or a parameter does not fit the data or the strategy.
    """
    if expected_key is not None and expected_key != batch.batch_key:
        raise BatchChangedError(
            "config, strategies or the library changed while the batch was being planned; "
            "nothing was started, run the same command again"
        )
    for reason in outdated_bundles(batch).values():
        raise BatchChangedError(
            f"{reason}: it changed meanwhile, or another project that shares "
            f"{batch.places.bundles_dir} has a bundle of that name. Nothing was started; run the "
            "same command again, or give the bundle a name of its own"
        )
    _log_captures(batch)
    resolved = resolve_runs(batch, sandbox=sandbox)
    store = batch.places.store
    unique: dict[str, tuple[ResolvedRun, list[str]]] = {}
    for run in resolved:
        unique.setdefault(run.run_key, (run, []))[1].append(run.request.name)
    searching = [run for run, _ in unique.values() if run.request.search is not None]
    named = latest_by_name(store) if searching else {}
    searches = {
        run.run_key: plan_search(batch, run, named.get(run.request.name)) for run in searching
    }
    store.plans.mkdir(parents=True, exist_ok=True)
    with lease(store.plans / ".lock"):
        remove_stale(store.plans, recursive=True)
        finish_removals(store)
        store.sweep_orphans()
        store_code(store, batch.root, batch.closures.values())
        claimant = Claimant(store, batch.root)
        runs = [_claim(batch, claimant, run, names) for run, names in unique.values()]
        plain = [run for run in runs if unique[run.run_key][0].request.search is None]
        plan = Plan(
            batch.batch_key,
            {run.bundle: unique[run.run_key][0].identity["dataset"]["dataset_id"] for run in runs},
            tuple(runs),
            _shards(plain, batch.shard_size(len(plain))),
            {run.backtest_id: searches[run.run_key][0] for run in runs if run.run_key in searches},
            {run.backtest_id: searches[run.run_key][1] for run in runs if run.run_key in searches},
        )
        plan.save(batch.root / batch.plan_path)
    return plan


def plan_search(
    batch: Batch, run: ResolvedRun, predecessor: str | None = None
) -> tuple[tuple[str, ...], str]:
    """Return the chunks of a search, and what it is expected to take, in words.

    Args:
        batch: The batch.
        run: A run of it that searches.
        predecessor: An earlier search of this name, whose time is a measure.
    """
    search = Search.of({"identity": run.identity, "run_key": run.run_key})
    identity, request = in_sample_identity(run.identity), run.request
    dates = BarDates(batch.places.bundles / request.bundle / identity["dataset"]["dataset_id"])
    end = date.fromisoformat(str(identity["end"]))
    estimate = estimate_search(
        search,
        identity,
        dates.bar_count(identity["symbols"], request.start, end),
        batch.limits,
        sets_per_job=batch.config["execution"]["sets_per_job"],
        seconds_per_set=None
        if predecessor is None
        else seconds_per_set(batch.places.store, predecessor),
        needs_trades=run.needs_trades,
    )
    return chunk_ranges(search, estimate), str(estimate)


def _log_captures(batch: Batch) -> None:
    """Log what was captured; what strategies share is told once."""
    told: set[str] = set()
    for closure in batch.closures.values():
        code = closure.as_record()
        news = {kind: [text for text in code[kind] if text not in told] for kind in _DOUBTS}
        log_capture({**code, **news})
        told.update(*(code[kind] for kind in _DOUBTS))


def _claim(
    batch: Batch, claimant: Claimant, resolved: ResolvedRun, names: Sequence[str]
) -> PlannedRun:
    closure = batch.closures[resolved.request.strategy]
    backtest_id, is_new = claimant.claim(resolved, closure, names)
    sealed = is_sealed(claimant.store.run(backtest_id))
    state = "new" if is_new else "reused" if sealed else "open"
    return PlannedRun(
        backtest_id, resolved.run_key, tuple(names), closure.entry, resolved.request.bundle, state
    )


def _shards(runs: Sequence[PlannedRun], size: int | None) -> dict[str, tuple[str, ...]] | None:
    if size is None:
        return None
    return _chunks([run for run in runs if run.state != "reused"], size)


def _chunks(runs: Sequence[PlannedRun], size: int) -> dict[str, tuple[str, ...]]:
    chunks = [runs[start : start + size] for start in range(0, len(runs), size)]
    return {
        sha256_json([run.run_key for run in chunk])[:16]: tuple(run.backtest_id for run in chunk)
        for chunk in chunks
    }
