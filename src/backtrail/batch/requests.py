"""From batch entries to run requests: `extends`, defaults, grids, and checks between keys."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from backtrail.batch.config import load_schema
from backtrail.batch.grid import expand_grid, grid_values
from backtrail.batch.where import Condition
from backtrail.data.bundles import ADAPTERS
from backtrail.errors import Problem

__all__ = ["Lineage", "RunRequest", "RunSettings", "expand_batch"]


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
class Lineage:
    """An entry and those it extends, nearest first, each with the keys it sets itself.

    Parameters and axes of grids are keys, too: `params.fast`, `grid.fast`.
    """

    entries: tuple[tuple[str, frozenset[str]], ...]

    def origin(self, *keys: str) -> str:
        """Return the entry in which a mistake stands that some keys make together.

        It is the nearest entry that sets one of them: whatever that entry extends has another
        combination, whatever extends that entry has the same. Keys that none sets are missing
        from the last one.
        """
        return next(
            (name for name, own in self.entries if not own.isdisjoint(keys)), self.entries[-1][0]
        )

    def has(self, key: str) -> bool:
        """Say whether any of the entries sets a key."""
        return any(key in own for _, own in self.entries)


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run that a config asks for, before its code and data are known.

    Attributes:
        name: Entry name, with the grid's values behind a slash: `sma-grid/fast=5,slow=50`.
        entry: Name of the batch entry.
        symbols: Symbols as listed, or None for all of the bundle.
        params: Parameters as given, without the strategy's defaults.
        lineage: The entry and those it extends, nearest first, each with the keys it sets.
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
    lineage: Lineage

    def origin(self, *keys: str) -> str:
        """Return the entry in which a mistake of some keys stands; see `Lineage.origin`."""
        return self.lineage.origin(*keys)

    @property
    def has_grid(self) -> bool:
        """Whether the run is one combination of a grid."""
        return self.lineage.has("grid")


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
        lineage, found = _lineage(config["batch"], name, source)
        if lineage is not None:
            entry = _inherit(config["batch"], lineage)
            found = list(_entry_problems(config, lineage, entry, source))
            found = found or list(_grid_problems(lineage, entry, source))
            if not found:
                try:
                    requests.extend(_requests(lineage, entry, config["defaults"]))
                except ValueError as error:
                    where = f"{source}: batch.{lineage.origin('grid', 'where', 'params')}"
                    found = [Problem(where, str(error), "mend the grid or its condition")]
        problems.extend(found)
    for bundle, values in config["bundles"].items():
        problems.extend(_bundle_problems(bundle, values, source))
    # An entry that inherits a mistake would tell it again.
    return requests, list(dict.fromkeys(problems))


def _lineage(
    batch: Mapping[str, Any], name: str, source: str
) -> tuple[Lineage | None, list[Problem]]:
    chain: list[str] = []
    current: str | None = name
    while current is not None:
        where = f"{source}: batch.{chain[-1] if chain else name}.extends"
        if current in chain:
            return None, [_circle(batch, chain[chain.index(current) :], source)]
        if current not in batch:
            near = difflib.get_close_matches(current, batch, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"entries: {', '.join(batch)}"
            return None, [Problem(where, f"there is no entry {current!r}", remedy)]
        chain.append(current)
        current = batch[current].get("extends")
    return Lineage(tuple((item, frozenset(_keys(batch[item]))) for item in chain)), []


def _keys(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in entry:
        yield key
        if key in ("params", "grid"):
            yield from (f"{key}.{name}" for name in entry[key])


def _circle(batch: Mapping[str, Any], circle: list[str], source: str) -> Problem:
    """Return the one problem of a circle of entries, wherever it was entered."""
    first = min(circle, key=list(batch).index)
    start = circle.index(first)
    turned = [*circle[start:], *circle[:start], first]
    where = f"{source}: batch.{turned[-2]}.extends"
    return Problem(where, f"the chain {' -> '.join(turned)} never ends", "break the circle")


def _inherit(batch: Mapping[str, Any], lineage: Lineage) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for name, _ in reversed(lineage.entries):
        own = batch[name]
        params = {**entry.get("params", {}), **own.get("params", {})}
        # A grid is replaced as a whole: half of an inherited one would be a surprise.
        entry = {**entry, **own, "params": params}
    entry.pop("extends", None)
    return entry


def _entry_problems(
    config: Mapping[str, Any], lineage: Lineage, entry: Mapping[str, Any], source: str
) -> Iterator[Problem]:
    def where(*keys: str) -> str:
        return f"{source}: batch.{lineage.origin(*keys)}"

    for key in ("strategy", "bundle", "start", "end"):
        if key not in entry:
            yield Problem(
                where(key),
                f"the key {key!r} is missing",
                f"add {key!r} here or in an entry it extends",
            )
    bundle = entry.get("bundle")
    if bundle is not None and bundle not in config["bundles"]:
        near = difflib.get_close_matches(bundle, config["bundles"], n=1)
        known = ", ".join(config["bundles"])
        remedy = f"did you mean {near[0]!r}?" if near else f"bundles: {known}"
        yield Problem(f"{where('bundle')}.bundle", f"there is no bundle {bundle!r}", remedy)
    if "start" in entry and "end" in entry and entry["start"] > entry["end"]:
        found = f"start {entry['start']} is after end {entry['end']}"
        yield Problem(where("start", "end"), found, "exchange them")
    commission = {**config["defaults"], **entry}["commission"]
    if commission["model"] == "none" and commission.get("cost"):
        place = where("commission") if lineage.has("commission") else f"{source}: defaults"
        found = f"model none has the cost {commission['cost']}"
        yield Problem(f"{place}.commission", found, "name a model or drop the cost")
    if "where" in entry and "grid" not in entry:
        place = f"{where('where')}.where"
        yield Problem(place, "there is no grid to filter", "add 'grid' or drop 'where'")


def _grid_problems(lineage: Lineage, entry: Mapping[str, Any], source: str) -> Iterator[Problem]:
    """Yield what is wrong with an axis of the grid or with the condition, each taken alone."""
    for name, values in entry.get("grid", {}).items():
        try:
            grid_values(values)
        except ValueError as error:
            where = f"{source}: batch.{lineage.origin('grid')}.grid.{name}"
            yield Problem(where, str(error), "mend the axis")
    try:
        Condition(entry.get("where") or "True")
    except ValueError as error:
        where = f"{source}: batch.{lineage.origin('where')}.where"
        yield Problem(where, str(error), "mend the condition")


def _requests(
    lineage: Lineage, entry: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[RunRequest]:
    name = lineage.entries[0][0]
    settings = _settings({**defaults, **entry})
    symbols = entry.get("symbols", "all")
    grid = entry.get("grid", {})
    combinations = list(expand_grid(entry["params"], grid, entry.get("where")))
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
            lineage=lineage,
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
