"""What an entry's `optimize` and `validate` mean, and what is wrong between their keys."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from backtrail.batch.planning.config import entry_defaults
from backtrail.errors import Problem
from backtrail.optimization.conditions import Condition
from backtrail.optimization.parameters import ParameterSet, axis_values
from backtrail.optimization.sampling import MOST_SOBOL_AXES
from backtrail.optimization.search import SWEEP_METRICS

__all__ = [
    "MOST_SETS",
    "is_mistake",
    "is_single_mistake",
    "metric_problems",
    "probed_params",
    "search_problems",
    "search_settings",
    "validate_settings",
]

MOST_SETS: Final = 10_000_000
_LOOKED_THROUGH: Final = 200_000  # combinations, for one that the condition lets pass
_OF_ONE_SET: Final = frozenset({"bias", "costs", "monte_carlo", "gates"})
_PROBES_PER_AXIS: Final = 64
_PROBED_SETS: Final = 16
# What `params_from` says of parameters one by one, whatever values the others have.
_SINGLE: Final = re.compile(r"strategy \S+(: | takes no parameters)")


class Origins(Protocol):
    """Which entry of a chain of `extends` a mistake stands in; see `Lineage`."""

    def origin(self, *keys: str) -> str:
        """Return the entry in which a mistake of some keys stands."""
        ...


def search_settings(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what of a search enters the identity of its run; None for an entry without one.

    An entry that is validated and searches nothing is the search of its one set: each parameter
    that it names is an axis of one value.

    Args:
        entry: An entry whose keys have been checked.
    """
    if entry.get("optimize") is None and entry.get("validate") is None:
        return None
    own = {"space": {name: [value] for name, value in entry.get("params", {}).items()}}
    values = entry_defaults("optimize", entry.get("optimize") or own)
    objective = values["objective"]
    return {
        "space": [
            {"name": name, "values": dict(axis) if isinstance(axis, Mapping) else list(axis)}
            for name, axis in values["space"].items()
        ],
        "where": entry.get("where"),
        "method": values["method"],
        "samples": values.get("samples"),
        "objective": objective if isinstance(objective, str) else dict(objective),
        "constraints": list(values["constraints"]),
        "select": values["select"],
    }


def validate_settings(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is to be validated, with defaults; None for an entry that asks for nothing."""
    if entry.get("validate") is None:
        return None
    return entry_defaults("validate", entry["validate"])


def search_problems(
    lineage: Origins, entry: Mapping[str, Any], benchmark: str | None, source: str
) -> Iterator[Problem]:
    """Yield what is wrong between the keys of a search and of its validation.

    Args:
        lineage: Of the entry, to say where a mistake stands.
        entry: The entry with what it inherits.
        benchmark: That of the entry or of the defaults.
        source: The file name that problems carry.
    """
    if entry.get("optimize") is not None:
        where = f"{source}: batch.{lineage.origin('optimize')}.optimize"
        yield from _optimize_problems(lineage, entry, where, source)
    elif entry.get("validate") is not None:
        found = list(_single_problems(lineage, entry, source))
        yield from found
        if found:
            return
    if entry.get("validate") is not None:
        yield from _validate_problems(lineage, entry, benchmark, source)


def _single_problems(lineage: Origins, entry: Mapping[str, Any], source: str) -> Iterator[Problem]:
    """Yield why an entry that searches nothing cannot be validated as it asks."""
    if "grid" in entry:
        yield Problem(
            f"{source}: batch.{lineage.origin('grid', 'validate', 'optimize')}",
            "'grid' and 'validate' stand together",
            "a grid makes a run of every combination, and only a search of them is validated: move "
            "the axes to optimize.space, or write 'validate: null' to drop an inherited one",
        )
    where = f"{source}: batch.{lineage.origin('validate', 'optimize')}.validate"
    for key in sorted(entry["validate"].keys() - _OF_ONE_SET):
        yield Problem(
            f"{where}.{key}",
            "there is no search to validate",
            "add 'optimize', or drop it: of a single set 'bias', 'costs' and 'monte_carlo' can be "
            "asked",
        )
    if not entry["validate"].keys() - {"gates"}:
        yield Problem(where, "nothing is asked", "add 'bias', 'costs' or 'monte_carlo'")


def _optimize_problems(
    lineage: Origins, entry: Mapping[str, Any], where: str, source: str
) -> Iterator[Problem]:
    optimize = entry["optimize"]
    if "grid" in entry:
        yield Problem(
            f"{source}: batch.{lineage.origin('grid', 'optimize')}",
            "'grid' and 'optimize' stand together",
            "a grid makes a run of every combination, 'optimize' one run of all: move the axes to "
            "optimize.space, or write 'optimize: null' to drop an inherited one",
        )
        return
    method, samples = optimize.get("method", "grid"), optimize.get("samples")
    if method == "grid" and samples is not None:
        remedy = "drop it, or use method random or sobol"
        yield Problem(f"{where}.samples", "a grid takes every combination", remedy)
    if method != "grid" and samples is None:
        yield Problem(where, "the key 'samples' is missing", f"say how many sets {method} takes")
    if method != "grid" and optimize.get("select") == "plateau":
        found = f"a sample by {method} has no neighbors to take a mean of"
        yield Problem(f"{where}.select", found, "use method grid, or select best")
    if method == "sobol" and len(optimize["space"]) > MOST_SOBOL_AXES:
        found = f"{len(optimize['space'])} axes are more than sobol has ({MOST_SOBOL_AXES})"
        yield Problem(f"{where}.method", found, "use method random")
    yield from _metric_problems(optimize, where)
    axes = list(_axis_problems(optimize, where))
    yield from axes or _space_problems(lineage, entry, where, source)


def _metric_problems(optimize: Mapping[str, Any], where: str) -> Iterator[Problem]:
    objective = optimize.get("objective", SWEEP_METRICS[3])
    if isinstance(objective, Mapping) and not any(objective.values()):
        remedy = "give at least one metric a weight"
        yield Problem(f"{where}.objective", "every weight is 0", remedy)
    for index, text in enumerate(optimize.get("constraints", ())):
        place = f"{where}.constraints[{index}]"
        try:
            condition = Condition(text)
        except ValueError as error:
            yield Problem(place, str(error), "mend the condition")
            continue
        if not condition.names:
            remedy = "write one such as total_trades >= 30, or drop it"
            yield Problem(place, f"{text!r} names no metric", remedy)


def metric_problems(
    search: Mapping[str, Any] | None, own: Sequence[str], where: str
) -> Iterator[Problem]:
    """Yield the metrics of a search that neither every set has nor the strategy defines.

    Args:
        search: The identity's `search`; None for a plain run.
        own: Names of the strategy's own metrics, which only its file knows.
        where: The place of `optimize` in the config.
    """
    if search is None:
        return
    known = (*SWEEP_METRICS, *own)
    objective = search["objective"]
    named = [("objective", [objective] if isinstance(objective, str) else list(objective))]
    for index, text in enumerate(search["constraints"]):
        named.append((f"constraints[{index}]", sorted(Condition(text).names)))
    for place, names in named:
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                remedy = f"did you mean {near[0]!r}?" if near else f"metrics: {', '.join(known)}"
                found = f"there is no metric {name!r} of parameter sets"
                yield Problem(f"{where}.{place}", found, remedy)


def _axis_problems(optimize: Mapping[str, Any], where: str) -> Iterator[Problem]:
    for name, values in optimize["space"].items():
        try:
            axis_values(values)
        except ValueError as error:
            yield Problem(f"{where}.space.{name}", str(error), "mend the axis")


def _space_problems(
    lineage: Origins, entry: Mapping[str, Any], where: str, source: str
) -> Iterator[Problem]:
    place = f"{source}: batch.{lineage.origin('where', 'optimize')}.where"
    optimize = entry["optimize"]
    try:
        space = ParameterSet.from_grid(
            optimize["space"], where=entry.get("where"), fixed=entry.get("params", {})
        )
        passing = space.generate_combinations(stop=_LOOKED_THROUGH)
        has_one = next(passing, None) is not None or space.size > _LOOKED_THROUGH
    except ValueError as error:
        yield Problem(place, str(error), "mend the condition")
        return
    if not has_one:
        found = f"where {entry['where']!r} lets no combination of the space pass"
        yield Problem(place, found, "mend the space or its condition")
    if optimize.get("method", "grid") == "grid" and space.size > MOST_SETS:
        found = f"{space.size:,} combinations are more than a grid can have ({MOST_SETS:,})"
        yield Problem(f"{where}.space", found, "take larger steps, or method random or sobol")


def _validate_problems(
    lineage: Origins, entry: Mapping[str, Any], benchmark: str | None, source: str
) -> Iterator[Problem]:
    validate = entry["validate"]
    where = f"{source}: batch.{lineage.origin('validate')}.validate"
    start = validate.get("holdout", {}).get("start")
    first, last = entry.get("start", ""), entry.get("end", "9999-12-31")
    if start is not None and not first < start <= last:
        place = f"{source}: batch.{lineage.origin('validate', 'start', 'end')}.validate"
        found = f"{start} is not after the entry's start {first} and up to its end {last}"
        yield Problem(f"{place}.holdout.start", found, "name a date between them")
    folds = validate.get("walk_forward")
    if folds is not None:
        yield from _fold_problems(folds, f"{where}.walk_forward")
    against = validate.get("overfitting", {}).get("against", "benchmark")
    if "overfitting" in validate and against == "benchmark" and benchmark is None:
        yield Problem(
            f"{where}.overfitting.against",
            "there is no benchmark to compare with",
            "give the entry a 'benchmark', or compare with cash",
        )


def _fold_problems(folds: Mapping[str, Any], where: str) -> Iterator[Problem]:
    left = folds["in_sample"] - folds.get("purge", 0)
    if left < 2:
        found = f"in_sample {folds['in_sample']} less purge {folds['purge']} leaves {left} bars"
        yield Problem(f"{where}.purge", found, "leave at least 2")
    step = folds.get("step")
    if step is not None and step < folds["out_of_sample"]:
        found = f"step {step} is less than out_of_sample {folds['out_of_sample']}"
        remedy = "bars would be tested twice: take a step of at least out_of_sample"
        yield Problem(f"{where}.step", found, remedy)


def probed_params(
    params: Mapping[str, Any], search: Mapping[str, Any] | None
) -> list[Mapping[str, Any]]:
    """Return the parameter sets that show what a strategy thinks of a run's parameters.

    Of a plain run it is its own. Of a search first some whole sets, of which one tells what the
    other parameters are by default; then each axis alone, with its values or some of many.

    Args:
        params: Those that are given; of a search, the fixed ones.
        search: The identity's `search`; None for a plain run.
    """
    if search is None:
        return [params]
    axes = {item["name"]: item["values"] for item in search["space"]}
    space = ParameterSet.from_grid(axes, where=search["where"], fixed=params)
    whole = space.generate_combinations(stop=_LOOKED_THROUGH)
    probes: list[Mapping[str, Any]] = list(islice(whole, _PROBED_SETS))
    for definition in space.definitions:
        values = definition.values
        stride = max(1, -(-len(values) // _PROBES_PER_AXIS)) if definition.step is not None else 1
        shown = dict.fromkeys([*range(0, len(values), stride), len(values) - 1])
        probes += [{**params, definition.name: values[index]} for index in shown]
    return probes


def is_mistake(error: str, params: Mapping[str, Any], search: Mapping[str, Any] | None) -> bool:
    """Say whether what a strategy thinks of probed parameters is a mistake of the config.

    Of a search of several sets only what is wrong with one axis is: a whole set that is refused is
    a row with its error, and what else is wrong with it is told of its axes.

    Args:
        error: What the strategy says.
        params: A set of `probed_params`.
        search: As there.
    """
    if search is None:
        return True
    names = {item["name"] for item in search["space"]}
    is_whole = names <= params.keys()
    axes = [item["values"] for item in search["space"]]
    if is_whole and all(isinstance(axis, list) and len(axis) == 1 for axis in axes):
        return True  # no other set could get through
    return is_single_mistake(error) and not (is_whole and len(names) > 1)


def is_single_mistake(error: str) -> bool:
    """Say whether a parameter is wrong by itself, and not beside the values of others."""
    return _SINGLE.match(error) is not None
