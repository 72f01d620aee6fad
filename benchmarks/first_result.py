"""From the start of a process to its first result: scripts of the library, and `backtrail run`."""

import argparse
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import Timed, copy_project, in_turns, options, run_command, save, show, work_folder

BUDGET = 1.0  # seconds, with warm caches
BARS = 5_000

# Prices come from a file of arrays, so that reading them is a millisecond.
HEAD = """
import numpy as np
from backtrail.engine import Bars, EngineConfig, run_event, run_signal
stored = np.load("prices.npz")
bars = Bars.single("A", stored["timestamps"], {n: stored[n] for n in stored if n != "timestamps"})
"""
EVENT = (
    HEAD
    + """
from types import ModuleType
from backtrail.engine.api import order_target_percent
from backtrail.engine.strategy import load_strategy
strategy = ModuleType("cross")
strategy.initialize = lambda context: None
def handle_data(context, data):
    up = data.sma("A", 10) > data.sma("A", 50)
    if up != bool(context.portfolio.positions["A"].amount):
        order_target_percent("A", float(up))
strategy.handle_data = handle_data
found = run_event(load_strategy(strategy), bars, EngineConfig())
print(found.tables["backtest_results"]["portfolio_value"][-1])
"""
)
SIGNAL = (
    HEAD
    + """
found = run_signal(lambda bars, params: bars.sma(10) > bars.sma(50), bars, EngineConfig())
print(found.tables["backtest_results"]["portfolio_value"][-1])
"""
)
SWEEP = (
    HEAD
    + """
from dataclasses import dataclass
from backtrail.engine import Strategy
from backtrail.optimization.sweep import Sweep
@dataclass(frozen=True)
class Params:
    fast: int = 10
    slow: int = 50
strategy = Strategy("cross", "signal", Params,
                    target_weights=lambda bars, p: bars.sma(p.fast) > bars.sma(p.slow))
sets = [{"fast": f, "slow": s} for f in range(5, 61) for s in range(20, 201) if f < s]
sweep = Sweep(strategy, bars, EngineConfig(), periods_per_year=252)
print(sweep.evaluate(sets[:COUNT]).metrics["sharpe_ratio"].max())
"""
)


def write_prices(folder: Path) -> None:
    """Write bars of one symbol, prices in cents."""
    drawn = np.random.default_rng(7)
    close = np.round(100 * np.exp(np.cumsum(drawn.normal(0, 0.01, BARS))), 2)
    open_ = np.round(close * np.exp(drawn.normal(0, 0.003, BARS)), 2)
    np.savez(
        folder / "prices.npz",
        timestamps=np.arange(BARS) * 86_400_000_000,
        open=open_,
        high=np.maximum(open_, close),
        low=np.minimum(open_, close),
        close=close,
        volume=np.full(BARS, 1e6),
    )


def cases(folder: Path, project: Path) -> dict[str, Callable[[], Timed]]:
    scripts = {
        "interpreter alone": "pass",
        "numpy alone": "import numpy",
        "event form": EVENT,
        "signal form": SIGNAL,
        "sweep, 100 sets": SWEEP.replace("COUNT", "100"),
        "sweep, 9,275 sets": SWEEP.replace("COUNT", ""),
    }

    def script(text: str) -> Callable[[], Timed]:
        return lambda: run_command([sys.executable, "-c", text], folder)

    capital = itertools.count(100_000)  # another one is a new run

    def command(strategy: str) -> Callable[[], Timed]:
        return lambda: run_command(
            [
                *(sys.executable, "-m", "backtrail", "run", f"strategies/{strategy}.py"),
                *("--start", "1999-01-04", "--end", "2018-12-31", "--symbols", "SPX"),
                *("--bundle", "us-indices", "--param", "fast=10", "--param", "slow=50"),
                *("--capital-base", str(next(capital))),
            ],
            project,
        )

    return {
        **{name: script(text) for name, text in scripts.items()},
        "backtrail run, event form": command("sma_cross"),
        "backtrail run, signal form": command("sma_signal"),
    }


def main(arguments: argparse.Namespace) -> None:
    with work_folder(arguments.keep) as folder:
        write_prices(folder)
        project = copy_project(folder / "project")
        found = in_turns(cases(folder, project), arguments.repeats)
    rows, values = [], {}
    for name, calls in found.items():
        warm = calls[1:]  # the first call fills caches, and makes the dataset
        wall, cpu = min(one.wall for one in warm), min(one.cpu for one in warm)
        rows.append([name, calls[0].wall, wall, cpu, cpu / BUDGET])
        values[name] = {"first_wall": calls[0].wall, "wall": wall, "cpu": cpu}
    show(
        f"From process start to first result, best of {arguments.repeats}",
        ["what", "first wall s", "wall s", "cpu s", "x budget"],
        rows,
    )
    save("first_result", {"repeats": arguments.repeats, "budget": BUDGET, "cases": values})


if __name__ == "__main__":
    main(options(__doc__, repeats=7))
