"""backtrail: event form with each ledger, by history and by look-up, and the signal form."""

import math
import types
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from measuring import CAPITAL, FAST, PAIRS, SHARE, SLOW, Outcome, main

from backtrail.engine import (
    Bars,
    CommissionConfig,
    EngineConfig,
    ExecutionRules,
    load_strategy,
    run_event,
    run_signal,
)
from backtrail.engine.api import order_target, order_target_percent, set_risk_hook
from backtrail.engine.stepping import Step
from backtrail.engine.strategy import Strategy

# What each rule of the parity table is here.
RULES = {
    "R1": {"size_at": "fill", "shares": "fractional"},
    "R2": {"size_at": "fill"},
    "R3": {"cash_policy": "overdraw"},
    "R4": {"fill": "same_close"},
    "R5": {"size_at": "fill", "cash_policy": "overdraw"},
    "R6": {"cash_policy": "reject"},
    "R7": {"size_at": "fill", "shares": "fractional"},
}


def bars_of(task):
    grid = {
        name: getattr(task, name).reshape(len(task.timestamps), -1)
        for name in ("open", "high", "low", "close", "volume")
    }
    shape = grid["close"].shape
    return Bars(
        symbols=tuple(f"S{column:02d}" for column in range(shape[1])),
        timestamps=task.timestamps,
        splits=np.ones(shape),
        dividends=np.zeros(shape),
        delisted=np.full(shape[1], -1),
        calendar="XNYS",
        timeframe="1d" if task.is_daily else "1m",
        **grid,
    )


def module(**functions):
    made = types.ModuleType("strategy")
    for name, function in functions.items():
        setattr(made, name, function)
    return load_strategy(made)


def by_look_up(share):
    """Look the averages up, and ask the account what is held."""

    def initialize(context):
        pass

    def handle_data(context, data):
        positions = context.portfolio.positions
        for symbol in context.universe:
            slow = data.sma(symbol, SLOW)
            if math.isnan(slow):
                continue
            up = data.sma(symbol, FAST) > slow
            held = positions[symbol].amount
            if up and not held:
                order_target_percent(symbol, share)
            elif held and not up:
                order_target(symbol, 0)

    return module(initialize=initialize, handle_data=handle_data)


def by_history(share):
    """Add the last closes up at every bar."""

    def initialize(context):
        pass

    def handle_data(context, data):
        positions = context.portfolio.positions
        add = np.add.reduce
        for symbol in context.universe:
            closes = data.history(symbol, "close", SLOW)
            if len(closes) < SLOW:
                continue
            up = add(closes[-FAST:]) * (SLOW / FAST) > add(closes)
            held = positions[symbol].amount
            if up and not held:
                order_target_percent(symbol, share)
            elif held and not up:
                order_target(symbol, 0)

    return module(initialize=initialize, handle_data=handle_data)


def nothing(share):
    return module(initialize=lambda context: None, handle_data=lambda context, data: None)


def late(share):
    """Decide first on the bar after the one that completes the slow window, as backtesting.py."""

    def initialize(context):
        context.decides = False

    def handle_data(context, data):
        slow = data.sma("S00", SLOW)
        if math.isnan(slow) or not context.decides:
            context.decides = not math.isnan(slow)
            return
        up = data.sma("S00", FAST) > slow
        held = context.portfolio.positions["S00"].amount
        if up and not held:
            order_target_percent("S00", 1.0)
        elif held and not up:
            order_target("S00", 0)

    return module(initialize=initialize, handle_data=handle_data)


def belated(share):
    """See a fill one bar later than it happens, as raptorbt's class form."""

    def initialize(context):
        context.seen = 0

    def handle_data(context, data):
        held, context.seen = context.seen, context.portfolio.positions["S00"].amount
        slow = data.sma("S00", SLOW)
        if math.isnan(slow):
            return
        up = data.sma("S00", FAST) > slow
        if up and not held:
            if not context.seen:  # the engine takes no second entry
                order_target_percent("S00", 1.0)
        elif held and not up:
            order_target("S00", 0)

    return module(initialize=initialize, handle_data=handle_data)


def clipped(share):
    """Buy what equity buys at the close, or fewer: what cash buys at the open, no costs counted."""
    decide = by_look_up(share).handle_data

    def shrink(context, order):
        return min(order.amount, context.most) if order.amount > 0 else None

    def initialize(context):
        set_risk_hook(shrink)

    def handle_data(context, data):
        context.most = float(context.portfolio.portfolio_value // data.current("S00", "close"))
        decide(context, data)

    return module(initialize=initialize, handle_data=handle_data)


def weights(bars, params):
    up = bars.sma(FAST) > bars.sma(SLOW)
    return up * (1.0 if up.shape[1] == 1 else SHARE)


def config(task, ledger, rules):
    return EngineConfig(
        ledger=ledger,
        rules=ExecutionRules(**rules),
        commission=CommissionConfig("per_dollar", Decimal(repr(task.rate))),
        capital_base=Decimal(int(CAPITAL)),
    )


def outcome(result, details):
    tables = dict(result.tables)  # makes every one of them
    fills = tables["fills"]
    equity = np.asarray(tables["backtest_results"]["portfolio_value"])
    trades = None
    if details:
        stamps = tables["backtest_results"]["timestamp"]
        places = {int(stamp): row for row, stamp in enumerate(stamps)}
        trades = [
            (places[int(stamp)], float(quantity), float(price))
            for stamp, quantity, price in zip(
                fills["timestamp"], fills["quantity"], fills["price"], strict=True
            )
        ]
    return Outcome(float(equity[-1]), len(fills["timestamp"]), equity, trades)


def event(make, ledger, rules):
    def prepare(task):
        bars, settings = bars_of(task), config(task, ledger, rules)
        strategy = make(1.0 if len(bars.symbols) == 1 else SHARE)
        return lambda: outcome(run_event(strategy, bars, settings), task.details)

    return prepare


def signal(ledger):
    def prepare(task):
        bars, settings = bars_of(task), config(task, ledger, {})
        return lambda: outcome(run_signal(weights, bars, settings), task.details)

    return prepare


@dataclass(frozen=True)
class Params:
    fast: int = FAST
    slow: int = SLOW


def sweep(task):
    """The public sweep: ten metrics for each pair, on one core."""

    def target_weights(bars, params):
        return bars.sma(params.fast) > bars.sma(params.slow)

    return swept(Strategy("sma", "signal", Params, target_weights=target_weights), task)


def averages(bars, params):
    return {"fast_mean": bars.sma(params.fast), "slow_mean": bars.sma(params.slow)}


def crossing(fast_mean, slow_mean):
    return 1.0 if fast_mean > slow_mean else 0.0


def sweep_of_steps(task):
    """The same pairs, decided bar by bar."""
    step = Step("sma", crossing, averages, Params)
    return swept(Strategy("sma", "step", Params, target_weights=step), task)


def swept(strategy, task):
    from backtrail.optimization.sweep import Sweep  # event runs never import Numba

    sets = [{"fast": fast, "slow": slow} for fast, slow in PAIRS]

    def call():
        made = Sweep(
            strategy, bars_of(task), config(task, "float64", RULES["R1"]), periods_per_year=252.0
        )
        found = made.evaluate(sets)
        assert not any(found.errors), next(filter(None, found.errors))
        return Outcome(float(found.metrics["total_return"].mean()), len(sets))

    return call


def variants():
    found = {"sweep": sweep, "sweep, step form": sweep_of_steps}
    for ledger in ("decimal", "float64"):
        for name, make in (("history", by_history), ("look-up", by_look_up), ("empty", nothing)):
            found[f"{name}, {ledger}"] = event(make, ledger, {})
        found[f"signal, {ledger}"] = signal(ledger)
        for rule, rules in RULES.items():
            make = {"R2": late, "R5": clipped, "R7": belated}.get(rule, by_look_up)
            found[f"{rule}, {ledger}"] = event(make, ledger, rules)
    return found


if __name__ == "__main__":
    main(["backtrail"], variants(), compiles=True)
