"""What it costs to ask how much of a search is luck: overfitting, superiority, bootstrap."""

import statistics
import time

import numpy as np
from common import options, save, show

from backtrail.validation import (
    SearchStatistics,
    backtest_overfitting,
    bootstrap_intervals,
    overfitting_of,
)


def seconds(call, repeats):
    """Return best and median wall seconds of a call, after one that does not count."""
    found = []
    for number in range(repeats + 1):
        started = time.perf_counter()
        call()
        if number:
            found.append(time.perf_counter() - started)
    return min(found), statistics.median(found)


def main():
    """Measure and print."""
    asked = options(__doc__, repeats=5, keep=False)
    source = np.random.default_rng(1)
    few = source.normal(0.0, 0.01, (4770, 72))
    many = source.normal(0.0, 0.01, (1000, 5000))
    search = SearchStatistics(np.zeros(5000), blocks=16, block=20, samples=1000, seed=1)
    moments = search.measure(many).moments
    cases = {
        "PBO, 4,770 bars x 72 sets, S = 16": lambda: backtest_overfitting(few, blocks=16),
        "PBO, 1,000 sets of a search, S = 16": lambda: overfitting_of([moments]),
        "chunk of 1,000 sets x 5,000 bars, 1,000 draws": lambda: search.measure(many),
        "bootstrap, 10,000 paths of 5,000 bars": lambda: bootstrap_intervals(
            many[0],
            periods_per_year=252,
            block=20,
            samples=10_000,
            generator=np.random.default_rng(1),
        ),
    }
    rows = []
    for name, call in cases.items():
        best, median = seconds(call, asked.repeats)
        rows.append((name, best, median))
    show("Validation of a search", ("seconds", "best", "median"), rows)
    save("validation", {name: {"best": best, "median": median} for name, best, median in rows})


if __name__ == "__main__":
    main()
