"""The signal form: arrays in, target weights out, through the same account as the event form."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.engine.agenda import Agenda
from backtrail.engine.bars import Bars
from backtrail.engine.config import EngineConfig
from backtrail.engine.data_view import BarData
from backtrail.engine.decisions import Decisions, decisions_of
from backtrail.engine.event import drive
from backtrail.engine.journal import Finished
from backtrail.engine.market import Market
from backtrail.engine.rebalancing import rebalance
from backtrail.engine.result import RunResult
from backtrail.engine.settling import settle
from backtrail.engine.signal_bars import SignalBars
from backtrail.engine.simulation import Simulation
from backtrail.engine.strategy import Strategy, params_from
from backtrail.engine.tables import build_result, check_benchmark
from backtrail.errors import StrategyError

__all__ = ["check_weights", "run_signal"]

FloatArray = npt.NDArray[np.float64]


def run_signal(
    target_weights: Strategy | Callable[..., Any],
    bars: Bars,
    config: EngineConfig,
    *,
    benchmark: str | None = None,
    params: object = None,
    benchmark_bars: Bars | None = None,
) -> RunResult:
    """Run a strategy in signal form or step form over bars.

    Where a symbol's weight differs from its last weight before, an `order_target_percent` is
    placed at that bar, symbols in the order of their names; it is sized and filled exactly as the
    event form's. NaN means leave as is; before the first weight a symbol is flat. A weight given
    before a symbol's first bar takes effect at that bar.

    Args:
        target_weights: The function, called with `SignalBars` and the parameters; or its Strategy.
        bars: As in `run_event`.
        config: As in `run_event`.
        benchmark: As in `run_event`.
        params: As in `run_event`; handed on as it is when a bare function is given.
        benchmark_bars: As in `run_event`.

    Raises:
        StrategyError: If the weights are not an array of shape (n, k) of numbers, or infinite.
        ConfigError: If the benchmark has no bars.
    """
    function: Callable[..., Any]
    if isinstance(target_weights, Strategy):
        if target_weights.target_weights is None:
            raise StrategyError(f"strategy {target_weights.name} is in event form; use run_event")
        if params is None or (
            isinstance(params, Mapping) and target_weights.params_type is not None
        ):
            params = params_from(target_weights, params)
        function = target_weights.target_weights
    else:
        function = target_weights
    check_benchmark(benchmark, bars, benchmark_bars)
    market = Market(bars)
    weights = check_weights(function(SignalBars(market), params), bars)
    decisions = decisions_of(weights, bars)
    account: Finished = (
        settle(market, config, decisions)
        or rebalance(market, config, decisions)
        or _simulate(market, config, decisions)
    )
    return build_result(account, (), benchmark, benchmark_bars, float(config.capital_base))


def _simulate(market: Market, config: EngineConfig, decisions: Decisions) -> Simulation:
    """Follow weights bar by bar where something can happen, with every rule of the event form."""
    simulation = Simulation(market.bars, config)
    symbols, changes = market.bars.symbols, decisions.by_row()

    def place_changes(_context: object, _data: object) -> None:
        for column, weight in changes.get(simulation.row, ()):
            simulation.place(symbols[column], weight, "target_percent")

    rows: Iterable[int] = _eventful_rows(simulation, changes)
    if simulation.guard.watches:
        rows = range(len(market.bars.timestamps))
    data = BarData(simulation.market)
    drive(simulation, data, place_changes, None, rows, Agenda(simulation, data))
    return simulation


def _eventful_rows(simulation: Simulation, changes: Mapping[int, Any]) -> Iterator[int]:
    """Yield the rows at which something can happen, looking at the account after each."""
    end = len(simulation.market.bars.timestamps)
    decisions = [end, *sorted(changes, reverse=True)]
    row = -1
    while True:
        if simulation.book.waiting:
            row += 1
        else:
            while decisions[-1] <= row:
                decisions.pop()
            row = min(decisions[-1], simulation.next_action, simulation.next_delisting)
        if row >= end:
            return
        yield row


def check_weights(weights: object, bars: Bars) -> FloatArray:
    """Return what a signal function gave back as float64 of shape (n, k).

    Raises:
        StrategyError: If it is no array of numbers of that shape, or a weight is infinite.
    """
    if not isinstance(weights, np.ndarray) or weights.dtype.kind not in "fiub":
        what = type(weights).__name__
        if isinstance(weights, np.ndarray):
            what = f"an array of {weights.dtype}"
        elif weights is None:
            what = "nothing"
        raise StrategyError(
            f"target_weights returned {what}; return a NumPy array of numbers of shape"
            f" {bars.shape}, bars by symbols"
        )
    if weights.shape != bars.shape:
        raise StrategyError(
            f"target_weights returned shape {weights.shape}; return {bars.shape}: bars by symbols"
        )
    checked: FloatArray = np.asarray(weights, dtype=np.float64)
    # The sum of squares is finite when all are, and takes a fifth of the time of a look at each.
    if not math.isfinite(np.vdot(checked, checked)) and np.isinf(checked).any():
        row, column = (int(axis[0]) for axis in np.nonzero(np.isinf(checked)))
        raise StrategyError(
            f"target_weights returned an infinite weight for {bars.symbols[column]} at bar {row};"
            " return fractions of the portfolio value, NaN to leave a holding as it is"
        )
    return checked
