"""The plan of a batch: every run with its key and directory, fixed before the first job."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.store import RunStore
from backtrail.batch.loading import Batch
from backtrail.batch.requests import RunRequest
from backtrail.batch.sandbox import Sandbox
from backtrail.canonical import sha256_json
from backtrail.data.manifest import DatasetManifest, read_head
from backtrail.errors import BatchChangedError, ConfigError, Problem
from backtrail.files import lease, remove_stale, write_json
from backtrail.provenance.closure import CodeClosure
from backtrail.provenance.fingerprint import library_fingerprint
from backtrail.provenance.objects import ObjectStore

__all__ = ["Plan", "PlannedRun", "make_plan", "resolve_runs"]

# Config windows and data rarely begin on the same day; a week covers weekends and holidays.
_COVERAGE_SLACK_DAYS = 7
_REPORTS_PER_SHARD = 50


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


@dataclass(frozen=True, slots=True)
class Plan:
    """What one batch runs, and how its runs are packed into jobs.

    Attributes:
        batch_key: The batch it belongs to.
        datasets: Dataset id of every bundle used.
        runs: The runs, in the order of the config, each once.
        shards: Ids per shard, by the hash of its ordered run keys; None when runs have chains.
    """

    batch_key: str
    datasets: Mapping[str, str]
    runs: tuple[PlannedRun, ...]
    shards: Mapping[str, tuple[str, ...]] | None

    @property
    def plan_key(self) -> str:
        """Sha256 of the ordered run keys."""
        return sha256_json([run.run_key for run in self.runs])

    @property
    def report_shards(self) -> dict[str, tuple[str, ...]]:
        """Ids per shard of reports: all runs, in shards as large as the largest of the plan."""
        if self.shards is None:
            return {}
        size = max([_REPORTS_PER_SHARD, *map(len, self.shards.values())])
        return _chunks(self.runs, size)

    def run(self, backtest_id: str) -> PlannedRun:
        """Return a run of the plan by its id."""
        return next(run for run in self.runs if run.backtest_id == backtest_id)

    @classmethod
    def load(cls, path: Path) -> "Plan":
        """Read a plan."""
        values = json.loads(path.read_bytes())
        runs = tuple(PlannedRun(**{**run, "names": tuple(run["names"])}) for run in values["runs"])
        shards = values["shards"]
        return cls(
            values["batch_key"],
            values["datasets"],
            runs,
            None if shards is None else {key: tuple(ids) for key, ids in shards.items()},
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
            },
        )


@dataclass(frozen=True, slots=True)
class ResolvedRun:
    """A request whose data, code and parameters are known: its identity is decided."""

    request: RunRequest
    identity: Mapping[str, Any]

    @property
    def run_key(self) -> str:
        """Sha256 of the canonical identity."""
        return sha256_json(self.identity)


def resolve_runs(batch: Batch) -> list[ResolvedRun]:
    """Decide the identity of every run of a batch from code, data and parameters.

    Raises:
        ConfigError: If a symbol or a date is not in the data; every mistake is named.
        DatasetError: If a bundle was never ingested.
    """
    datasets = {
        name: DatasetManifest.load(
            batch.root / batch.bundles_dir / name / read_head(batch.root / batch.bundles_dir, name)
        )
        for name in batch.used_bundles
    }
    problems = [
        problem
        for request in batch.requests
        for problem in _data_problems(request, datasets[request.bundle], batch.source)
    ]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    params = _resolved_params(batch)
    fingerprint = library_fingerprint()
    return [
        ResolvedRun(
            request,
            _identity(
                request,
                datasets[request.bundle],
                batch.closures[request.strategy],
                params[index],
                seed=batch.config["seed"],
                library=fingerprint,
            ),
        )
        for index, request in enumerate(batch.requests)
    ]


def _data_problems(request: RunRequest, dataset: DatasetManifest, source: str) -> list[Problem]:
    where = f"{source}: batch.{request.entry}"
    known = sorted(dataset.symbols)
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    wanted = list(request.symbols or known)
    benchmark = request.settings.benchmark
    unknown = [name for name in [*wanted, benchmark] if name is not None and name not in known]
    if unknown:
        return [
            Problem(
                f"{where}.{'benchmark' if name == benchmark else 'symbols'}",
                f"bundle {request.bundle!r} has no symbol {name!r}",
                f"its symbols are {listed}",
            )
            for name in dict.fromkeys(unknown)
        ]
    first = min(date.fromisoformat(dataset.symbols[name].first[:10]) for name in wanted)
    last = max(date.fromisoformat(dataset.symbols[name].last[:10]) for name in wanted)
    problems = []
    if (first - request.start).days > _COVERAGE_SLACK_DAYS:
        found = f"{request.start} is before the first bar of {request.bundle!r}, {first}"
        problems.append(Problem(f"{where}.start", found, f"begin at {first} or later"))
    if (request.end - last).days > _COVERAGE_SLACK_DAYS:
        found = f"{request.end} is after the last bar of {request.bundle!r}, {last}"
        problems.append(Problem(f"{where}.end", found, f"end at {last} or earlier"))
    for name in wanted:
        begin, end = (
            date.fromisoformat(item[:10])
            for item in (dataset.symbols[name].first, dataset.symbols[name].last)
        )
        if not problems and (begin > request.end or end < request.start):
            found = f"{name!r} has no bar from {request.start} to {request.end}"
            problems.append(
                Problem(f"{where}.symbols", found, f"its bars run from {begin} to {end}")
            )
    return problems


def _resolved_params(batch: Batch) -> list[Mapping[str, Any]]:
    """Return each request's parameters with the strategy's defaults filled in.

    A strategy that cannot be imported keeps its parameters as given: its runs fail, are
    catalogued, and mending the strategy makes other runs.
    """
    resolved: list[Mapping[str, Any]] = [request.params for request in batch.requests]
    by_strategy: dict[str, list[int]] = {}
    for index, request in enumerate(batch.requests):
        by_strategy.setdefault(request.strategy, []).append(index)
    problems = []
    with Sandbox() as sandbox:
        for strategy, indices in by_strategy.items():
            given = [resolved[index] for index in indices]
            outcome = sandbox.check_params(batch.root, batch.closures[strategy].entry, given)
            if outcome.answer is None:
                continue
            for index, item in zip(indices, outcome.answer["params"], strict=True):
                if "error" in item:
                    where = f"{batch.source}: batch.{batch.requests[index].entry}.params"
                    problems.append(Problem(where, item["error"], f"see Params in {strategy}"))
                else:
                    resolved[index] = item["values"]
    if problems:
        raise ConfigError(problems)
    return resolved


def _identity(
    request: RunRequest,
    dataset: DatasetManifest,
    closure: CodeClosure,
    params: Mapping[str, Any],
    *,
    seed: int,
    library: str,
) -> dict[str, Any]:
    settings = request.settings
    return {
        "run_type": "backtest",
        "engine": settings.engine,
        "ledger": settings.ledger,
        "strategy": {"entry": closure.entry, "code_hash": closure.code_hash},
        "dataset": {
            "dataset_id": dataset.dataset_id,
            "calendar": dataset.calendar,
            "timeframe": dataset.timeframe,
        },
        "symbols": sorted(request.symbols or dataset.symbols),
        "benchmark": settings.benchmark,
        "start": request.start,
        "end": request.end,
        "params": dict(params),
        "capital_base": settings.capital_base,
        "commission": {"model": settings.commission_model, "cost": settings.commission_cost},
        "slippage": {"model": settings.slippage_model},
        "execution": {
            "fill": settings.fill,
            "size_at": settings.size_at,
            "shares": settings.shares,
            "cash_policy": settings.cash_policy,
        },
        "seed": seed,
        "library": library,
    }


def make_plan(batch: Batch, *, expected_key: str | None = None) -> Plan:
    """Fix what a batch runs: identities, directories, captured code, shards.

    Every mistake is found before the first directory is made. Two planners of one store take
    turns. The plan is also written to `batch.plan_path`.

    Args:
        batch: An open batch whose bundles are ingested.
        expected_key: The batch key under which the caller will look for the plan.

    Raises:
        BatchChangedError: If config or code changed since the expected key was computed.
        ConfigError: If a symbol, a date or a parameter does not fit the data or the strategy.
    """
    if expected_key is not None and expected_key != batch.batch_key:
        raise BatchChangedError(
            "config, strategies or the library changed while the batch was being planned; "
            "nothing was started, run the same command again"
        )
    resolved = resolve_runs(batch)
    store = batch.store
    unique: dict[str, tuple[ResolvedRun, list[str]]] = {}
    for run in resolved:
        unique.setdefault(run.run_key, (run, []))[1].append(run.request.name)
    store.plans.mkdir(parents=True, exist_ok=True)
    with lease(store.plans / ".lock"):
        remove_stale(store.plans, recursive=True)
        store.sweep_orphans()
        _store_code(batch, store)
        runs = []
        for key, (run, names) in unique.items():
            runs.append(_claim(batch, store, key, run, names))
        plan = Plan(
            batch.batch_key,
            {run.bundle: unique[run.run_key][0].identity["dataset"]["dataset_id"] for run in runs},
            tuple(runs),
            _shards(runs, batch.shard_size(len(runs))),
        )
        plan.save(batch.root / batch.plan_path)
    return plan


def _store_code(batch: Batch, store: RunStore) -> None:
    objects = ObjectStore(store.objects)
    files = {file for closure in batch.closures.values() for file in closure.files}
    for file in sorted(files, key=lambda item: item.path):
        objects.put(batch.root / file.path, file.sha256)


def _claim(
    batch: Batch,
    store: RunStore,
    run_key: str,
    resolved: ResolvedRun,
    names: Sequence[str],
) -> PlannedRun:
    closure = batch.closures[resolved.request.strategy]

    def make_spec(backtest_id: str) -> dict[str, Any]:
        return {
            "backtest_id": backtest_id,
            "run_key": run_key,
            "identity": dict(resolved.identity),
            "labels": {"names": list(names), "bundle": resolved.request.bundle},
            "code": {
                "files": [
                    {"path": f.path, "sha256": f.sha256, "imported_by": list(f.imported_by)}
                    for f in closure.files
                ],
                "warnings": list(closure.warnings),
            },
        }

    backtest_id, is_new = store.claim(run_key, make_spec, datetime.now(UTC))
    run = store.restore_spec(backtest_id, run_key)
    state = "new" if is_new else "reused" if is_sealed(run) else "open"
    return PlannedRun(
        backtest_id, run_key, tuple(names), closure.entry, resolved.request.bundle, state
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
