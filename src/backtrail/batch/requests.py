"""From batch entries to run requests: `extends`, defaults, grids, and checks between keys."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from backtrail.batch.config import load_schema
from backtrail.batch.grid import expand_grid
from backtrail.data.bundles import ADAPTERS
from backtrail.errors import Problem

__all__ = ["RunRequest", "RunSettings", "entry_problems", "entry_requests", "expand_batch"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How one run is executed; every field is part of its identity.

    Attributes:
        capital_base: Cash at the start, exact.
        commission_cost: Fraction of the traded value; 0 without a commission.
    """

    engine: str
    ledger: str
    fill: str
    size_at: str
    shares: str
    cash_policy: str
    capital_base: Decimal
    commission_model: str
    commission_cost: Decimal
    slippage_model: str
    benchmark: str | None


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run that a config asks for, before its code and data are known.

    Attributes:
        name: Entry name, with the grid's values behind a slash: `sma-grid/fast=5,slow=50`.
        entry: Name of the batch entry.
        symbols: Symbols as listed, or None for all of the bundle.
        params: Parameters as given, without the strategy's defaults.
        functions: What of the file is the strategy, where that is not found by name: qualified
            names under `initialize`, `handle_data` and `analyze`, or one under `class`.
    """

    name: str
    entry: str
    strategy: str
    bundle: str
    symbols: tuple[str, ...] | None
    start: date
    end: date
    params: Mapping[str, Any]
    settings: RunSettings
    functions: Mapping[str, str] | None = None


def expand_batch(config: Mapping[str, Any], source: str) -> tuple[list[RunRequest], list[Problem]]:
    """Expand every batch entry of a config that fits the schema.

    Args:
        config: The config with defaults filled in.
        source: The file name that problems carry.

    Returns:
        The runs in the order of the config, and what is wrong between keys.
    """
    requests: list[RunRequest] = []
    problems: list[Problem] = []
    for name in config["batch"]:
        entry, found = _inherit(config["batch"], name, source)
        problems.extend(found)
        if found:
            continue
        where = f"{source}: batch.{name}"
        found = [
            *entry_problems(config["defaults"], entry, where),
            *_bundle_name_problems(config, entry, where),
        ]
        problems.extend(found)
        if not found:
            try:
                requests.extend(entry_requests(name, entry, config["defaults"]))
            except ValueError as error:
                problems.append(
                    Problem(f"{source}: batch.{name}", str(error), "mend the grid or its condition")
                )
    for bundle, values in config["bundles"].items():
        problems.extend(_bundle_problems(bundle, values, source))
    return requests, problems


def _inherit(
    batch: Mapping[str, Any], name: str, source: str
) -> tuple[dict[str, Any], list[Problem]]:
    chain: list[str] = []
    current: str | None = name
    while current is not None:
        where = f"{source}: batch.{chain[-1] if chain else name}.extends"
        if current in chain:
            loop = " -> ".join([*chain, current])
            return {}, [Problem(where, f"the chain {loop} never ends", "break the circle")]
        if current not in batch:
            near = difflib.get_close_matches(current, batch, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"entries: {', '.join(batch)}"
            return {}, [Problem(where, f"there is no entry {current!r}", remedy)]
        chain.append(current)
        current = batch[current].get("extends")
    entry: dict[str, Any] = {}
    for ancestor in reversed(chain):
        own = batch[ancestor]
        params = {**entry.get("params", {}), **own.get("params", {})}
        # A grid is replaced as a whole: half of an inherited one would be a surprise.
        entry = {**entry, **own, "params": params}
    entry.pop("extends", None)
    return entry, []


def _bundle_name_problems(
    config: Mapping[str, Any], entry: Mapping[str, Any], where: str
) -> Iterator[Problem]:
    bundle = entry.get("bundle")
    if bundle is not None and bundle not in config["bundles"]:
        near = difflib.get_close_matches(bundle, config["bundles"], n=1)
        known = ", ".join(config["bundles"])
        remedy = f"did you mean {near[0]!r}?" if near else f"bundles: {known}"
        yield Problem(f"{where}.bundle", f"there is no bundle {bundle!r}", remedy)


def entry_problems(
    defaults: Mapping[str, Any], entry: Mapping[str, Any], where: str
) -> Iterator[Problem]:
    """Yield what is wrong between the keys of one entry.

    Args:
        defaults: The config's section `defaults`, filled in.
        entry: The entry with what it inherits.
        where: What names the entry in messages.
    """
    for key in ("strategy", "bundle", "start", "end"):
        if key not in entry:
            yield Problem(
                where, f"the key {key!r} is missing", f"add {key!r} here or in an entry it extends"
            )
    if "start" in entry and "end" in entry and entry["start"] > entry["end"]:
        found = f"start {entry['start']} is after end {entry['end']}"
        yield Problem(where, found, "exchange them")
    commission = {**defaults, **entry}["commission"]
    if commission["model"] == "none" and commission.get("cost"):
        found = f"model none has the cost {commission['cost']}"
        yield Problem(f"{where}.commission", found, "name a model or drop the cost")
    if "where" in entry and "grid" not in entry:
        yield Problem(f"{where}.where", "there is no grid to filter", "add 'grid' or drop 'where'")


def entry_requests(
    name: str, entry: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[RunRequest]:
    """Yield the runs of one entry, one per combination of its grid.

    Args:
        name: Name of the entry.
        entry: The entry with what it inherits; its keys have been checked.
        defaults: The config's section `defaults`, filled in.

    Raises:
        ValueError: If its condition cannot be read, or lets no combination pass.
    """
    settings = _settings({**defaults, **entry})
    symbols = entry.get("symbols", "all")
    grid = entry.get("grid", {})
    combinations = list(expand_grid(entry.get("params", {}), grid, entry.get("where")))
    if not combinations:
        raise ValueError(f"where {entry.get('where')!r} lets no combination of the grid pass")
    for params in combinations:
        suffix = ",".join(f"{key}={params[key]}" for key in grid)
        yield RunRequest(
            name=f"{name}/{suffix}" if grid else name,
            entry=name,
            strategy=entry["strategy"],
            bundle=entry["bundle"],
            symbols=None if symbols == "all" else tuple(symbols),
            start=date.fromisoformat(entry["start"]),
            end=date.fromisoformat(entry["end"]),
            params=params,
            settings=settings,
        )


def _settings(values: Mapping[str, Any]) -> RunSettings:
    commission = values["commission"]
    return RunSettings(
        engine=values["engine"],
        ledger=values["ledger"],
        fill=values["fill"],
        size_at=values["size_at"],
        shares=values["shares"],
        cash_policy=values["cash_policy"],
        capital_base=Decimal(str(values["capital_base"])),
        commission_model=commission["model"],
        commission_cost=Decimal(str(commission.get("cost", 0))),
        slippage_model=values["slippage"]["model"],
        benchmark=values["benchmark"],
    )


def _bundle_problems(name: str, values: Mapping[str, Any], source: str) -> Iterator[Problem]:
    where = f"{source}: bundles.{name}"
    adapter = values["adapter"]
    if adapter == "csv" and "path" not in values:
        yield Problem(where, "a csv bundle has no 'path'", "name the folder or file of its source")
    if adapter == "synthetic" and "path" in values:
        yield Problem(f"{where}.path", "a synthetic bundle reads no files", "drop 'path'")
    for other, options in ADAPTERS.items():
        if other != adapter:
            for key in sorted(options & set(values)):
                remedy = f"drop it, or use adapter {other!r}"
                yield Problem(f"{where}.{key}", f"{adapter!r} bundles have no such option", remedy)
    if adapter == "synthetic":
        for key in sorted(ADAPTERS[adapter] - set(values)):
            text = load_schema()["$defs"]["bundle"]["properties"][key]["description"]
            yield Problem(where, f"the key {key!r} is missing", f"add it: {text}")
