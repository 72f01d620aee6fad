"""The event engine: one call of the strategy per bar."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from backtrail.engine import api
from backtrail.engine.account import Context
from backtrail.engine.algorithm import Actions, TradingAlgorithm
from backtrail.engine.bars import Bars
from backtrail.engine.config import EngineConfig
from backtrail.engine.data_view import BarData
from backtrail.engine.result import RunResult
from backtrail.engine.simulation import Simulation
from backtrail.engine.strategy import Strategy, params_from, strategy_of
from backtrail.engine.tables import build_result, check_benchmark
from backtrail.errors import StrategyError

__all__ = ["run_event"]


def run_event(
    strategy: Strategy | type[TradingAlgorithm],
    bars: Bars,
    config: EngineConfig,
    *,
    benchmark: str | None = None,
    params: object = None,
    benchmark_bars: Bars | None = None,
    attributes: Mapping[str, object] | None = None,
) -> RunResult:
    """Run a strategy in class or function form over bars.

    At bar t: (1) splits, then dividends effective at t meet the holdings; a split also scales the
    waiting orders, and what is left of a lot is paid in cash at the bar's open. (2) Orders placed
    before t fill at the open or close of t if their symbol has a bar there: symbols that sell on
    balance before symbols that buy, then by order id. A target order fills to its target even when
    an order it counted on was clipped, rejected or canceled. (3) Holdings are marked at the last
    known closes. (4) `handle_data` is called with data up to and including t. (5) After a delisted
    symbol's last bar its holding is closed at that bar's close without commission and its orders
    expire. Orders that wait after the last bar expire. Nothing stops an account whose value falls
    below zero.

    The cash policy limits buys, including those that cover a short, to the cash at hand at that
    moment; proceeds of short sales are cash. Sells are never limited: a quantity may go negative.

    Args:
        strategy: From `load_strategy`, or a subclass of `TradingAlgorithm`.
        bars: Prices.
        config: Ledger, execution rules, costs, capital, seed.
        benchmark: Symbol whose returns (splits and dividends included) stand beside the
            strategy's; it has to be in `benchmark_bars`, or in `bars` without those.
        params: An instance of the strategy's `Params`, a mapping of values, or None for defaults.
        benchmark_bars: Bars of a benchmark outside the universe, on any time grid: its last close
            up to each bar of `bars` counts.
        attributes: Set on `context` (and on the instance of the class form) before `initialize`.

    Returns:
        The run's tables; equal arguments give equal tables.

    Raises:
        StrategyError: If the strategy is in signal form, or misuses what it is given.
        OrderError: If the strategy asks for an order that cannot exist.
        ConfigError: If the benchmark has no bars.
    """
    if isinstance(strategy, type):
        strategy = strategy_of(strategy)
    if strategy.form == "signal":
        raise StrategyError(f"strategy {strategy.name} is in signal form; use run_signal")
    check_benchmark(benchmark, bars, benchmark_bars)
    if params is None or (isinstance(params, Mapping) and strategy.params_type is not None):
        params = params_from(strategy, params)
    simulation = Simulation(bars, config)
    context = Context(simulation, params)
    actions, initialize, handle_data, analyze = _callbacks(strategy, params)
    actions.bind(simulation)
    for name, value in (attributes or {}).items():
        setattr(context, name, value)
        if isinstance(actions, TradingAlgorithm):
            setattr(actions, name, value)
    data = BarData(simulation.market)
    with api.running(actions):
        if initialize is not None:
            initialize(context)
        drive(simulation, data, handle_data, context, range(len(bars.timestamps)))
        result = build_result(simulation, actions.recorded, benchmark, benchmark_bars)
        if analyze is not None:
            analyze(context, result)
    return result


def drive(
    simulation: Simulation,
    data: BarData,
    handle_data: Callable[..., Any],
    context: Context | None,
    rows: Iterable[int],
) -> None:
    """Go through bars in their order; `run_event` says what happens at each.

    Args:
        simulation: The account.
        data: What `handle_data` may see.
        handle_data: Called once per bar.
        context: Handed to it.
        rows: The bars; one that is left out must change nothing.
    """
    waiting = simulation.book.waiting
    fill_waiting = simulation.fill_waiting
    next_action, next_delisting = simulation.next_action, simulation.next_delisting
    simulation.accepting = True
    for row in rows:
        simulation.row = data._row = row
        if row == next_action:
            simulation.apply_actions()
            next_action = simulation.next_action
        if waiting:
            fill_waiting()
        handle_data(context, data)
        if row == next_delisting:
            simulation.delist()
            next_delisting = simulation.next_delisting
    simulation.accepting = False
    simulation.finish()


def _callbacks(
    strategy: Strategy, params: object
) -> tuple[Actions, Callable[..., Any] | None, Callable[..., Any], Callable[..., Any] | None]:
    if strategy.algorithm is not None:
        algorithm = strategy.algorithm()
        algorithm.params = params
        return algorithm, algorithm.initialize, algorithm.handle_data, algorithm.analyze
    if strategy.handle_data is None:
        raise StrategyError(f"strategy {strategy.name} has no handle_data")
    return Actions(), strategy.initialize, strategy.handle_data, strategy.analyze
