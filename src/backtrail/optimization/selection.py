"""From the metrics of every set to the one that is selected: objective, constraints, ranks, front.

All functions take columns over the evaluated sets in the order of the space, and none depends on
how the sets were packed into jobs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.optimization.conditions import Condition
from backtrail.optimization.parameters import ParameterSet
from backtrail.optimization.search import Search

__all__ = [
    "PLATEAU_RULE",
    "Judgement",
    "Neighborhood",
    "admissible_sets",
    "judge_sets",
    "neighborhood_means",
    "objective_values",
    "pareto_front",
    "rank_sets",
    "set_places",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

PLATEAU_RULE = (
    "mean objective of the set and of every set that the space has at most one step away on each "
    "axis of numbers, with equal values on the other axes; a neighbor without an objective counts "
    "as the lowest of the search"
)


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """A set with those beside it.

    Attributes:
        means: Mean objective of each set's neighborhood, NaN where the set itself has none.
        counts: How many sets each neighborhood has, the set itself among them.
    """

    means: FloatArray
    counts: IntArray


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of every set.

    Attributes:
        objective: Of each set, NaN where it is undefined.
        admissible: Whether the set got through and meets every constraint.
        ranks: From 1 on; 0 for sets that cannot be selected.
        selected: Index of the selected set; None when none can be.
        neighborhood: With `select: plateau`.
    """

    objective: FloatArray
    admissible: BoolArray
    ranks: IntArray
    selected: int | None
    neighborhood: Neighborhood | None


def judge_sets(
    search: Search, numbers: IntArray, metrics: Mapping[str, FloatArray], failed: BoolArray
) -> Judgement:
    """Judge every evaluated set and select one.

    Args:
        search: What was searched.
        numbers: Number of each set in the space, ascending, shape (m,).
        metrics: A column for each metric, NaN where undefined.
        failed: Whether a set raised.
    """
    admissible = admissible_sets(metrics, failed, search.conditions)
    objective = objective_values(search.objective, metrics, admissible)
    neighborhood = None
    wanted = objective
    if search.select == "plateau":
        neighborhood = neighborhood_means(search.space, numbers, objective)
        wanted = neighborhood.means
    ranks = rank_sets(wanted, admissible)
    first = np.flatnonzero(ranks == 1)
    selected = int(first[0]) if len(first) else None
    return Judgement(objective, admissible, ranks, selected, neighborhood)


def admissible_sets(
    metrics: Mapping[str, FloatArray], failed: BoolArray, constraints: Sequence[Condition]
) -> BoolArray:
    """Say of each set whether it got through and meets every constraint.

    A constraint on a metric that is undefined for a set is not met.

    Args:
        metrics: Columns, NaN where undefined.
        failed: Whether a set raised.
        constraints: Conditions on metrics.
    """
    admissible: BoolArray = ~failed
    for constraint in constraints:
        names = sorted(constraint.names)
        columns = [metrics[name] for name in names]
        for column in columns:
            admissible &= ~np.isnan(column)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for index, values in enumerate(rows):
            if admissible[index]:
                admissible[index] = constraint.holds(dict(zip(names, values, strict=True)))
    return admissible


def objective_values(
    objective: str | Mapping[str, float],
    metrics: Mapping[str, FloatArray],
    admissible: BoolArray,
) -> FloatArray:
    """Return what is maximized, for every set; NaN where a metric that it needs is undefined.

    One metric is taken as it is. Of several, each is standardized first, by mean and standard
    deviation over the admissible sets that have all of them, so that weights compare metrics of
    different size; one that is the same for all of these sets counts nothing.

    Args:
        objective: A metric, or weights by metric; a negative weight wants a small value.
        metrics: Columns, NaN where undefined.
        admissible: Sets that mean and deviation are taken over.
    """
    if isinstance(objective, str):
        return metrics[objective].copy()
    columns = {name: metrics[name] for name in objective}
    known = np.all([np.isfinite(column) for column in columns.values()], axis=0)
    basis = known & admissible
    total = np.where(known, 0.0, np.nan)
    for name, weight in objective.items():
        column = columns[name]
        if not basis.any():
            continue
        deviation = float(column[basis].std())
        if deviation > 0.0:
            total[known] += weight * (column[known] - float(column[basis].mean())) / deviation
    return total


def rank_sets(objective: FloatArray, admissible: BoolArray) -> IntArray:
    """Return the rank of every set that can be selected, 1 for the greatest objective; else 0.

    Of equal values the set that comes first in the space has the lower rank.
    """
    ranks = np.zeros(len(objective), dtype=np.int64)
    able = np.flatnonzero(admissible & ~np.isnan(objective))
    order = able[np.argsort(-objective[able], kind="stable")]
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def set_places(space: ParameterSet, numbers: IntArray) -> list[IntArray]:
    """Return for each axis of a space the position of every set's value on it.

    Args:
        space: The space.
        numbers: Numbers of combinations.
    """
    places: list[IntArray] = []
    rest = numbers
    for definition in reversed(space.definitions):
        rest, place = np.divmod(rest, len(definition.values))
        places.append(place)
    return places[::-1]


def neighborhood_means(
    space: ParameterSet, numbers: IntArray, objective: FloatArray
) -> Neighborhood:
    """Return the mean objective of every set with its neighbors on the grid.

    Neighbors are the evaluated sets at most one step away on every axis of numbers, corners
    included, in the order of the values; on other axes they have the same value. At the border of
    the space there are fewer. A neighbor whose objective is undefined counts as the lowest one
    found: a plateau beside a cliff is none.

    Args:
        space: The space, searched by `grid`.
        numbers: Evaluated combinations, ascending.
        objective: Of each, NaN where undefined.
    """
    if np.isnan(objective).all():
        return Neighborhood(objective.copy(), np.zeros(len(objective), dtype=np.int64))
    shape = tuple(len(definition.values) for definition in space.definitions)
    sums, counts = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    sums.flat[numbers] = np.where(np.isnan(objective), np.nanmin(objective), objective)
    counts.flat[numbers] = 1
    for axis, definition in enumerate(space.definitions):
        order = _order_of(definition.values)
        if order is not None:
            sums = _with_neighbors(sums, axis, order)
            counts = _with_neighbors(counts, axis, order)
    found = counts.flat[numbers]
    means = sums.flat[numbers] / found
    means[np.isnan(objective)] = np.nan
    return Neighborhood(means, found)


def _order_of(values: Sequence[Any]) -> IntArray | None:
    """Return the positions of an axis in the order of its numbers; None when it has others."""
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in values):
        return None
    return np.argsort(np.array(values, dtype=np.float64), kind="stable")


def _with_neighbors(values: npt.NDArray[Any], axis: int, order: IntArray) -> npt.NDArray[Any]:
    """Return for each place the sum over it and the places beside it along an axis."""
    moved = np.moveaxis(values, axis, 0)[order]
    total = moved.copy()
    total[1:] += moved[:-1]
    total[:-1] += moved[1:]
    restored = np.empty_like(total)
    restored[order] = total
    return np.moveaxis(restored, 0, axis)


def pareto_front(cagr: FloatArray, max_drawdown: FloatArray, admissible: BoolArray) -> IntArray:
    """Return the sets that no other beats in growth without a deeper drawdown.

    Args:
        cagr: Greater is better.
        max_drawdown: Zero or negative, so that greater is better, too.
        admissible: Sets that are looked at.

    Returns:
        Indices, the greatest growth first; of sets equal in both the first one.
    """
    able = np.flatnonzero(admissible & ~np.isnan(cagr) & ~np.isnan(max_drawdown))
    order = able[np.lexsort((able, -max_drawdown[able], -cagr[able]))]
    before = np.concatenate(([-np.inf], np.maximum.accumulate(max_drawdown[order])))[: len(order)]
    front: IntArray = order[max_drawdown[order] > before]
    return front
