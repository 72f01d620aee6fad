from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.engine import Bars
from backtrail.validation import (
    disturbed_bars,
    noise_bars,
    scrambled_future,
    shared_rows,
    still_bars,
    truncated_bars,
    without_first,
)

PRICES = ("open", "high", "low", "close")


def market(bars=120, symbols=3, seed=1, *, gaps=False):
    """Return bars with a split, a dividend and, if asked for, symbols that begin late or end."""
    source = np.random.default_rng(seed)
    close = 50.0 * np.exp(np.cumsum(source.normal(0.001, 0.02, (bars, symbols)), axis=0))
    opened = close * np.exp(source.normal(0.0, 0.005, close.shape))
    high = np.maximum(opened, close) * (1.0 + source.uniform(0.0, 0.01, close.shape))
    low = np.minimum(opened, close) * (1.0 - source.uniform(0.0, 0.01, close.shape))
    volume = source.integers(0, 9_000, close.shape).astype(float)
    splits, dividends = np.ones(close.shape), np.zeros(close.shape)
    splits[bars // 2, 0], dividends[bars // 3, 0] = 2.0, 1.5
    for array in (close, opened, high, low):
        array[bars // 2 :, 0] /= 2.0
    delisted = np.full(symbols, -1)
    if gaps:
        for array in (close, opened, high, low, volume):
            array[:9, 1] = np.nan
            array[::7, 2] = np.nan
            array[-5:, 2] = np.nan
        delisted[2] = int(np.flatnonzero(~np.isnan(close[:, 2]))[-1])
    return Bars(
        symbols=tuple("ABCDEF"[:symbols]), timestamps=np.arange(bars) * 86_400_000_000,
        open=opened, high=high, low=low, close=close, volume=volume, splits=splits,
        dividends=dividends, delisted=delisted, calendar="XNYS", timeframe="1d",
    )  # fmt: skip


def makes_sense(made, bars):
    """Check what the constructor of the bars does not: highs, lows, and where bars are."""
    own = ~np.isnan(bars.close)
    assert (~np.isnan(made.close) == own).all()
    for name in ("open", "low", "close"):
        assert (made.high[own] >= getattr(made, name)[own]).all()
        assert (made.low[own] <= getattr(made, name)[own]).all()
    assert made.timestamps.tolist() == bars.timestamps.tolist()
    assert made.symbols == bars.symbols


@given(seed=st.integers(0, 30), stop=st.integers(1, 119), gaps=st.booleans())
def test_every_history_keeps_the_sense_of_bars(seed, stop, gaps):
    bars = market(seed=seed, gaps=gaps)
    generator = np.random.default_rng(seed)
    makes_sense(scrambled_future(bars, stop, generator), bars)
    makes_sense(noise_bars(bars, generator), bars)
    makes_sense(disturbed_bars(bars, generator, scale=0.5), bars)
    makes_sense(still_bars(bars), bars)


@pytest.mark.parametrize("gaps", [False, True])
def test_another_future_leaves_the_past_as_it_was(gaps):
    bars = market(gaps=gaps)
    made = scrambled_future(bars, 60, np.random.default_rng(2))
    for name in (*PRICES, "volume", "splits", "dividends"):
        old, new = getattr(bars, name), getattr(made, name)
        assert np.array_equal(old[:60], new[:60], equal_nan=True), name
    assert (made.close[60:] != bars.close[60:]).all()
    assert (made.splits[60:] == 1.0).all()
    # The first symbol had a split at 60: its price goes on from the close before.
    assert made.close[60, 0] / bars.close[59, 0] == pytest.approx(1.0, abs=0.15)


def test_a_split_and_a_dividend_are_in_the_moves_not_beside_them():
    flat = np.array([[100.0], [100.0], [49.0], [49.0]])
    bars = Bars.single(
        "A", np.arange(4) * 86_400_000_000,
        {name: flat[:, 0] for name in PRICES} | {"volume": np.ones(4)},
    )  # fmt: skip
    with_events = replace(
        bars,
        splits=np.array([[1.0], [1.0], [2.0], [1.0]]),
        dividends=np.array([[0.0], [0.0], [1.0], [0.0]]),
    )
    made = scrambled_future(with_events, 1, np.random.default_rng(1))
    assert made.close[:, 0] == pytest.approx(100.0)  # nobody gained or lost anything


def test_noise_has_no_drift_from_any_open_or_close():
    bars = market(bars=400, symbols=1, seed=3)
    growth = (1.01 ** np.arange(400))[:, np.newaxis]
    rising = replace(bars, **{name: getattr(bars, name) * growth for name in PRICES})
    source, day, night = np.random.default_rng(4), [], []
    for _ in range(200):
        made = noise_bars(rising, source)
        day.append((made.close[1:, 0] / made.open[1:, 0] - 1.0).mean())
        night.append((made.open[1:, 0] / made.close[:-1, 0] - 1.0).mean())
    for found in (day, night):
        assert abs(np.mean(found)) < 3.5 * np.std(found) / np.sqrt(len(found))
    assert np.mean(rising.close[1:, 0] / rising.close[:-1, 0] - 1.0) > 0.008


def test_symbols_of_noise_move_together_as_they_did():
    bars = market(bars=600, symbols=2, seed=5)
    twin = Bars(
        **{
            name: np.column_stack([getattr(bars, name)[:, 1], getattr(bars, name)[:, 1]])
            for name in (*PRICES, "volume", "splits", "dividends")
        },
        symbols=bars.symbols, timestamps=bars.timestamps, delisted=bars.delisted,
        calendar="XNYS", timeframe="1d",
    )  # fmt: skip
    made = noise_bars(twin, np.random.default_rng(1))
    assert made.close[:, 0] == pytest.approx(made.close[:, 1])
    moves = np.diff(np.log(made.close[:, 0]))
    assert abs(np.corrcoef(moves[1:], moves[:-1])[0, 1]) < 0.12


def test_disturbed_prices_are_off_by_the_size_asked_for():
    bars = market(bars=4000, symbols=1, seed=6)
    off = np.log(disturbed_bars(bars, np.random.default_rng(1), scale=0.1).close / bars.close)
    # The usual move is .02 a bar; the split is no move.
    assert off.std() == pytest.approx(0.002, rel=0.06)
    same = disturbed_bars(bars, np.random.default_rng(1), scale=0.0)
    assert all((getattr(same, name) == getattr(bars, name)).all() for name in PRICES)
    with pytest.raises(ValueError, match="scale is -1"):
        disturbed_bars(bars, np.random.default_rng(1), scale=-1)


def test_prices_that_stand_still():
    bars = market(gaps=True)
    still = still_bars(bars)
    assert still.close[:, 0].tolist() == [bars.close[0, 0]] * 120
    assert np.nanmin(still.close[:, 1]) == np.nanmax(still.close[:, 1]) == bars.close[9, 1]
    assert (still.splits == 1.0).all()
    assert (still.dividends == 0.0).all()


def test_histories_are_cut_where_every_symbol_has_bars():
    bars = market(gaps=True)
    assert shared_rows(bars) == (9, 114)
    early, late = truncated_bars(bars, 50), without_first(bars, 50)
    assert (early.shape, late.shape) == ((50, 3), (70, 3))
    assert late.close[0].tolist() == bars.close[50].tolist()
    assert (early.delisted.tolist(), late.delisted.tolist()) == ([-1, -1, -1], [-1, -1, 64])
    with pytest.raises(ValueError, match="B has no bar in rows 0 to 8; cut in shared rows"):
        truncated_bars(bars, 9)
