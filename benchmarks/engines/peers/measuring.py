"""What the scripts of all peers share. It runs in a peer's own environment and needs only NumPy."""

import argparse
import json
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

FAST, SLOW = 10, 50
CAPITAL = 1_000_000.0
SHARE = 0.02  # of the portfolio, for each of several symbols
LONG = 3.0  # seconds


@dataclass(frozen=True)
class Task:
    """Bars of one case: float64 columns, shape (n,) or (n, k); timestamps in microseconds UTC.

    `details` asks for equity and fills, which a timed run does without.
    """

    timestamps: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    rate: float
    details: bool

    @property
    def is_daily(self) -> bool:
        """Whether bars are sessions, at midnight."""
        return int(self.timestamps[1] - self.timestamps[0]) >= 86_400_000_000

    def days(self) -> Any:
        """Return the timestamps as datetime64[ns], without a zone."""
        return self.timestamps.astype("datetime64[us]").astype("datetime64[ns]")


@dataclass(frozen=True)
class Outcome:
    """How a backtest ended.

    Attributes:
        final: Portfolio value at the last close.
        fills: Number of fills.
        equity: Portfolio value per bar, where the engine keeps it.
        trades: (row, signed quantity, price) of each fill, where the engine tells.
    """

    final: float
    fills: int
    equity: Any = None
    trades: Sequence[tuple[int, float, float]] | None = None


PAIRS = [(fast, slow) for fast in range(5, 61) for slow in range(20, 201) if fast < slow]
"""What a sweep tries: 9,275 pairs of window lengths."""

Prepare = Callable[[Task], Callable[[], Outcome]]


def averages(close: Any) -> tuple[Any, Any]:
    """Return both moving averages as exact sums of cents over a float; NaN before they exist."""
    found = []
    for length in (FAST, SLOW):
        sums = np.concatenate([np.zeros((1, *close.shape[1:])), np.cumsum(close, axis=0)])
        mean = np.full(close.shape, np.nan)
        mean[length - 1 :] = (sums[length:] - sums[:-length]) / length
        found.append(mean)
    return found[0], found[1]


def main(
    packages: Sequence[str], variants: Mapping[str, Prepare], *, compiles: bool = False
) -> None:
    """Run one variant on one case and print what it gave and what it took, as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="a case written by workload.py")
    parser.add_argument("variant", choices=sorted(variants))
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, default=2.0, help="repeat for so long")
    parser.add_argument("--details", action="store_true", help="equity and fills, too")
    options = parser.parse_args()
    with np.load(options.data) as stored:
        columns = {name: stored[name] for name in stored.files}
    task = Task(rate=options.rate, details=options.details, **columns)
    call = variants[options.variant](task)
    taken: list[float] = []
    # The first call compiles what an engine compiles; only a very long one has to do alone.
    while len(taken) < 2 or (sum(taken[1:]) < options.seconds and len(taken) < 200):
        started = time.process_time()
        outcome = call()
        taken.append(time.process_time() - started)
        if len(taken) == 1 and taken[0] > LONG and not compiles:
            break
    found: dict[str, Any] = {
        "cpu_seconds": min(taken),
        "first_cpu_seconds": taken[0],
        "calls": len(taken),
        "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in (*packages, "numpy")},
        "bars": len(task.timestamps),
        "final": float(outcome.final),
        "fills": int(outcome.fills),
    }
    if options.details:
        if outcome.equity is not None:
            found["equity"] = [float(value) for value in outcome.equity]
        if outcome.trades is not None:
            found["trades"] = [[int(r), float(q), float(p)] for r, q, p in outcome.trades]
    json.dump(found, sys.stdout)
