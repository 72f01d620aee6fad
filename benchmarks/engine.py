"""Microseconds per bar of the engine on the S&P 500, both ledgers, three kinds of strategy."""

import argparse
import statistics
import time
from collections.abc import Callable
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
from backtrail.engine import Bars, CommissionConfig, EngineConfig, run_event, run_signal
from backtrail.engine.strategy import load_strategy

BUDGETS = {"empty handler": 1.0, "SMA by history": 5.0, "signal form": 0.1}


def empty_module() -> ModuleType:
    """Return a strategy of the function form with nothing in it."""
    module = ModuleType("empty")
    module.initialize = lambda context: None  # type: ignore[attr-defined]
    module.handle_data = lambda context, data: None  # type: ignore[attr-defined]
    return module


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
    cross, signal = (model_strategy(REPOSITORY, name) for name in ("sma_cross", "sma_signal"))
    params = {"fast": 10, "slow": 50}
    return {
        "empty handler": lambda config: run_event(empty, bars, config),
        "SMA by history": lambda config: run_event(cross, bars, config, params=params),
        "signal form": lambda config: run_signal(signal, bars, config, params=params),
    }


def measure(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Return the best and the median seconds of a call; the first one is dropped."""
    call()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
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
                best, median = measure(lambda: call(config), arguments.repeats)  # noqa: B023
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
        f"Engine, S&P 500, {n:,} bars, whole run with tables",
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
