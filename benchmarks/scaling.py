"""Cost per bar from a thousand bars to a million, and per symbol from one to five hundred."""

import argparse
import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import numpy as np
from common import options, save, show

from backtrail.engine import Bars, CommissionConfig, EngineConfig, run_event, run_signal
from backtrail.engine.api import order_target_percent
from backtrail.engine.strategy import Strategy, load_strategy
from backtrail.optimization.sweep import Sweep

LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
WIDTHS = (1, 5, 50, 500)
BARS_OF_WIDTHS = 2_000
FAST, SLOW = 10, 50
# What is put at risk. With all of it a random walk ruins the account within some ten thousand bars,
# and what is measured from there on are orders that buy less than a share, at every bar.
SHARE = 0.01
SETS = 20  # of a sweep
ROUNDS = 3


def make_bars(n: int, symbols: int) -> Bars:
    """Return bars whose prices have cents; every stretch crosses its averages as often."""
    drawn = np.random.default_rng(11)
    close = np.round(100 * np.exp(np.cumsum(drawn.normal(0, 0.01, (n, symbols)), axis=0) % 2.0), 2)
    open_ = np.round(close * np.exp(drawn.normal(0, 0.003, (n, symbols))), 2)
    return Bars(
        symbols=tuple(f"S{column:03}" for column in range(symbols)),
        timestamps=np.arange(n) * 60_000_000,
        open=open_,
        high=np.maximum(open_, close),
        low=np.minimum(open_, close),
        close=close,
        volume=np.full((n, symbols), 1e6),
        splits=np.ones((n, symbols)),
        dividends=np.zeros((n, symbols)),
        delisted=np.full(symbols, -1),
        calendar="24/7",
        timeframe="1m",
    )


def event_strategy(decide: Callable[[Any, Any, str, float], None] | None) -> Strategy:
    """Return a strategy of the function form that looks at every symbol at every bar."""
    module = ModuleType("crossing")
    module.initialize = lambda context: None  # type: ignore[attr-defined]

    def handle_data(context: Any, data: Any) -> None:
        if decide is not None:
            share = SHARE / len(context.universe)
            for symbol in context.universe:
                decide(context, data, symbol, share)

    module.handle_data = handle_data  # type: ignore[attr-defined]
    return load_strategy(module)


def by_look_up(context: Any, data: Any, symbol: str, share: float) -> None:
    """Hold what is above its slow average; look both averages up."""
    slow = data.sma(symbol, SLOW)
    if not math.isnan(slow):
        up = data.sma(symbol, FAST) > slow
        if up != bool(context.portfolio.positions[symbol].amount):
            order_target_percent(symbol, share * up)


def by_history(context: Any, data: Any, symbol: str, share: float) -> None:
    """Do the same from the last closes."""
    closes = data.history(symbol, "close", SLOW)
    if len(closes) == SLOW:
        up = closes[-FAST:].mean() > closes.mean()
        if up != bool(context.portfolio.positions[symbol].amount):
            order_target_percent(symbol, share * up)


def weights(bars: Any, params: object) -> Any:
    """Return the same decisions at once."""
    return (bars.sma(FAST) > bars.sma(SLOW)) * (SHARE / len(bars.symbols))


def cases(bars: Bars) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield what is measured on bars."""
    config = EngineConfig(  # enough money for whole shares of every symbol
        commission=CommissionConfig("per_dollar", Decimal("0.00001")), capital_base=Decimal(10**8)
    )
    for name, decide in (("empty", None), ("look-up", by_look_up), ("history", by_history)):
        strategy = event_strategy(decide)
        yield (
            f"event form, {name}",
            lambda strategy=strategy: dict(run_event(strategy, bars, config).tables),
        )
    yield "signal form", lambda: dict(run_signal(weights, bars, config).tables)
    sets: list[dict[str, Any]] = [{}] * SETS
    strategy = Strategy("crossing", "signal", target_weights=weights)
    yield (
        "sweep, per set",
        lambda: Sweep(strategy, bars, config, periods_per_year=252.0, compiled=True).evaluate(sets),
    )


def seconds_of(call: Callable[[], Any], times: int) -> float:
    """Return processor seconds of so many calls."""
    gc.collect()
    started = time.process_time()
    for _ in range(times):
        call()
    return time.process_time() - started


def measure(sizes: tuple[int, ...], make: Callable[[int], Bars]) -> dict[str, list[float]]:
    """Return microseconds per bar and symbol of each case at each size: the median of the rounds.

    Every size does the same work in a round, as many calls as it takes, and the sizes take turns:
    the least of many short calls would find a moment in which the machine does nothing else, which
    a call of seconds never does.
    """
    bars = {size: make(size) for size in sizes}
    calls = {size: dict(cases(bars[size])) for size in sizes}
    work = max(math.prod(one.shape) for one in bars.values())
    found: dict[str, list[float]] = {}
    for name in calls[sizes[0]]:
        sets = SETS if name.startswith("sweep") else 1
        taken: dict[int, list[float]] = {size: [] for size in sizes}
        for size in sizes * ROUNDS:
            times = work // math.prod(bars[size].shape)
            taken[size].append(1e6 * seconds_of(calls[size][name], times) / (work * sets))
        found[name] = [statistics.median(taken[size]) for size in sizes]
    return found


def main(arguments: argparse.Namespace) -> None:
    lengths = tuple(length for length in LENGTHS if length <= arguments.most_bars)
    Sweep(
        Strategy("warm", "signal", target_weights=weights),
        make_bars(100, 2),
        EngineConfig(),
        periods_per_year=252.0,
        compiled=True,
    ).evaluate([{}])
    by_length = measure(lengths, lambda n: make_bars(n, 1))
    by_width = measure(WIDTHS, lambda symbols: make_bars(BARS_OF_WIDTHS, symbols))
    for title, sizes, found in (
        ("One symbol: microseconds per bar", lengths, by_length),
        (f"{BARS_OF_WIDTHS:,} bars: microseconds per bar and symbol", WIDTHS, by_width),
    ):
        show(
            title,
            ["what", *(f"{size:,}" for size in sizes), "last / least"],
            [[name, *values, values[-1] / min(values)] for name, values in found.items()],
        )
    save("scaling", {"lengths": dict(by_length), "widths": dict(by_width)})


if __name__ == "__main__":
    main(options(__doc__, keep=False, most_bars={"type": int, "default": LENGTHS[-1]}))
