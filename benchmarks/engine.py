"""Processor time per bar of the engine on the S&P 500: both ledgers, several kinds of strategy."""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from common import REPOSITORY, copy_project, model_strategy, options, save, show, work_folder

from backtrail.batch.planning.loading import open_batch
from backtrail.data.arrays import load_bars
from backtrail.data.datasets import Dataset
from backtrail.data.ingest import ingest_bundle
from backtrail.engine import (
    Bars,
    CommissionConfig,
    EngineConfig,
    MarginConfig,
    TradingAlgorithm,
    date_rules,
    run_event,
    run_signal,
    time_rules,
)
from backtrail.engine.costs import commission, slippage
from backtrail.engine.strategy import load_strategy

BUDGETS = {
    "empty handler": 1.0,
    "empty handler, all features": 1.0,
    "SMA by look-up": 2.0,
    "SMA by declared indicators": 2.0,
    "SMA by history": 5.0,
    "signal form, equity curve": 0.1,
    "signal form, equity curve and trades": 0.1,
    "signal form": 0.1,
    "step form": 2.0,
}
# What is read of a run's tables, which are made when they are looked at; all of them otherwise.
READ = {
    "signal form, equity curve": ("backtest_results",),
    "signal form, equity curve and trades": ("backtest_results", "trades"),
}


def empty_module() -> ModuleType:
    """Return a strategy of the function form with nothing in it."""
    module = ModuleType("empty")
    module.initialize = lambda context: None  # type: ignore[attr-defined]
    module.handle_data = lambda context, data: None  # type: ignore[attr-defined]
    return module


class Everything(TradingAlgorithm):
    """An empty handler with every feature of the engine switched on."""

    def initialize(self, context: Any) -> None:
        """Switch everything on."""
        self.set_commission(commission.PerShare(0.005, 1))
        self.set_slippage(slippage.VolumeShareSlippage())
        self.set_benchmark("SPX")
        self.set_max_order_size(max_shares=10**6)
        self.set_max_position_size(max_shares=10**6)
        self.set_long_only()
        self.set_max_leverage(3.0)
        self.set_risk_hook(lambda context, order: None)
        self.subscribe("trade_executed", lambda trade: None)
        self.subscribe("risk_violation", lambda violation: None)
        self.schedule_function(self.monthly, date_rules.month_start(), time_rules.market_open())

    def before_trading_start(self, context: Any, data: Any) -> None:
        """Do nothing."""

    def monthly(self, context: Any, data: Any) -> None:
        """Do nothing."""

    def handle_data(self, context: Any, data: Any) -> None:
        """Do nothing."""


def rolling_mean(close: Any, length: int) -> Any:
    """Return a mean that knows no later value."""
    sums = np.cumsum(np.concatenate(([0.0], close)))
    found = np.full(len(close), np.nan)
    found[length - 1 :] = (sums[length:] - sums[:-length]) / length
    return found


class Declared(TradingAlgorithm):
    """The crossing of two declared indicators."""

    def initialize(self, context: Any) -> None:
        """Declare both."""
        self.declare_indicator("fast", rolling_mean, length=10)
        self.declare_indicator("slow", rolling_mean, length=50)

    def handle_data(self, context: Any, data: Any) -> None:
        """Hold what rises."""
        cross(self, context, data.indicator("fast", "SPX"), data.indicator("slow", "SPX"))


class LookedUp(TradingAlgorithm):
    """The crossing of two averages that the engine keeps."""

    def handle_data(self, context: Any, data: Any) -> None:
        """Hold what rises."""
        cross(self, context, data.sma("SPX", 10), data.sma("SPX", 50))


def cross(strategy: TradingAlgorithm, context: Any, fast: float, slow: float) -> None:
    """Be in the market while the fast average is above the slow one."""
    is_up = fast > slow
    if is_up != getattr(strategy, "is_in", False):
        strategy.is_in = is_up  # type: ignore[attr-defined]
        strategy.order_target_percent("SPX", 1.0 if is_up else 0.0)


def spx(folder: Path) -> Bars:
    """Return the demo's S&P 500, ingested as a batch ingests it."""
    project = copy_project(folder / "project")
    batch = open_batch([Path("config/config.yaml")], root=project)
    bundles = project / "bundles"
    manifest = ingest_bundle(batch.bundle("us-indices"), root=project, bundles_dir=bundles)
    dataset = Dataset.open(bundles / "us-indices" / manifest.dataset_id)
    return load_bars(dataset, ["SPX"], date(1999, 1, 1), date(2018, 12, 31))


def cases(bars: Bars) -> dict[str, Callable[[EngineConfig], Any]]:
    empty = load_strategy(empty_module())
    models = ("sma_cross", "sma_signal", "trailing_breakout")
    cross, signal, stepping = (model_strategy(REPOSITORY, name) for name in models)
    params = {"fast": 10, "slow": 50}
    free = EngineConfig(margin=MarginConfig(Decimal("0.3"), Decimal("0.1")))
    signals = {
        name: lambda config: run_signal(signal, bars, config, params=params)
        for name in BUDGETS
        if name.startswith("signal form")
    }
    return {
        "empty handler": lambda config: run_event(empty, bars, config),
        "empty handler, all features": lambda config: run_event(
            Everything, bars, replace(free, ledger=config.ledger)
        ),
        "SMA by look-up": lambda config: run_event(LookedUp, bars, config),
        "SMA by declared indicators": lambda config: run_event(Declared, bars, config),
        "SMA by history": lambda config: run_event(cross, bars, config, params=params),
        **signals,
        "step form": lambda config: run_signal(stepping, bars, config),
    }


def measure(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the best and the median processor seconds of a call; the first one is dropped."""
    call()
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken), statistics.median(taken)


def main(arguments: argparse.Namespace) -> None:
    with work_folder(arguments.keep) as folder:
        bars = spx(folder)
        closes = bars.close[:, 0]
        n = len(closes)
        yard = measure(lambda: [float(np.mean(closes[max(0, i - 9) : i + 1])) for i in range(n)], 3)
        rows, values = [], {}
        for name, call in cases(bars).items():
            for ledger in ("decimal", "float64"):
                config = EngineConfig(
                    ledger=ledger, commission=CommissionConfig("per_dollar", Decimal("0.001"))
                )

                def run() -> None:
                    tables = call(config).tables  # noqa: B023
                    for table in READ.get(name, tuple(tables)):  # noqa: B023
                        tables[table]

                best, median = measure(run, arguments.repeats)
                trades = len(call(config).tables["fills"]["timestamp"])
                rows.append(
                    [
                        name,
                        ledger,
                        1e6 * best / n,
                        1e6 * median / n,
                        best / yard[0],
                        trades,
                        BUDGETS[name],
                    ]
                )
                values[f"{name}, {ledger}"] = {
                    "us_per_bar_best": 1e6 * best / n,
                    "us_per_bar_median": 1e6 * median / n,
                    "ratio_to_yardstick": best / yard[0],
                    "fills": trades,
                }
    show(
        f"Engine, S&P 500, {n:,} bars, whole run with all tables unless said",
        ["strategy", "ledger", "best us/bar", "median us/bar", "x yardstick", "fills", "budget"],
        rows,
    )
    print(
        f"\nyardstick: np.mean of ten closes at every bar in a Python loop, "
        f"{1e6 * yard[0] / n:.3f} us/bar"
    )
    yardstick = 1e6 * yard[0] / n
    save("engine", {"bars": n, "yardstick_us_per_bar": yardstick, "engine": values})


if __name__ == "__main__":
    main(options(__doc__, repeats=15))
