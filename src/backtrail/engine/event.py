"""The event engine: one call of the strategy per bar."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from backtrail.engine import api
from backtrail.engine.account import Context
from backtrail.engine.agenda import Agenda
from backtrail.engine.algorithm import Actions, TradingAlgorithm
from backtrail.engine.bars import Bars
from backtrail.engine.config import CommissionConfig, EngineConfig, SlippageConfig
from backtrail.engine.data_view import BarData
from backtrail.engine.result import RunResult
from backtrail.engine.schedule import SessionSource
from backtrail.engine.simulation import Simulation
from backtrail.engine.strategy import Strategy, params_from, strategy_of
from backtrail.engine.tables import build_result, check_benchmark
from backtrail.errors import ConfigError, Problem, StrategyError

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
    sessions: SessionSource | None = None,
    costs: tuple[CommissionConfig, SlippageConfig] | None = None,
) -> RunResult:
    """Run a strategy in class or function form over bars.

    At bar t: (0) At the first bar of a session `before_trading_start` is called with data and
    account as they were after the bar before. (1) Splits, then dividends effective at t meet the
    holdings; a split also scales the waiting orders, and what is left of a lot is paid in cash at
    the bar's open. (2) Orders placed before t fill if the bar of their symbol fills them: what
    fills at its open before what fills within it; in each, symbols that sell on balance before
    symbols that buy, then by order id. A target order fills to its target even when an order it
    counted on was clipped, rejected or canceled. What a bar does not fill waits for the next; there
    is no expiry but `cancel_order`. (3) Holdings are marked at the last known closes. (4)
    `handle_data` is called with data up to and including t, then scheduled functions in the order
    of `schedule_function`. With `same_close` orders fill here, and not in (2). (5) After a
    delisted symbol's last bar its holding is closed at that bar's close without commission and its
    orders expire. (6) Leverage and maintenance margin are looked at. Orders that wait after the
    last bar expire. Nothing but a maintenance margin stops an account whose value falls below zero.

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
        sessions: Where the calendar's sessions come from, when a strategy asks for them; without it
            sessions are what the bars show.
        costs: Commission and slippage that hold in place of those of config and strategy, whatever
            `initialize` sets.

    Returns:
        The run's tables; equal arguments give equal tables.

    Raises:
        StrategyError: If the strategy is in signal form or step form, or misuses what it is given.
        OrderError: If the strategy asks for an order that cannot exist.
        RiskViolationError: If it breaks a trading control that ends the run.
        ConfigError: If the benchmark has no bars, or the strategy sets costs that the config sets.
    """
    strategy, params = _event_form(strategy, params)
    check_benchmark(benchmark, bars, benchmark_bars)
    simulation = Simulation(bars, config)
    context = Context(simulation, params)
    actions, callbacks = _callbacks(strategy, params)
    data = BarData(simulation.market, sessions)
    actions.bind(simulation, context, data)
    for target in (context, actions) if isinstance(actions, TradingAlgorithm) else (context,):
        for name, value in (attributes or {}).items():
            setattr(target, name, value)
    with api.running(actions):
        if callbacks.initialize is not None:
            callbacks.initialize(context)
        if costs is not None:
            simulation.replace_costs(*costs)
        benchmark = _chosen_benchmark(benchmark, actions.benchmark)
        check_benchmark(benchmark, bars, benchmark_bars)
        agenda = Agenda(
            simulation,
            data,
            context,
            before_session=callbacks.before_trading_start,
            scheduled=actions.begin(sessions),
        )
        rows = range(len(bars.timestamps))
        drive(simulation, data, callbacks.handle_data, context, rows, agenda)
        result = build_result(
            simulation, actions.recorded, benchmark, benchmark_bars, float(config.capital_base)
        )
        if actions.benchmark is not None:
            result = replace(result, benchmark=actions.benchmark)
        if callbacks.analyze is not None:
            callbacks.analyze(context, result)
    return result


def _event_form(
    strategy: Strategy | type[TradingAlgorithm], params: object
) -> tuple[Strategy, object]:
    if isinstance(strategy, type):
        strategy = strategy_of(strategy)
    if strategy.gives_weights:
        raise StrategyError(f"strategy {strategy.name} is in {strategy.form} form; use run_signal")
    if params is None or (isinstance(params, Mapping) and strategy.params_type is not None):
        params = params_from(strategy, params)
    return strategy, params


def _chosen_benchmark(configured: str | None, chosen: str | None) -> str | None:
    if chosen is None or chosen == configured:
        return configured
    if configured is not None:
        found = f"the strategy sets {chosen!r}, the config {configured!r}"
        raise ConfigError([Problem("benchmark", found, "say it in one place")])
    return chosen


def drive(
    simulation: Simulation,
    data: BarData,
    handle_data: Callable[..., Any],
    context: Context | None,
    rows: Iterable[int],
    agenda: Agenda,
) -> None:
    """Go through bars in their order; `run_event` says what happens at each.

    Args:
        simulation: The account.
        data: What `handle_data` may see.
        handle_data: Called once per bar.
        context: Handed to it.
        rows: The bars; one that is left out must change nothing.
        agenda: What happens at some bars only.
    """
    is_last = simulation.config.rules.fill == "same_close"
    waiting = {} if is_last else simulation.book.waiting
    fill_waiting = simulation.filling.fill_waiting
    before, after = agenda.before, agenda.after
    next_before, next_after = agenda.next_before, agenda.next_after
    simulation.accepting = True
    for row in rows:
        if row >= next_before:
            next_before = before(row)
        simulation.row = data._row = row
        if waiting:
            fill_waiting()
        handle_data(context, data)
        if row >= next_after:
            next_after = after(row)
    simulation.accepting = False
    simulation.finish()


class _Callbacks(NamedTuple):
    initialize: Callable[..., Any] | None
    handle_data: Callable[..., Any]
    analyze: Callable[..., Any] | None
    before_trading_start: Callable[..., Any] | None


def _callbacks(strategy: Strategy, params: object) -> tuple[Actions, _Callbacks]:
    if strategy.algorithm is not None:
        algorithm = strategy.algorithm()
        algorithm.params = params
        has_hook = strategy.algorithm.before_trading_start is not _NO_HOOK
        hook = algorithm.before_trading_start if has_hook else None
        calls = _Callbacks(algorithm.initialize, algorithm.handle_data, algorithm.analyze, hook)
        return algorithm, calls
    if strategy.handle_data is None:
        raise StrategyError(f"strategy {strategy.name} has no handle_data")
    hook = strategy.before_trading_start
    return Actions(), _Callbacks(strategy.initialize, strategy.handle_data, strategy.analyze, hook)


_NO_HOOK = TradingAlgorithm.before_trading_start
