"""From batch entries to run requests: `extends`, defaults, grids, and checks between keys."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

from backtrail.batch.planning.config import load_schema
from backtrail.batch.planning.costs import exact_settings, setting_problems
from backtrail.batch.planning.searches import (
    search_problems,
    search_settings,
    validate_settings,
)
from backtrail.data.bundles import (
    ADAPTERS,
    FILE_ADAPTERS,
    REQUIRED_OPTIONS,
    derivation_mistakes,
    source_names,
)
from backtrail.errors import Problem
from backtrail.optimization.conditions import Condition
from backtrail.optimization.parameters import ParameterSet, axis_values

__all__ = [
    "Lineage",
    "RunRequest",
    "RunSettings",
    "entry_problems",
    "entry_requests",
    "expand_batch",
]

_MOST_RUNS = 1_000_000


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How one run is executed; every field is part of its identity.

    Attributes:
        capital_base: Cash at the start, exact.
        commission: Its model and values, exact.
        slippage: Likewise.
        benchmark: Symbol to compare with.
        margin: Its limits, exact; empty without any.
        instruments: Tick and lot by symbol, exact; empty without any.
        risk_free_rate: What money without risk earns in a year, exact.
    """

    engine: str
    ledger: str
    fill: str
    size_at: str
    shares: str
    cash_policy: str
    capital_base: Decimal
    commission: Mapping[str, Any]
    slippage: Mapping[str, Any]
    benchmark: str | None
    margin: Mapping[str, Decimal] = field(default_factory=dict)
    instruments: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
    risk_free_rate: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Lineage:
    """An entry and those it extends, nearest first, each with the keys it sets itself.

    Parameters and axes of grids are keys, too: `params.fast`, `grid.fast`.
    """

    entries: tuple[tuple[str, frozenset[str]], ...]

    @classmethod
    def of(cls, entries: Mapping[str, Mapping[str, Any]]) -> "Lineage":
        """Return the lineage of entries by name, the extending one before the extended."""
        return cls(tuple((name, frozenset(_keys(entry))) for name, entry in entries.items()))

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
        functions: What of the file is the strategy, where that is not found by name: qualified
            names under `initialize`, `handle_data` and `analyze`, or one under `class`.
        search: What the run searches, as its identity says it; None for a plain run. Its `params`
            are then the fixed ones.
        validate: How the search is validated; None when it is not.
        tags: Labels, sorted; no part of what decides the run.
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
    functions: Mapping[str, str] | None = None
    search: Mapping[str, Any] | None = None
    validate: Mapping[str, Any] | None = None
    tags: tuple[str, ...] = ()

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
            found = [
                *entry_problems(config["defaults"], lineage, entry, source),
                *_bundle_name_problems(config, lineage, entry, source),
            ]
            found = found or list(_grid_problems(lineage, entry, source))
            if not found:
                try:
                    requests.extend(entry_requests(lineage, entry, config["defaults"]))
                except ValueError as error:
                    where = f"{source}: batch.{lineage.origin('grid', 'where', 'params')}"
                    found = [Problem(where, str(error), "mend the grid or its condition")]
        problems.extend(found)
    for bundle, values in config["bundles"].items():
        problems.extend(_bundle_problems(bundle, values, source))
        problems.extend(_parent_problems(bundle, config["bundles"], source))
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
    return Lineage.of({item: batch[item] for item in chain}), []


def _keys(entry: Mapping[str, Any]) -> Iterator[str]:
    for key in entry:
        yield key
        if key in ("params", "grid"):
            yield from (f"{key}.{name}" for name in entry[key])
        if key == "optimize" and entry[key] is not None:
            yield from (f"{key}.space.{name}" for name in entry[key]["space"])


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
    dropped = [key for key in ("optimize", "validate") if key in entry and entry[key] is None]
    return {key: value for key, value in entry.items() if key not in dropped}


def _bundle_name_problems(
    config: Mapping[str, Any], lineage: Lineage, entry: Mapping[str, Any], source: str
) -> Iterator[Problem]:
    bundle = entry.get("bundle")
    if bundle is not None and bundle not in config["bundles"]:
        near = difflib.get_close_matches(bundle, config["bundles"], n=1)
        known = ", ".join(config["bundles"])
        remedy = f"did you mean {near[0]!r}?" if near else f"bundles: {known}"
        where = f"{source}: batch.{lineage.origin('bundle')}.bundle"
        yield Problem(where, f"there is no bundle {bundle!r}", remedy)


def entry_problems(
    defaults: Mapping[str, Any], lineage: Lineage, entry: Mapping[str, Any], source: str
) -> Iterator[Problem]:
    """Yield what is wrong between the keys of one entry.

    Args:
        defaults: The config's section `defaults`, filled in.
        lineage: The entry and those it extends.
        entry: The entry with what it inherits.
        source: The file name that problems carry.
    """

    def where(*keys: str) -> str:
        return f"{source}: batch.{lineage.origin(*keys)}"

    for key in ("strategy", "bundle", "start", "end"):
        if key not in entry:
            yield Problem(
                where(key),
                f"the key {key!r} is missing",
                f"add {key!r} here or in an entry it extends",
            )
    if "start" in entry and "end" in entry and entry["start"] > entry["end"]:
        found = f"start {entry['start']} is after end {entry['end']}"
        yield Problem(where("start", "end"), found, "exchange them")
    for key, found, remedy in setting_problems({**defaults, **entry}):
        place = where(key) if lineage.has(key) else f"{source}: defaults"
        yield Problem(f"{place}.{key}", found, remedy)
    if "where" in entry and "grid" not in entry and "optimize" not in entry:
        place = f"{where('where')}.where"
        remedy = "add 'grid' or 'optimize', or drop 'where'"
        yield Problem(place, "there is no grid to filter", remedy)
    benchmark = entry.get("benchmark", defaults.get("benchmark"))
    yield from search_problems(lineage, entry, benchmark, source)


def _grid_problems(lineage: Lineage, entry: Mapping[str, Any], source: str) -> Iterator[Problem]:
    """Yield what is wrong with an axis of the grid or with the condition, each taken alone."""
    for name, values in entry.get("grid", {}).items():
        try:
            axis_values(values)
        except ValueError as error:
            where = f"{source}: batch.{lineage.origin('grid')}.grid.{name}"
            yield Problem(where, str(error), "mend the axis")
    try:
        Condition(entry.get("where") or "True")
    except ValueError as error:
        where = f"{source}: batch.{lineage.origin('where')}.where"
        yield Problem(where, str(error), "mend the condition")


def entry_requests(
    lineage: Lineage, entry: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[RunRequest]:
    """Yield the runs of one entry: one per combination of its grid, or one that searches them.

    Args:
        lineage: The entry and those it extends.
        entry: The entry with what it inherits; its keys have been checked.
        defaults: The config's section `defaults`, filled in.

    Raises:
        ValueError: If its condition cannot be read, or lets no combination pass.
    """
    name = lineage.entries[0][0]
    symbols, params = entry.get("symbols", "all"), entry.get("params", {})
    request = RunRequest(
        name=name,
        entry=name,
        strategy=entry["strategy"],
        bundle=entry["bundle"],
        symbols=None if symbols == "all" else tuple(symbols),
        start=date.fromisoformat(entry["start"]),
        end=date.fromisoformat(entry["end"]),
        params=params,
        settings=_settings({**defaults, **entry}),
        lineage=lineage,
        tags=tuple(sorted(entry.get("tags", defaults["tags"]))),
    )
    search = search_settings(entry)
    if search is not None:
        searched = {item["name"] for item in search["space"]}
        fixed = {key: value for key, value in params.items() if key not in searched}
        yield replace(request, params=fixed, search=search, validate=validate_settings(entry))
        return
    grid = entry.get("grid", {})
    for combination in _combinations(grid, entry.get("where"), params):
        suffix = ",".join(f"{key}={combination[key]}" for key in grid)
        yield replace(request, name=f"{name}/{suffix}" if grid else name, params=combination)


def _combinations(
    grid: Mapping[str, Any], where: str | None, params: Mapping[str, Any]
) -> list[dict[str, Any]]:
    space = ParameterSet.from_grid(grid, where=where, fixed=params)
    if space.size > _MOST_RUNS:
        raise ValueError(
            f"{space.size:,} combinations are more than a batch can hold ({_MOST_RUNS:,}); "
            "take larger steps, or search them inside one run by 'optimize'"
        )
    combinations = list(space.generate_combinations())
    if not combinations:
        raise ValueError(f"where {where!r} lets no combination of the grid pass")
    return combinations


def _settings(values: Mapping[str, Any]) -> RunSettings:
    return RunSettings(
        engine=values["engine"],
        ledger=values["ledger"],
        fill=values["fill"],
        size_at=values["size_at"],
        shares=values["shares"],
        cash_policy=values["cash_policy"],
        capital_base=Decimal(str(values["capital_base"])),
        benchmark=values["benchmark"],
        risk_free_rate=Decimal(str(values["risk_free_rate"])),
        **exact_settings(values),
    )


def _parent_problems(
    name: str, bundles: Mapping[str, Mapping[str, Any]], source: str
) -> Iterator[Problem]:
    """Yield what is wrong with the bundles that another one is to be made of."""
    values = bundles[name]
    if values["adapter"] != "bundle":
        return
    where = f"{source}: bundles.{name}.source"
    names = source_names(values)
    for parent in names:
        if parent not in bundles:
            near = difflib.get_close_matches(parent, bundles, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"bundles: {', '.join(bundles)}"
            yield Problem(where, f"there is no bundle {parent!r}", remedy)
    circle = _circle_of_bundles(bundles, (name,))
    if circle:
        remedy = "let one of them have a source of its own"
        yield Problem(where, f"{' of '.join(circle)} goes round in a circle", remedy)
    elif set(names) <= bundles.keys():
        parents = {parent: bundles[parent] for parent in names}
        for key, found, remedy in derivation_mistakes(values, parents):
            yield Problem(f"{source}: bundles.{name}.{key}", found, remedy)


def _circle_of_bundles(
    bundles: Mapping[str, Mapping[str, Any]], seen: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the bundles from the first of `seen` on to one that is met twice; empty without."""
    values = bundles.get(seen[-1], {})
    if values.get("adapter") != "bundle":
        return ()
    for parent in source_names(values):
        if parent in seen:
            return (*seen, parent)
        circle = _circle_of_bundles(bundles, (*seen, parent))
        if circle:
            return circle
    return ()


def _bundle_problems(name: str, values: Mapping[str, Any], source: str) -> Iterator[Problem]:
    where = f"{source}: bundles.{name}"
    adapter = values["adapter"]
    if adapter in FILE_ADAPTERS and "path" not in values:
        found = f"a {adapter} bundle has no 'path'"
        yield Problem(where, found, "name the folder or file of its source")
    if adapter not in FILE_ADAPTERS and "path" in values:
        yield Problem(f"{where}.path", f"a {adapter} bundle reads no files", "drop 'path'")
    for key in sorted(set().union(*ADAPTERS.values()) & set(values) - ADAPTERS[adapter]):
        others = " or ".join(repr(name) for name, keys in ADAPTERS.items() if key in keys)
        found = f"{adapter!r} bundles have no such option"
        yield Problem(f"{where}.{key}", found, f"drop it, or use adapter {others}")
    for key in sorted(REQUIRED_OPTIONS[adapter] - set(values)):
        text = load_schema()["$defs"]["bundle"]["properties"][key]["description"]
        yield Problem(where, f"the key {key!r} is missing", f"add it: {text}")
