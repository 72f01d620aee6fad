"""What validation does with the user's code: run it on parts, variants and copies of its history.

Like everything that imports the strategy it works in the child process of a run. Nothing here knows
a bar of the holdout: the child is not given any.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.batch.execution.evaluation import calendar_sessions, engine_config
from backtrail.batch.execution.set_evaluation import without_ruin
from backtrail.canonical import derive_seed
from backtrail.engine import Bars, RunResult, SignalBars, run_event, run_signal
from backtrail.engine.blame import is_of_strategy
from backtrail.engine.market import Market
from backtrail.engine.strategy import Strategy, params_from
from backtrail.metrics import risk_free_of, risk_free_per_period
from backtrail.optimization.search import Search
from backtrail.optimization.sweep import Sweep, SweepResult, lasting_weights
from backtrail.validation import Costs, shared_rows

__all__ = ["Laboratory", "VariantFailedError"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_LARGEST_BLOCK: Final = 1 << 21  # returns that are held at once


class VariantFailedError(Exception):
    """The strategy failed on a part or a variant of its history."""


class Laboratory:
    """A search run's strategy, its bars before the holdout, and the set that was selected.

    Args:
        strategy: From `load_strategy`.
        asked: The request: `identity` and `run_key` of the run, `params` of the selected set,
            `numbers` of a sample, `seed`, `periods_per_year` and `code_dir`.
        bars: Prices before the holdout.
        benchmark_bars: Prices of a benchmark outside the universe.
        attributes: Set on the context of a strategy in event form.
    """

    def __init__(
        self,
        strategy: Strategy,
        asked: Mapping[str, Any],
        bars: Bars,
        benchmark_bars: Bars | None,
        attributes: Mapping[str, object],
    ) -> None:
        self.strategy = strategy
        self.bars = bars
        self.benchmark_bars = benchmark_bars
        self.identity: Mapping[str, Any] = asked["identity"]
        self.options: Mapping[str, Any] = self.identity["validate"]
        self.search = Search.of(asked)
        self.params: dict[str, Any] = dict(asked["params"])
        self.periods = float(asked["periods_per_year"])
        self.risk_free = risk_free_of(self.identity)
        # What a bar earns without risk; ratios are of the returns above it.
        self.riskless = risk_free_per_period(self.risk_free, self.periods)
        self.config = engine_config(self.identity, asked["seed"])
        self._asked = asked
        self._attributes = attributes

    def is_of_strategy(self, error: Exception) -> bool:
        """Say whether the strategy failed: it raised, or did what no strategy may do."""
        return isinstance(error, VariantFailedError) or is_of_strategy(error)

    @property
    def metric(self) -> str:
        """What folds and variants are compared by: the objective, if it is a single metric."""
        objective = self.search.objective
        return objective if isinstance(objective, str) else "sharpe_ratio"

    @cached_property
    def numbers(self) -> IntArray:
        """Numbers of the sets that the search evaluates, in the order of the space."""
        space, numbers = self.search.space, self._asked["numbers"]
        drawn = range(space.size) if numbers is None else sorted(numbers)
        return np.array([n for n in drawn if space.holds(space.combination(n))], dtype=np.int64)

    def sets(self, numbers: Sequence[int] | IntArray) -> list[dict[str, Any]]:
        """Return the parameters of sets, without those that are fixed."""
        return [self.search.space.combination(int(number)) for number in numbers]

    def generator(self, purpose: str) -> np.random.Generator:
        """Return a source of chance that is the same whenever this run is validated."""
        return np.random.default_rng(self.seed(purpose))

    def seed(self, purpose: str) -> int:
        """Return the seed of such a source."""
        return derive_seed(
            int(self.identity["seed"]), self._asked["run_key"], f"validation {purpose}"
        )

    def sweep(self, bars: Bars, first: int = 0) -> Sweep:
        """Return a sweep over some bars, with the account from a row on."""
        return Sweep(
            self.strategy,
            bars,
            self.config,
            periods_per_year=self.periods,
            risk_free=self.risk_free,
            attributes=self._attributes,
            sessions=partial(calendar_sessions, bars),
            benchmark=self.identity["benchmark"],
            benchmark_bars=self.benchmark_bars,
            first=first,
            compiled=True,
        )

    def metrics(self, sweep: Sweep, numbers: IntArray) -> tuple[dict[str, FloatArray], BoolArray]:
        """Return the metrics of sets, NaN where undefined, and whether each failed."""
        found, failed = [], []
        for _, result in self.blocks(sweep, numbers, keep_returns=False):
            found.append(result.metrics)
            failed += [error is not None for error in result.errors]
        columns = {
            name: np.concatenate([metrics[name] for metrics in found])
            for name in sweep.metric_names
        }
        return columns, np.array(failed, dtype=np.bool_)

    def blocks(
        self, sweep: Sweep, numbers: IntArray, *, keep_returns: bool
    ) -> Iterator[tuple[IntArray, SweepResult]]:
        """Yield sets and what became of them, as many at a time as memory likes."""
        size = max(16, _LARGEST_BLOCK // len(sweep.bars.timestamps)) if keep_returns else 4096
        for first in range(0, len(numbers), size):
            block = numbers[first : first + size]
            yield block, sweep.evaluate(self.sets(block), keep_returns=keep_returns)

    def chosen(self, bars: Bars, first: int = 0) -> tuple[FloatArray, float | None]:
        """Return the returns per bar of the selected set on some bars, and its metric.

        Raises:
            VariantFailedError: If the strategy failed.
        """
        result = self.sweep(bars, first).evaluate([self.params], keep_returns=True)
        if result.errors[0] is not None:
            raise VariantFailedError(result.errors[0])
        assert result.returns is not None
        figure = float(result.metrics[self.metric][0])
        return without_ruin(result.returns)[0], None if np.isnan(figure) else figure

    def figures(self, sets: Sequence[Mapping[str, Any]]) -> tuple[FloatArray, int]:
        """Return the metric of parameter sets on all bars; those that failed only counted."""
        result = self.sweep(self.bars).evaluate(sets)
        passed = np.array([error is None for error in result.errors], dtype=bool)
        return result.metrics[self.metric][passed], int(np.count_nonzero(~passed))

    @cached_property
    def result(self) -> RunResult:
        """The engine's run of the selected set, beside the benchmark."""
        return self.run(self.bars, benchmark=self.identity["benchmark"])

    def run(
        self, bars: Bars, *, benchmark: str | None = None, costs: Costs | None = None
    ) -> RunResult:
        """Run the selected set on some bars by the engine itself, or at other costs."""
        others = self.benchmark_bars if benchmark is not None else None
        if self.strategy.gives_weights:
            config = self.config
            if costs is not None:
                config = replace(config, commission=costs[0], slippage=costs[1])
            return run_signal(
                self.strategy,
                bars,
                config,
                benchmark=benchmark,
                benchmark_bars=others,
                params=self.params,
            )
        return run_event(
            self.strategy,
            bars,
            self.config,
            benchmark=benchmark,
            benchmark_bars=others,
            params=self.params,
            attributes=self._attributes,
            sessions=partial(calendar_sessions, bars),
            costs=costs,
        )

    def decisions(self, bars: Bars) -> FloatArray:
        """Return what the selected set decides at each bar.

        In signal form and step form the weights; in event form, by symbol, how many orders it
        places, their amounts, limits and stops.
        """
        if self.strategy.gives_weights:
            return self.weights(bars)
        orders = self.run(bars).tables["orders"]
        rows = {int(at): row for row, at in enumerate(bars.timestamps)}
        found = np.zeros((len(bars.timestamps), 4 * len(bars.symbols)))
        for number, at in enumerate(orders["created_at"]):
            row, column = rows[int(at)], 4 * bars.symbols.index(orders["symbol"][number])
            found[row, column] += 1.0
            for place, name in enumerate(("amount", "limit_price", "stop_price"), 1):
                value = orders[name][number]
                found[row, column + place] += 0.0 if value is None else float(value)
        return found

    def weights(self, bars: Bars) -> FloatArray:
        """Return the target weights of the selected set, of a strategy that gives weights."""
        function = self.strategy.target_weights
        assert function is not None
        params = params_from(self.strategy, self.params)
        return lasting_weights(function(SignalBars(Market(bars)), params), bars, 0)

    def held(self, bars: Bars, result: RunResult) -> FloatArray:
        """Return the share of the account that each symbol is at each close, shape (n, k)."""
        curve, table = result.tables["backtest_results"], result.tables["positions"]
        rows = {int(at): row for row, at in enumerate(bars.timestamps)}
        quantity = np.full(bars.shape, np.nan)
        quantity[0] = 0.0
        for at, symbol, amount in zip(
            table["timestamp"], table["symbol"], table["quantity"], strict=True
        ):
            quantity[rows[int(at)], bars.symbols.index(symbol)] = float(amount)
        given = np.maximum.accumulate(
            np.where(np.isnan(quantity), 0, np.arange(len(quantity))[:, np.newaxis]), axis=0
        )
        lasting = np.take_along_axis(quantity, given, axis=0)
        market = Market(bars)
        marks = np.column_stack([market.mark_column(k) for k in range(len(bars.symbols))])
        value = np.asarray(curve["portfolio_value"], dtype=np.float64)[:, np.newaxis]
        return np.where(lasting == 0.0, 0.0, lasting * marks / value)

    def moved(self, bars: Bars) -> FloatArray:
        """Return the return of each symbol from each close to the next, shape (n - 1, k)."""
        market = Market(bars)
        marks = np.column_stack([market.mark_column(k) for k in range(len(bars.symbols))])
        worth = (marks[1:] + bars.dividends[1:]) * bars.splits[1:]
        return np.nan_to_num(worth / marks[:-1] - 1.0, nan=0.0)

    def shared_rows(self) -> tuple[int, int]:
        """Return the rows between which every symbol has bars."""
        return shared_rows(self.bars)
