import base64
from datetime import UTC, datetime

import numpy as np
import pytest

from backtrail.reports.series import PriceArrays, pack_floats, point_limit, price_plan, time_grid

DAY = 86_400_000_000
MINUTE = 60_000_000


def floats(text):
    return np.frombuffer(base64.b64decode(text), dtype="<f4").tolist()


def axis(times):
    steps = np.frombuffer(base64.b64decode(times["steps"]), dtype="<u4")
    return (times["first"] + np.cumsum(steps)).tolist()


def test_few_bars_stay_one_point_each():
    moments = np.arange(5, dtype=np.int64) * DAY
    grid = time_grid(moments)
    assert grid.step is None
    assert axis(grid.times()) == [0, 86_400, 172_800, 259_200, 345_600]
    assert floats(pack_floats(grid.last(np.array([1.0, np.nan, 3, 4, 5.5])))) == pytest.approx(
        [1.0, np.nan, 3, 4, 5.5], nan_ok=True
    )


def test_minute_bars_are_joined_to_whole_clock_steps_that_keep_the_extremes():
    first = int(datetime(2024, 1, 2, 9, 58, tzinfo=UTC).timestamp()) * 1_000_000
    moments = first + np.arange(10, dtype=np.int64) * MINUTE
    grid = time_grid(moments, limit=3)
    assert grid.step == "5 min"
    assert axis(grid.times()) == [first // 1_000_000 + seconds for seconds in (0, 120, 420)]
    equity = np.array([5.0, 9, 1, 2, 99, 3, 4, 7, -8, 6])
    assert grid.last(equity).tolist() == [9, 4, 6]
    assert grid.lowest(equity).tolist() == [5, 1, -8]
    assert grid.highest(equity).tolist() == [9, 99, 7]


def test_daily_bars_beyond_the_limit_become_weeks_from_monday():
    monday = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
    grid = time_grid(monday + np.arange(21, dtype=np.int64) * DAY, limit=3)
    assert grid.step == "1 week"
    assert ((grid.moments - monday) // DAY).tolist() == [0, 7, 14]


def test_a_million_minute_bars_fit_and_their_one_spike_survives():
    moments = np.arange(1_000_000, dtype=np.int64) * MINUTE
    values = np.zeros(1_000_000)
    values[654_321] = 7.0
    grid = time_grid(moments)
    assert grid.moments.size <= 8_000
    assert grid.highest(values).max() == 7.0
    assert grid.step == "4 h"


def test_a_run_that_must_be_aggregated_is_so_until_its_candles_fit():
    assert [point_limit(8_000, 50), point_limit(9_000, 1), point_limit(9_000, 3)] == [
        8_000,
        8_000,
        4_000,
    ]
    limit = point_limit(9_000, 50)
    assert limit == 2_000
    assert price_plan("ABC", {}, point_limit(9_000, 3)).candles


def test_bars_within_one_second_are_joined():
    grid = time_grid(np.array([0, 400_000, 1_000_000], dtype=np.int64))
    assert grid.step == "1 s"
    assert axis(grid.times()) == [0, 1]


def test_prices_are_joined_first_open_highest_lowest_last_close():
    moments = np.arange(6, dtype=np.int64) * MINUTE
    grid = time_grid(np.arange(10, dtype=np.int64) * MINUTE, limit=2)
    prices = PriceArrays(
        moments=moments + MINUTE,
        columns={
            "open": np.array([1.0, 2, 3, 4, 5, 6]),
            "high": np.array([2.0, 9, 4, 5, 6, 7]),
            "low": np.array([0.5, 1, 2, 3, 0.25, 5]),
            "close": np.array([1.5, 2.5, 3.5, 4.5, 5.5, 6.5]),
        },
    )
    packed = prices.packed(grid, end=int(moments[-1]))
    assert grid.step == "5 min"
    assert {name: floats(text) for name, text in packed.items()} == {
        "open": [1, 5],
        "high": [9, 6],
        "low": [0.5, 0.25],
        "close": [4.5, 5.5],
    }


def test_a_symbol_without_a_bar_in_the_run_has_only_gaps():
    grid = time_grid(np.array([10 * DAY, 11 * DAY], dtype=np.int64))
    early = PriceArrays(moments=np.array([DAY]), columns={"close": np.array([5.0])})
    assert np.isnan(floats(early.packed(grid, end=11 * DAY)["close"])).all()


def test_prices_are_candles_then_closes_then_of_the_most_traded_symbols_only():
    trades = {"B": 5, "C": 2}
    assert price_plan("ABC", trades, 10, limit=120).candles
    closes = price_plan("ABC", trades, 10, limit=119)
    assert (closes.candles, closes.symbols, closes.left_out) == (False, ("B", "C", "A"), ())
    few = price_plan("ABC", trades, 10, limit=25)
    assert (few.symbols, few.left_out) == (("B", "C"), ("A",))
