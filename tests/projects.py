"""What the small projects of the tests share: invented prices, and a strategy with its library."""

import csv
import random
from datetime import date, timedelta

SMA = '''"""Long while the fast average is above the slow one."""

from dataclasses import dataclass

from backtrail.engine import TradingAlgorithm
from lib.means import mean


@dataclass(frozen=True)
class Params:
    fast: int = 3
    slow: int = 8

    def __post_init__(self):
        if self.fast >= self.slow:
            raise ValueError(f"fast={self.fast} must be below slow={self.slow}")


class Sma(TradingAlgorithm):
    def initialize(self, context):
        context.asset = context.universe[0]

    def handle_data(self, context, data):
        closes = data.history(context.asset, "close", context.params.slow)
        if len(closes) == context.params.slow:
            up = mean(closes[-context.params.fast :]) > mean(closes)
            self.order_target_percent(context.asset, 1.0 if up else 0.0)
'''
PRICES = {"adapter": "csv", "path": "prices", "calendar": "24/5", "timeframe": "1d"}


def write_prices(folder, *, symbols=("AAA", "BBB"), sessions):
    """Write daily bars of invented symbols from 2020-01-02 on, the same on every call."""
    folder.mkdir(parents=True, exist_ok=True)
    for symbol in symbols:
        generator = random.Random(symbol)
        price, day, written = 100.0, date(2020, 1, 1), 0
        with (folder / f"{symbol}.csv").open("w", newline="") as stream:
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow(["date", "open", "high", "low", "close", "volume"])
            while written < sessions:
                day += timedelta(days=1)
                if day.weekday() >= 5:
                    continue
                opening = round(price * (1 + generator.gauss(0, 0.004)), 2)
                price = round(opening * (1 + generator.gauss(0.0005, 0.015)), 2)
                high, low = max(opening, price) + 0.25, min(opening, price) - 0.25
                rows.writerow([day, opening, round(high, 2), round(low, 2), price, 1000 + written])
                written += 1
