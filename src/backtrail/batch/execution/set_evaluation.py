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
import numpy.typing as npt

from backtrail.batch.execution.evaluation import calendar_sessions, engine_config
from backtrail.engine import Bars
from backtrail.engine.curve import benchmark_returns
from backtrail.engine.market import Market
from backtrail.engine.strategy import Strategy
from backtrail.metrics import risk_free_of, risk_free_per_period
from backtrail.optimization.changes import find_changes, find_flips
from backtrail.optimization.kernel import CLIP, OPENS, STATE_SIZE, Terms, simulate_block
from backtrail.optimization.search import Search
from backtrail.optimization.sweep import Sweep
from backtrail.validation.streaming import SearchPart, SearchStatistics

__all__ = ["default_block", "evaluate_sets", "load_kernel", "set_curves", "without_ruin"]

_CURVE_POINTS: Final = 400  # bars of a kept equity curve: about what a screen can show
_BLOCK: Final = 4096  # sets that are looked at together; memory does not grow with their number
_MOST_RETURNS: Final = 1 << 22  # values of the return matrix that is kept for the statistics
_COPIES: Final = 16  # of that matrix that fit into the memory of a run, with room to spare


def load_kernel() -> None:
    """Compile the kernel, or load what was compiled before, by one set on three bars."""
    rows, columns, values = np.empty(4, np.int64), np.empty(4, np.int64), np.empty(4)
    find_changes(np.ones((3, 1)), rows, columns, values, 0)
    find_flips(np.ones(3, dtype=np.uint8), rows, columns, values, 0)
    prices, actions, order = np.ones((4, 1, 3)), np.zeros(0, np.int64), np.zeros(1, np.int64)
    terms = Terms(0.0, 1.0, 1.0, False, CLIP, OPENS, 0.0)
    starts, states = np.array([0, 1]), np.empty((1, STATE_SIZE))
    for curves in (np.empty((1, 0)), np.empty((1, 3))):
        simulate_block(starts, rows, columns, values, curves, states, prices, actions, order, terms)


def evaluate_sets(
    strategy: Strategy,
    spec: Mapping[str, Any],
    places: Sequence[int],
    numbers: Sequence[int] | None,
    bars: Bars,
    benchmark_bars: Bars | None,
    *,
    seed: int,
    periods_per_year: float,
    memory_bytes: int,
    attributes: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Evaluate some sets of a search; one that fails is a row with its error.

    Args:
        strategy: From `load_strategy`.
        spec: `identity` and `run_key` of the run.
        places: First combination of a grid, and the one after the last.
        numbers: The combinations of a sample, in place of `places`.
        bars: Prices, in-sample.
        benchmark_bars: Prices of a benchmark outside the universe.
        seed: Of the engine, as in the run of the selected set.
        periods_per_year: Bars per year, for annual metrics.
        memory_bytes: Memory that this may take.
        attributes: Set on the context of a strategy in event form.

    Returns:
        `set`, the number of each combination, a column for each metric, NaN where undefined, and
        `error`; with a test of overfitting also `statistics`, arrays of what the sets leave behind
        for it, as `SearchPart` gives them.
    """
    search = Search.of(spec)
    sweep = _sweep(
        strategy, spec, bars, seed, periods_per_year, attributes, benchmark_bars=benchmark_bars
    )
    chosen = iter(range(*places) if numbers is None else numbers)
    passing = _passing(search, chosen)
    # Ratios and tests are of what the sets earn above the risk-free rate.
    riskless = risk_free_per_period(risk_free_of(spec["identity"]), periods_per_year)
    statistics = _statistics(spec["identity"], search, bars, benchmark_bars, riskless)
    size = _BLOCK
    left_out = spec["identity"].get("validate", {}).get("overfitting", {}).get("warm_up", 0)
    if statistics is not None:
        most = min(_MOST_RETURNS, memory_bytes // (8 * _COPIES))
        size = max(1, min(_BLOCK, most // len(bars.timestamps)))
    columns: dict[str, Any] = {"set": array("q"), "error": []}
    columns |= {name: array("d") for name in sweep.metric_names}
    parts = []
    while block := list(islice(passing, size)):
        numbered = np.array([number for number, _ in block], dtype=np.int64)
        wanted = [values for _, values in block]
        result = sweep.evaluate(wanted, keep_returns=statistics is not None)
        columns["set"].frombytes(numbered.tobytes())
        columns["error"].extend(result.errors)
        for name in sweep.metric_names:
            columns[name].frombytes(result.metrics[name].tobytes())
        if statistics is not None and result.returns is not None:
            through = np.array([error is None for error in result.errors])
            returns = without_ruin(result.returns[through])[:, left_out:] - riskless
            parts.append(statistics.measure(returns, numbered[through]))
    if statistics is not None:
        none = np.zeros((0, len(bars.timestamps) - 1 - left_out))
        parts = parts or [statistics.measure(none)]
        columns["statistics"] = SearchPart.merge(parts).arrays()
    return columns


def _sweep(
    strategy: Strategy,
    spec: Mapping[str, Any],
    bars: Bars,
    seed: int,
    periods_per_year: float,
    attributes: Mapping[str, object] | None,
    *,
    benchmark_bars: Bars | None = None,
) -> Sweep:
    benchmark = spec["identity"].get("benchmark")
    is_known = benchmark_bars is not None or benchmark in bars.symbols
    return Sweep(
        strategy,
        bars,
        engine_config(spec["identity"], seed),
        periods_per_year=periods_per_year,
        risk_free=risk_free_of(spec["identity"]),
        attributes=attributes,
        sessions=partial(calendar_sessions, bars),
        # Curves are asked for without the prices of a benchmark outside; nobody looks at metrics.
        benchmark=benchmark if is_known else None,
        benchmark_bars=benchmark_bars,
        compiled=True,  # in every chunk, so that no number depends on how sets are divided
    )


def set_curves(
    strategy: Strategy,
    spec: Mapping[str, Any],
    numbers: Sequence[int],
    bars: Bars,
    *,
    seed: int,
    periods_per_year: float,
    attributes: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Return the equity of some sets of a search, at up to 400 bars from the first to the last.

    Args:
        strategy: From `load_strategy`.
        spec: `identity` and `run_key` of the run.
        numbers: The sets; they got through before.
        bars: Prices, in-sample.
        seed: Of the engine, as in the run of the selected set.
        periods_per_year: Bars per year.
        attributes: Set on the context of a strategy in event form.

    Returns:
        `set`, `timestamp` and `equity`, the growth of 1, one set after another.
    """
    space = Search.of(spec).space
    sweep = _sweep(strategy, spec, bars, seed, periods_per_year, attributes)
    count = len(bars.timestamps)
    shown = np.unique(np.linspace(0, count - 1, min(count, _CURVE_POINTS)).round().astype(np.int64))
    curves = []
    for number in numbers:  # one by one: a history may be long
        result = sweep.evaluate([space.combination(number)], keep_returns=True)
        assert result.returns is not None
        growth = np.cumprod(1.0 + without_ruin(result.returns)[0])
        curves.append(np.concatenate([[1.0], growth])[shown])
    return {
        "set": np.repeat(np.array(numbers, dtype=np.int64), len(shown)),
        "timestamp": np.tile(bars.timestamps[shown], len(numbers)),
        "equity": np.concatenate(curves),
    }


def _statistics(
    identity: Mapping[str, Any],
    search: Search,
    bars: Bars,
    benchmark_bars: Bars | None,
    riskless: float,
) -> SearchStatistics | None:
    """Return what measures the sets' returns above the risk-free one, equal in all chunks, or None.

    Without a test there is nothing to measure.
    """
    asked = identity.get("validate", {}).get("overfitting")
    if asked is None:
        return None
    left_out = asked["warm_up"]
    count = len(bars.timestamps) - 1 - left_out
    against = np.zeros(count)
    if asked["against"] == "benchmark":
        market = Market(bars if benchmark_bars is None else benchmark_bars)
        held = benchmark_returns(market, identity["benchmark"], bars.timestamps)[1 + left_out :]
        against = np.nan_to_num(held, nan=0.0) - riskless  # before its first bar there is cash
    return SearchStatistics(
        against,
        blocks=asked["blocks"],
        block=asked["block"] or default_block(count),
        samples=asked["bootstraps"],
        seed=search.seed,
    )


def default_block(returns: int) -> int:
    """Return the mean length of resampled blocks for a history: the cube root of its length.

    It is the order at which the error of a block bootstrap is least (Hall, Horowitz and Jing 1995),
    and depends on nothing that chunks could differ in.
    """
    length: int = round(returns ** (1 / 3))
    return max(1, length)


def without_ruin(returns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return rows of returns in which an account that lost everything stays at nothing.

    The bar of its ruin has a return of -1, every later one 0.

    Args:
        returns: Per bar, one row per set.
    """
    over = np.logical_or.accumulate(~(returns > -1.0), axis=1)
    if not over.any():
        return returns
    kept = np.where(over, 0.0, returns)
    rows = np.flatnonzero(over.any(axis=1))
    kept[rows, over[rows].argmax(axis=1)] = -1.0
    return kept


def _passing(search: Search, numbers: Iterator[int]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number in numbers:
        values = search.space.combination(number)
        if search.space.holds(values):
            yield number, values
