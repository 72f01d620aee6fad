"""The seeded workload of the engine benchmark and of the parity table.

Geometric Brownian motion rounded to cents, with closes nudged by one cent wherever the 10-bar and
the 50-bar average are exactly equal, so that no engine's decision hangs on how it adds. Daily bars
stand on sessions of XNYS, minute bars on its trading minutes, labeled by their ends.

Rules common to every case: long while SMA 10 > SMA 50, flat otherwise; decided at the close, filled
at the next open where an engine can; commission `RATES[case]` of the traded value; capital
1,000,000; all in. With 50 symbols each entry buys 2 % of the portfolio, and cash is shared.
"""

import argparse
import csv
import gzip
import hashlib
import importlib.util
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.data.sessions import sessions

FAST: Final = 10
SLOW: Final = 50
CAPITAL: Final = 1_000_000
SYMBOLS: Final = 50
# A thousandth would ruin the account on minute bars, where it trades 27,591 times.
RATES: Final = {
    "daily1": 0.001,
    "daily50": 0.001,
    "min1": 0.00001,
    "min100k": 0.00001,
    "sp500": 0.001,
}

FIELDS: Final = ("open", "high", "low", "close", "volume")
_MINUTE: Final = 60_000_000
Arrays = dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]
Ints = npt.NDArray[np.int64]


def make(case: str) -> Arrays:
    """Return the bars of a case: `timestamps` in microseconds UTC, and `FIELDS`.

    Args:
        case: `daily1` (5,000 bars), `daily50` (5,000 bars of 50 symbols, shape (n, 50)), `min1`
            (1,000,000 minutes), `min100k` (the first 100,000 of them) or `sp500` (the S&P 500 of
            the package `arch`, 5,031 bars as they stand in its file).
    """
    if case == "sp500":
        return _sp500()
    if case == "daily1":
        return {"timestamps": _days(5_000), **_prices(5_000, 7, 0.06 / 252, 0.02, 100.0)}
    if case == "daily50":
        made = [_prices(5_000, 1_000 + i, 0.06 / 252, 0.02, 100.0) for i in range(SYMBOLS)]
        columns = {name: np.stack([one[name] for one in made], axis=1) for name in FIELDS}
        return {"timestamps": _days(5_000), **columns}
    n = 1_000_000
    drawn = _prices(n, 11, 0.06 / 252 / 390, 0.02 / np.sqrt(390), 1000.0)
    whole = {"timestamps": _minutes(n), **drawn}
    if case == "min100k":
        return {name: column[:100_000] for name, column in whole.items()}
    if case == "min1":
        return whole
    raise ValueError(f"case {case!r}; there are {', '.join(RATES)}")


def write(case: str, folder: Path) -> Path:
    """Write a case to `<folder>/<case>.npz` unless it is there, and return the path."""
    path = folder / f"{case}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(".part.npz")
        np.savez(made, **make(case))
        made.rename(path)
    return path


def checksum(arrays: Arrays) -> str:
    """Return the sha256 of all columns, little-endian, in C order."""
    found = hashlib.sha256()
    for name in ("timestamps", *FIELDS):
        column = np.ascontiguousarray(arrays[name])
        found.update(name.encode() + column.astype(column.dtype.newbyteorder("<")).tobytes())
    return found.hexdigest()


def _prices(n: int, seed: int, drift: float, sigma: float, start: float) -> Arrays:
    generator = np.random.default_rng(seed)
    steps = generator.standard_normal(n) * sigma + drift - 0.5 * sigma**2
    closes = start * np.exp(np.cumsum(steps))
    gaps = generator.standard_normal(n) * sigma * 0.25
    opens = np.empty(n)
    opens[0] = start
    opens[1:] = closes[:-1] * np.exp(gaps[1:])
    above = np.abs(generator.standard_normal(n)) * sigma * 0.3
    below = np.abs(generator.standard_normal(n)) * sigma * 0.3
    volumes = generator.integers(1_000_000, 5_000_000, n).astype(np.float64)
    close = _untied(_cents(closes))
    first = _cents(opens)
    top, bottom = np.maximum(first, close), np.minimum(first, close)
    high = np.maximum(np.round(top * np.exp(above)), top).astype(np.int64)
    low = np.maximum(np.minimum(np.round(bottom * np.exp(-below)), bottom), 1).astype(np.int64)
    ticks = {"open": first, "high": high, "low": low, "close": close}
    return {**{name: column / 100.0 for name, column in ticks.items()}, "volume": volumes}


def _cents(prices: npt.NDArray[np.float64]) -> Ints:
    return np.maximum(np.round(prices * 100), 1).astype(np.int64)


def _untied(close: Ints) -> Ints:
    while len(ties := ties_of(close)):
        close[ties] += 1
    return close


def ties_of(close: Ints) -> Ints:
    """Return the rows at which both averages of integer closes are exactly equal."""
    sums = np.concatenate([[0], np.cumsum(close)])
    slow = sums[SLOW:] - sums[:-SLOW]
    fast = (sums[FAST:] - sums[:-FAST])[SLOW - FAST :]
    return np.flatnonzero(fast * (SLOW // FAST) == slow) + SLOW - 1


def _days(n: int) -> Ints:
    found = sessions("XNYS", date(2004, 1, 2), date(2025, 12, 31)).dates[:n]
    return found.astype("datetime64[us]").astype(np.int64)


def _minutes(n: int) -> Ints:
    found = sessions("XNYS", date(2010, 1, 4), date(2025, 12, 31))
    lengths = found.minutes
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    within = np.arange(lengths.sum()) - starts + 1
    return (np.repeat(found.opens, lengths) + within * _MINUTE)[:n]


def _sp500() -> Arrays:
    spec = importlib.util.find_spec("arch")
    if spec is None or spec.origin is None:
        raise ValueError("the case sp500 needs the package arch, which ships the prices")
    path = Path(spec.origin).parent / "data" / "sp500" / "sp500.csv.gz"
    with gzip.open(path, "rt") as stream:
        rows = list(csv.DictReader(stream))
    parts = [row["Date"].split("/") for row in rows]  # month, day, year
    dates = [f"{year}-{month:0>2}-{day:0>2}" for month, day, year in parts]
    columns = {name: np.array([float(row[name.capitalize()]) for row in rows]) for name in FIELDS}
    return {"timestamps": np.array(dates, dtype="datetime64[us]").astype(np.int64), **columns}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the cases go, one .npz each")
    target = parser.parse_args().folder
    for name in RATES:
        with np.load(write(name, target)) as stored:
            print(name, checksum(dict(stored)))
