"""Bars, configs and strategies that the engine tests share."""

import csv
import gzip
import importlib
import importlib.util
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from backtrail.engine import Bars, CommissionConfig, EngineConfig, ExecutionRules, TradingAlgorithm

ROOT = Path(__file__).resolve().parents[3]
DAY_US = 86_400 * 10**6
START_US = 946_857_600 * 10**6  # 2000-01-03


def config(*, cost="0", capital="1000", ledger="decimal", seed=0, **others):
    """Return settings; what is no setting of the engine is an execution rule."""
    model = "per_dollar" if Decimal(cost) else "none"
    parts = {
        name: others.pop(name)
        for name in ("commission", "slippage", "margin", "instruments")
        if name in others
    }
    return EngineConfig(
        ledger=ledger,
        rules=ExecutionRules(**others),
        capital_base=Decimal(capital),
        seed=seed,
        **{"commission": CommissionConfig(model, Decimal(cost))} | parts,
    )


def listed(values):
    """Return a column as a list, NaN as None, so that equal columns compare as equal."""
    return [None if value is not None and value != value else value for value in values]


def make_bars(
    closes,
    opens=None,
    *,
    highs=None,
    lows=None,
    volumes=None,
    splits=None,
    dividends=None,
    delisted=None,
):
    """Return bars of {symbol: closes}; opens default to the closes, NaN is a missing bar.

    Highs and lows default to the larger and the smaller of open and close, volumes to 1000.
    """
    symbols = tuple(closes)
    close = np.array([closes[s] for s in symbols], dtype=float).T
    open_ = close if opens is None else np.array([opens[s] for s in symbols], dtype=float).T
    n, k = close.shape
    given = {
        name: None if values is None else np.array([values[s] for s in symbols], dtype=float).T
        for name, values in (("high", highs), ("low", lows), ("volume", volumes))
    }
    usual = {
        "high": np.maximum(open_, close),
        "low": np.minimum(open_, close),
        "volume": np.where(np.isnan(close), np.nan, 1000.0),
    }
    split, dividend = np.ones((n, k)), np.zeros((n, k))
    for target, events in ((split, splits or {}), (dividend, dividends or {})):
        for (symbol, row), value in events.items():
            target[row, symbols.index(symbol)] = value
    last = np.full(k, -1)
    for symbol, row in (delisted or {}).items():
        last[symbols.index(symbol)] = row
    return Bars(
        symbols=symbols,
        timestamps=START_US + DAY_US * np.arange(n),
        open=open_,
        close=close,
        **{name: usual[name] if value is None else value for name, value in given.items()},
        splits=split,
        dividends=dividend,
        delisted=last,
        calendar="XNYS",
        timeframe="1d",
    )


def scripted(script, *, initialize=None):
    """Return an algorithm that calls script[row](self, context, data) at those rows."""

    class Scripted(TradingAlgorithm):
        def initialize(self, context):
            context.row = -1
            if initialize is not None:
                initialize(self, context)

        def handle_data(self, context, data):
            context.row += 1
            if context.row in script:
                script[context.row](self, context, data)

    return Scripted


def rows(table):
    """Return a table as a list of dicts."""
    return [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]


@contextmanager
def strategy_module(name):
    """Import a strategy of the repository as a run does: its folder on the import path."""
    folder = str(ROOT / "strategies")
    sys.path.insert(0, folder)
    before = set(sys.modules)
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(folder)
        for added in set(sys.modules) - before:
            del sys.modules[added]


def spx_bars(places=None):
    """Return the S&P 500 of the arch package, prices rounded when asked."""
    origin = Path(importlib.util.find_spec("arch").origin).parent
    with gzip.open(origin / "data/sp500/sp500.csv.gz", "rt") as stream:
        source = list(csv.DictReader(stream))
    dates = [datetime.strptime(row["Date"], "%m/%d/%Y").replace(tzinfo=UTC) for row in source]
    columns = {
        name.lower(): np.array([float(row[name]) for row in source])
        for name in ("Open", "High", "Low", "Close", "Volume")
    }
    if places is not None:
        for name in ("open", "high", "low", "close"):
            columns[name] = np.round(columns[name], places)
    times = np.array([int(date.timestamp()) * 10**6 for date in dates])
    return Bars.single("SPX", times, columns)
