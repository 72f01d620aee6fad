"""raptorbt: entries and exits as arrays, and its class form, both on its Rust core."""

import numpy as np
import raptorbt
from measuring import CAPITAL, FAST, PAIRS, SLOW, Outcome, main


def config(task):
    return raptorbt.BacktestConfig(
        initial_capital=CAPITAL, fees=task.rate, fill_timing="next_bar_open"
    )


def columns(task):
    names = ("open", "high", "low", "close", "volume")
    return [task.timestamps * 1000, *(np.ascontiguousarray(getattr(task, n)) for n in names)]


def outcome(result):
    equity = np.asarray(result.equity_curve())
    # What is open at the end stands among the trades, too, and was not sold.
    fills = sum(1 if trade.exit_reason == "EndOfData" else 2 for trade in result.trades())
    return Outcome(equity[-1], fills, equity)


def arrays(task):
    bars = columns(task)

    def call():
        fast, slow = raptorbt.sma(bars[4], FAST), raptorbt.sma(bars[4], SLOW)
        up = fast > slow
        turned = np.empty_like(up)
        turned[0] = up[0]
        turned[1:] = up[1:] != up[:-1]
        result = raptorbt.run_single_backtest(
            *bars,
            up & turned,
            ~up & turned,
            direction=1,
            weight=1.0,
            symbol="A",
            config=config(task),
        )
        return outcome(result)

    return call


class History(raptorbt.Strategy):
    def on_bar(self, ctx):
        bars = ctx.history(SLOW)
        if len(bars) < SLOW:
            return
        up = bars[-FAST:].mean() > bars.mean()
        if up and ctx.position is None:
            self.enter()
        elif not up and ctx.position is not None:
            self.close_position()


class Precomputed(raptorbt.Strategy):
    def on_start(self, ctx):
        self.up = raptorbt.sma(ctx.close, FAST) > raptorbt.sma(ctx.close, SLOW)

    def on_bar(self, ctx):
        i = ctx.idx
        if i < SLOW - 1:
            return
        if self.up[i] and ctx.position is None:
            self.enter()
        elif not self.up[i] and ctx.position is not None:
            self.close_position()


class Empty(raptorbt.Strategy):
    def on_bar(self, ctx):
        pass


def by_class(strategy):
    def prepare(task):
        bars = columns(task)

        def call():
            return outcome(
                raptorbt.run_strategy_backtest(strategy(), *bars, symbol="A", config=config(task))
            )

        return call

    return prepare


def sweep(task):
    """Every average once, then one call for each pair, on one core."""
    bars = columns(task)

    def call():
        lengths = {length for pair in PAIRS for length in pair}
        means = {length: raptorbt.sma(bars[4], length) for length in lengths}
        settings, total = config(task), 0.0
        for fast, slow in PAIRS:
            up = means[fast] > means[slow]
            turned = np.empty_like(up)
            turned[0] = up[0]
            turned[1:] = up[1:] != up[:-1]
            result = raptorbt.run_single_backtest(*bars, up & turned, ~up & turned, config=settings)
            total += result.metrics.total_return_pct / 100
        return Outcome(total / len(PAIRS), len(PAIRS))

    return call


if __name__ == "__main__":
    forms = {"history": History, "look-up": Precomputed, "empty": Empty}
    classes = {name: by_class(form) for name, form in forms.items()}
    main(["raptorbt"], {"arrays": arrays, "sweep": sweep, **classes})
