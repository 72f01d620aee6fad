"""Computed prices for demos, tests and benchmarks: seeded, equal bytes on every machine.

Options (`bundles.<name>.options`), all required:

- `kind`: `daily_universe` (symbols SYN01, SYN02, … with splits, quarterly dividends for half of
  them and one delisting in the middle) or `minute_bars` (symbols SYNM1, … in one-minute bars,
  without adjustments).
- `symbols`: how many; a daily universe has at least 2.
- `start`, `end`: dates, both included; at least 10 sessions for a daily universe.
- `seed`: an integer.

Noise is summed from PCG64 integers and only added, multiplied and divided, never put through
`exp` or `log`, whose last bit differs between machines. Prices are rounded to cents.
"""

from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from backtrail.canonical import derive_seed
from backtrail.data.bundles import BundleConfig
from backtrail.data.identity import TIMESTAMP
from backtrail.data.library_calendars import calendar_over
from backtrail.data.raw_prices import RawPrices
from backtrail.data.sessions import Sessions, sessions
from backtrail.data.synthetic_config import SyntheticConfig
from backtrail.errors import ConfigError, Problem

__all__ = ["compute_prices"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_US_PER_DAY: Final = 86_400_000_000
_US_PER_MINUTE: Final = 60_000_000
_FEWEST_SESSIONS: Final = 10
_SPLIT_RATIOS: Final = (2.0, 1.5, 7.0, 0.1, 3.0)
_DIVIDEND_EVERY: Final = 63
_DIVIDEND_YIELD: Final = 0.006
_FILE: Final = "synthetic"


@dataclass(frozen=True, slots=True, eq=False)
class _Events:
    splits: FloatArray  # new shares per old at each bar, 1.0 = none
    pays: npt.NDArray[np.bool_]  # a dividend goes ex at this bar


def compute_prices(bundle: BundleConfig) -> RawPrices:
    """Return the prices that a bundle's options ask for.

    Raises:
        ConfigError: If an option is missing or refused, or the range has too few sessions.
        DatasetError: If the range reaches beyond the shipped calendar.
    """
    config = SyntheticConfig.from_options(bundle.name, bundle.timeframe, bundle.options)
    calendar = calendar_over(bundle.calendar, config.start, config.end)
    table = sessions(calendar, config.start, config.end)
    fewest = _FEWEST_SESSIONS if config.kind == "daily_universe" else 1
    if len(table) < fewest:
        found = f"{len(table)} sessions of {bundle.calendar} from {config.start} to {config.end}"
        where = f"bundles.{bundle.name}.start"
        raise ConfigError([Problem(where, found, f"take at least {fewest}")])
    if config.kind == "daily_universe":
        frame, delistings = _daily_universe(config, table)
    else:
        frame, delistings = _minute_bars(config, table), None
    return RawPrices(
        frame=frame,
        files=(_FILE,),
        delistings=delistings,
        dialect=({"adapter": "synthetic", **asdict(config)},),
        synthetic=True,
    )


def _daily_universe(config: SyntheticConfig, table: Sessions) -> tuple[pl.DataFrame, pl.DataFrame]:
    names = config.symbol_names
    symbols = pl.Enum(names)
    stamps = table.dates.astype(np.int64) * _US_PER_DAY
    gone, last = len(names) // 2, len(table) // 2
    frames = []
    for index, name in enumerate(names):
        rng = _generator(config.seed, name)
        events = _daily_events(index, len(table))
        vol = 0.008 + 0.007 * _uniform(rng)
        start = 50.0 + 200.0 * _uniform(rng)
        volume = rng.integers(100_000, 5_000_000, size=len(table)).astype(np.float64)
        columns = _walk(rng, events, start=start, drift=0.0003, vol=vol)
        frame = _frame(name, symbols, stamps, {**columns, "volume": volume, "split": events.splits})
        frames.append(frame.head(last) if index == gone else frame)
    bars = pl.concat(frames)
    final = frames[gone].tail(1)
    delisting = final.select(
        "symbol", "timestamp", pl.lit("delisting").alias("kind"), pl.col("close").alias("value")
    )
    return bars, delisting


def _daily_events(index: int, count: int) -> _Events:
    splits = np.ones(count)
    if index % 4 == 1:
        splits[(count // 3 + index) % (count - 1) + 1] = _SPLIT_RATIOS[index // 4 % 5]
        if index % 8 == 1:
            splits[(2 * count // 3 + index) % (count - 1) + 1] = 2.0
    pays = np.zeros(count, dtype=np.bool_)
    if index % 2 == 0:
        pays[min(_DIVIDEND_EVERY, count // 2) - 1 :: _DIVIDEND_EVERY] = True
        pays[0] = False
    return _Events(splits, pays & (splits == 1.0))


def _minute_bars(config: SyntheticConfig, table: Sessions) -> pl.DataFrame:
    names = config.symbol_names
    symbols = pl.Enum(names)
    first_row = np.cumsum(table.minutes) - table.minutes
    within = np.arange(int(table.minutes.sum())) - np.repeat(first_row, table.minutes)
    stamps = np.repeat(table.opens, table.minutes) + within * _US_PER_MINUTE
    quiet = _Events(np.ones(len(stamps)), np.zeros(len(stamps), dtype=np.bool_))
    frames = []
    for name in names:
        rng = _generator(config.seed, name)
        start = 50.0 + 200.0 * _uniform(rng)
        volume = rng.integers(100, 50_000, size=len(stamps)).astype(np.float64)
        columns = _walk(rng, quiet, start=start, drift=0.0000003, vol=0.0005)
        del columns["dividend"]
        frames.append(_frame(name, symbols, stamps, {**columns, "volume": volume}))
    return pl.concat(frames)


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive_seed(seed, name, "synthetic prices")))


def _uniform(rng: np.random.Generator) -> float:
    return int(rng.integers(0, 1 << 16)) / 65536.0


def _noise(rng: np.random.Generator, count: int) -> FloatArray:
    # Sum of twelve uniforms: mean 0, variance 1, exact in float64.
    total = np.zeros(count, dtype=np.int64)
    for _ in range(12):
        total += rng.integers(0, 1 << 16, size=count)
    return (total - 6 * 65535) / 65536.0


def _walk(
    rng: np.random.Generator, events: _Events, *, start: float, drift: float, vol: float
) -> dict[str, FloatArray]:
    count = len(events.splits)
    growth = 1.0 + np.clip(drift + vol * _noise(rng, count), -0.2, 0.2)
    paid = np.where(events.pays, 1.0 - _DIVIDEND_YIELD, 1.0)
    level = start * np.cumprod(growth * paid)
    shares = np.cumprod(events.splits)
    former = np.concatenate([[start], level[:-1]])
    close = _cents(level / shares)
    opened = _cents(former * paid * (1.0 + 0.3 * vol * _noise(rng, count)) / shares)
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    high = np.maximum(top, _cents(top / 100.0 * (1.0 + 0.4 * vol * np.abs(_noise(rng, count)))))
    low = np.minimum(
        bottom, _cents(bottom / 100.0 * (1.0 - 0.4 * vol * np.abs(_noise(rng, count))))
    )
    before = np.concatenate([[close[0]], close[:-1]])
    dividend = np.where(events.pays, _cents(before / 100.0 * _DIVIDEND_YIELD), 0)
    prices = {"open": opened, "high": high, "low": low, "close": close, "dividend": dividend}
    return {name: cents / 100.0 for name, cents in prices.items()}


def _cents(prices: FloatArray) -> IntArray:
    return np.maximum(np.floor(prices * 100.0 + 0.5), 1.0).astype(np.int64)


def _frame(
    name: str, symbols: pl.Enum, stamps: IntArray, columns: dict[str, FloatArray]
) -> pl.DataFrame:
    frame = pl.DataFrame({"timestamp": stamps, **columns})
    return frame.with_columns(
        pl.lit(name, dtype=symbols).alias("symbol"),
        pl.col("timestamp").cast(TIMESTAMP),
        pl.lit(0, dtype=pl.UInt32).alias("file"),
        pl.lit(0, dtype=pl.UInt32).alias("line"),
    )
