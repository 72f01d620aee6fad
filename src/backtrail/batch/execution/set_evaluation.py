"""What the child process of a search does: evaluate parameter sets, hand back columns.

It imports Numba, and compiles or loads the kernel, so it is imported in that child alone, and
before the child's memory is limited.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

import numpy as np

from backtrail.batch.execution.evaluation import calendar_sessions, engine_config
from backtrail.engine import Bars
from backtrail.engine.strategy import Strategy
from backtrail.optimization.kernel import STATE_SIZE, find_changes, simulate_block
from backtrail.optimization.search import SWEEP_METRICS, Search
from backtrail.optimization.sweep import Sweep

__all__ = ["evaluate_sets", "load_kernel"]

_BLOCK: Final = 4096  # sets that are looked at together; memory does not grow with their number


def load_kernel() -> None:
    """Compile the kernel, or load what was compiled before, by one set on three bars."""
    prices, none = np.ones((1, 3)), np.zeros((1, 3))
    rows, columns, values = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4)
    kinds: tuple[Any, ...] = (np.float64, np.bool_)
    for kind in kinds:
        find_changes(np.ones((3, 1), dtype=kind), rows, columns, values, 0)
    axes = np.zeros(0, np.int64), np.zeros(1, np.int64)
    states = np.empty((1, STATE_SIZE))
    for curves in (np.empty((1, 0)), np.empty((1, 3))):
        simulate_block(
            np.array([0, 1]), rows, columns, values, curves, states,
            prices, prices, prices, prices, none, *axes, 0.0, 1.0, 1.0, False, 0,
        )  # fmt: skip


def evaluate_sets(
    strategy: Strategy,
    spec: Mapping[str, Any],
    places: Sequence[int],
    numbers: Sequence[int] | None,
    bars: Bars,
    *,
    seed: int,
    periods_per_year: float,
    attributes: Mapping[str, object] | None = None,
) -> dict[str, Sequence[Any]]:
    """Evaluate some sets of a search; one that fails is a row with its error.

    Args:
        strategy: From `load_strategy`.
        spec: `identity` and `run_key` of the run.
        places: First combination of a grid, and the one after the last.
        numbers: The combinations of a sample, in place of `places`.
        bars: Prices, in-sample.
        seed: Of the engine, as in the run of the selected set.
        periods_per_year: Bars per year, for annual metrics.
        attributes: Set on the context of a strategy in event form.

    Returns:
        `set`, the number of each combination, a column for each metric, NaN where undefined, and
        `error`.
    """
    search = Search.of(spec)
    sweep = Sweep(
        strategy,
        bars,
        engine_config(spec["identity"], seed),
        periods_per_year=periods_per_year,
        attributes=attributes,
        sessions=partial(calendar_sessions, bars),
    )
    chosen = iter(range(*places) if numbers is None else numbers)
    passing = _passing(search, chosen)
    columns: dict[str, Any] = {"set": array("q"), "error": []}
    columns |= {name: array("d") for name in SWEEP_METRICS}
    while block := list(islice(passing, _BLOCK)):
        result = sweep.evaluate([values for _, values in block])
        columns["set"].extend(number for number, _ in block)
        columns["error"].extend(result.errors)
        for name in SWEEP_METRICS:
            columns[name].frombytes(result.metrics[name].tobytes())
    return columns


def _passing(search: Search, numbers: Iterator[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number in numbers:
        values = search.space.combination(number)
        if search.space.holds(values):
            yield number, values
