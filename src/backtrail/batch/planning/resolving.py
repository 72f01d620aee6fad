"""Deciding the identity of every run of a batch from its code, its data and its parameters."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from backtrail.batch.execution.sandbox import Outcome, Sandbox
from backtrail.batch.planning.costs import multiples_problems
from backtrail.batch.planning.loading import Batch
from backtrail.batch.planning.requests import RunRequest
from backtrail.batch.planning.searches import is_mistake, probed_params
from backtrail.batch.planning.windows import BarDates, data_problems
from backtrail.canonical import canonical_json, sha256_json
from backtrail.data.inventory import find_dataset
from backtrail.data.lock import check_lock
from backtrail.data.manifest import DatasetManifest, read_receipt
from backtrail.data.sources import is_made_of_another, source_checksum
from backtrail.errors import ConfigError, Problem
from backtrail.provenance.closure import CodeClosure
from backtrail.provenance.detection import importable
from backtrail.provenance.fingerprint import library_fingerprint

__all__ = [
    "ParameterChecker",
    "ResolvedRun",
    "dataset_identity",
    "outdated_bundles",
    "resolve_runs",
]

_WITHOUT_INITIALIZE: Final = frozenset({"signal", "step"})


@dataclass(frozen=True, slots=True)
class ResolvedRun:
    """A request whose data, code and parameters are known: its identity is decided.

    Attributes:
        content: Checksums of the canonical columns of the dataset's tables.
        needs_trades: Whether a metric of the strategy's own looks at trades.
    """

    request: RunRequest
    identity: Mapping[str, Any]
    content: Mapping[str, str] = field(default_factory=dict)
    needs_trades: bool = False

    @property
    def run_key(self) -> str:
        """Sha256 of the canonical identity."""
        return sha256_json(self.identity)


class _Known(NamedTuple):
    form: str | None
    params: Mapping[str, Any]
    needs_trades: bool = False


class ParameterChecker(Protocol):
    """What imports a strategy and resolves parameters: a sandbox, or a script's own process."""

    def check_params(
        self,
        root: Path,
        entry: str,
        params: Sequence[Mapping[str, Any]],
        functions: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Resolve parameter sets; see `Sandbox.check_params`."""
        ...


def outdated_bundles(batch: Batch) -> dict[str, str]:
    """Return the bundles whose dataset is not that of their source now, each with the reason."""
    reasons = {}
    for name in batch.ingested_bundles:
        receipt = read_receipt(batch.places.bundles, name)
        if receipt is None:
            reasons[name] = f"bundle {name} was never ingested"
        elif receipt["source_checksum"] != source_checksum(batch.bundle(name), batch.root):
            reasons[name] = f"the source of bundle {name} is not the one that was ingested last"
        elif is_made_of_another(batch.bundle(name), batch.places.bundles, receipt):
            made_of = " or ".join(batch.parents(name))
            reasons[name] = f"bundle {name} was made of another dataset of {made_of}"
    return reasons


def resolve_runs(
    batch: Batch,
    requests: Sequence[RunRequest] | None = None,
    *,
    sandbox: ParameterChecker | None = None,
) -> list[ResolvedRun]:
    """Decide the identity of runs from code, data and parameters.

    Args:
        batch: An open batch.
        requests: Runs of the batch whose bundles are ingested; all by default.
        sandbox: Where strategies are imported; one of its own when None.

    Raises:
        ConfigError: If a symbol or a date is not in the data, or a window has no bar; every
            mistake is named.
        BundleLockError: If a bundle is not the dataset that the project's lock says.
        DatasetError: If a bundle was never ingested, or its prices cannot be read.
    """
    wanted = batch.requests if requests is None else requests
    bundles = batch.places.bundles
    bars = {
        name: BarDates(find_dataset(bundles, name, batch.pinned(name)))
        for name in sorted({request.bundle for request in wanted})
    }
    check_lock(batch.root, bundles, {name: bars[name].manifest.dataset_id for name in bars})
    problems = [
        problem
        for request in wanted
        for problem in data_problems(request, bars[request.bundle], batch.source)
    ]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return [
        ResolvedRun(
            request,
            _identity(
                request,
                bars[request.bundle].manifest,
                batch.closures[request.strategy],
                known.form,
                known.params,
                seed=batch.config["seed"],
                library=library_fingerprint(search=request.search is not None),
            ),
            bars[request.bundle].manifest.content,
            known.needs_trades,
        )
        for request, known in zip(wanted, _parameters(batch, wanted, sandbox), strict=True)
    ]


def _parameters(
    batch: Batch, requests: Sequence[RunRequest], sandbox: ParameterChecker | None
) -> list[_Known]:
    """Return what each request's strategy says, its parameters with the defaults filled in.

    A strategy that cannot be imported has no form and keeps its parameters as given: its runs
    fail, are catalogued, and mending the strategy makes other runs. The parameters of a search are
    those that it does not vary.
    """
    resolved = [_Known(None, request.params) for request in requests]
    groups: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault(canonical_json([request.strategy, request.functions]), []).append(index)
    problems = []
    with Sandbox() if sandbox is None else nullcontext(sandbox) as checker:
        for indices in groups.values():
            first = requests[indices[0]]
            closure = batch.closures[first.strategy]
            probes = [probed_params(requests[i].params, requests[i].search) for i in indices]
            given = [params for group in probes for params in group]
            with importable(closure, batch.root) as folder:
                outcome = checker.check_params(folder, closure.entry, given, first.functions)
            if outcome.kind == "StrategyError":  # the contract of strategies is broken
                where = f"{batch.source}: batch.{first.entry}.strategy"
                found = f"{first.strategy}: {outcome.message}"
                problems.append(Problem(where, found, "see strategies/README.md for the forms"))
            if outcome.answer is None:
                continue
            form, trades = outcome.answer["form"], outcome.answer["needs_trades"]
            answers = iter(outcome.answer["params"])
            for index, group in zip(indices, probes, strict=True):
                request, found_ones = requests[index], list(islice(answers, len(group)))
                problems += _mistakes(request, group, found_ones, batch.source)
                problems += _cost_mistakes(request, form, batch.source)
                resolved[index] = _Known(form, _kept_params(request, found_ones), trades)
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return resolved


def _mistakes(
    request: RunRequest,
    probes: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, Any]],
    source: str,
) -> Iterator[Problem]:
    for params, item in zip(probes, answers, strict=True):
        if "error" in item and is_mistake(item["error"], params, request.search):
            origin = request.origin("params", "grid", "optimize", "strategy")
            where = f"{source}: batch.{origin}.params"
            yield Problem(where, item["error"], f"see Params in {request.strategy}")


def _cost_mistakes(request: RunRequest, form: str | None, source: str) -> Iterator[Problem]:
    grid = (request.validate or {}).get("costs")
    if grid is None or form not in _WITHOUT_INITIALIZE:
        return  # a strategy that has it may set its costs there, which its run will tell
    settings = request.settings
    costs = {"commission": settings.commission, "slippage": settings.slippage}
    for name, found, remedy in multiples_problems(grid, costs):
        where = f"{source}: batch.{request.origin('validate')}.validate.costs.{name}"
        yield Problem(where, found, remedy)


def _kept_params(request: RunRequest, answers: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    whole: Mapping[str, Any] | None = next(
        (item["values"] for item in answers if "values" in item), None
    )
    if whole is None:
        return request.params
    searched = {item["name"] for item in (request.search or {"space": ()})["space"]}
    return {name: value for name, value in whole.items() if name not in searched}


def _identity(
    request: RunRequest,
    dataset: DatasetManifest,
    closure: CodeClosure,
    form: str | None,
    params: Mapping[str, Any],
    *,
    seed: int,
    library: str,
) -> dict[str, Any]:
    settings = request.settings
    symbols = sorted(request.symbols or dataset.symbols)
    own = {
        name: dict(settings.instruments[name]) for name in symbols if name in settings.instruments
    }
    # What few runs have is left out of the others, so that it enters no identity but theirs.
    rare = {
        "margin": dict(settings.margin),
        "instruments": own,
        "risk_free_rate": settings.risk_free_rate,
        "search": request.search,
        "validate": request.validate,
    }
    return {
        **{name: values for name, values in rare.items() if values},
        "run_type": "backtest" if request.search is None else "optimization",
        "engine": settings.engine,
        "ledger": settings.ledger,
        "strategy": _strategy(request, closure, form),
        "dataset": dataset_identity(dataset),
        "symbols": symbols,
        "benchmark": settings.benchmark,
        "start": request.start,
        "end": request.end,
        "params": dict(params),
        "capital_base": settings.capital_base,
        "commission": dict(settings.commission),
        "slippage": dict(settings.slippage),
        "execution": {
            "fill": settings.fill,
            "size_at": settings.size_at,
            "shares": settings.shares,
            "cash_policy": settings.cash_policy,
        },
        "seed": seed,
        "library": library,
    }


def dataset_identity(dataset: DatasetManifest) -> dict[str, Any]:
    """Return what the identity of a run says of its dataset."""
    year = dataset.sessions.get("year")
    return {
        "dataset_id": dataset.dataset_id,
        "calendar": dataset.calendar,
        "timeframe": dataset.timeframe,
        **({"session_year": dict(year)} if year else {}),
    }


def _strategy(request: RunRequest, closure: CodeClosure, form: str | None) -> dict[str, Any]:
    named = {} if request.functions is None else {"functions": dict(request.functions)}
    return {"entry": closure.entry, "form": form, "code_hash": closure.code_hash, **named}
