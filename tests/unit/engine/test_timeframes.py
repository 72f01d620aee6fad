"""Longer bars made of a run's bars, and indicators that a strategy declares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtrail.engine import Bars, TradingAlgorithm, run_event
from backtrail.errors import StrategyError

from .support import DAY_US, START_US, config, make_bars, scripted

MINUTE = 60 * 10**6
N = float("nan")


def minutes(closes, per_day=4, step=1, gap=(), **symbols):
    """Return minute bars of A (and others), so many a day from 14:30."""
    names = {"A": closes, **symbols}
    n = len(closes)
    day, place = np.divmod(np.arange(n), per_day)
    close = np.array([names[name] for name in names], dtype=float).T
    open_ = close - 0.5
    return Bars(
        symbols=tuple(names),
        timestamps=START_US + day * DAY_US + (870 + place * step) * MINUTE,
        open=open_,
        high=close + 1,
        low=close - 0.5,
        close=close,
        volume=np.where(np.isnan(close), np.nan, 10.0),
        splits=np.ones(close.shape),
        dividends=np.zeros(close.shape),
        delisted=np.full(len(names), -1),
        calendar="XNYS",
        timeframe=f"{step}m",
    )


def histories(bars, *request):
    """Return what `data.history` says at every bar."""
    found = []
    script = {
        row: lambda self, context, data: found.append(data.history(*request).copy())
        for row in range(bars.shape[0])
    }
    run_event(scripted(script), bars, config())
    return found


def test_daily_history_of_minutes_ends_with_the_day_in_the_making():
    bars = minutes([1, 5, 2, 3, 7, 6, 9, 8, 4])
    closes = histories(bars, "A", "close", 2, "1d")
    assert [list(found) for found in closes] == [
        [1], [5], [2], [3], [3, 7], [3, 6], [3, 9], [3, 8], [8, 4],
    ]  # fmt: skip
    assert list(histories(bars, "A", "open", 3, "1d")[-1]) == [0.5, 6.5, 3.5]
    assert list(histories(bars, "A", "high", 3, "1d")[5]) == [6, 8]
    assert list(histories(bars, "A", "low", 3, "1d")[6]) == [0.5, 5.5]
    assert list(histories(bars, "A", "volume", 3, "1d")[6]) == [40, 30]
    assert list(histories(bars, "A", "price", 1, "1d")[6]) == [9]


def test_longer_minutes_count_from_the_open_of_each_session():
    bars = minutes([1, 2, 3, 4, 5, 6, 7, 8], per_day=5)
    closes = histories(bars, "A", "close", 9, "2m")
    assert [list(found) for found in closes] == [
        [1], [2], [2, 3], [2, 4], [2, 4, 5], [2, 4, 5, 6], [2, 4, 5, 7], [2, 4, 5, 7, 8],
    ]  # fmt: skip


def test_weeks_are_made_of_daily_bars_from_monday():
    bars = make_bars({"A": list(range(1, 10))})  # from Monday 2000-01-03, a bar a day
    closes = histories(bars, "A", "close", 3, "1w")
    assert [list(found) for found in closes][5:] == [[6], [7], [7, 8], [7, 9]]


def test_symbols_with_gaps_are_joined_by_longer_bars():
    bars = minutes([1, 2, 3, 4, 5, 6], per_day=2, B=[N, N, 30, N, N, 60])
    found = histories(bars, ["B", "A"], "close", 2, "1d")
    expected = [
        [[N, 1]], [[N, 2]], [[N, 2], [30, 3]], [[N, 2], [30, 4]], [[30, 4], [N, 5]],
        [[30, 4], [60, 6]],
    ]  # fmt: skip
    for seen, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(seen, wanted)
    alone = histories(bars, "B", "close", 3, "1d")
    assert [list(values) for values in alone] == [[], [], [30], [30], [30], [30, 60]]


def test_longer_bars_are_adjusted_for_splits_as_of_now():
    bars = make_bars({"A": [8, 8, 4, 4, 4, 4, 4, 5]}, splits={("A", 2): 2.0})
    assert list(histories(bars, "A", "close", 2, "1w")[7]) == [4, 5]
    assert list(histories(bars, "A", "open", 2, "1w")[7]) == [4, 5]
    assert list(histories(bars, "A", "volume", 1, "1w")[1]) == [2000]
    assert list(histories(bars, "A", "volume", 1, "1w")[3]) == [2 * 2000 + 2000]


def test_the_own_timeframe_may_be_named_and_the_values_cannot_be_changed():
    bars = minutes([1, 2, 3])
    assert list(histories(bars, "A", "close", 2, "1m")[2]) == [2, 3]

    def write(self, context, data):
        data.history("A", "close", 1, "1d")[0] = 9

    with pytest.raises(ValueError, match="read-only"):
        run_event(scripted({0: write}), bars, config())


@pytest.mark.parametrize("timeframe", ["3s", "90s", "2d", "1y", "25h", ""])
def test_a_timeframe_that_cannot_be_made_is_an_error(timeframe):
    with pytest.raises(StrategyError, match=r"timeframe|history at frequency"):
        histories(minutes([1]), "A", "close", 1, timeframe)
    with pytest.raises(StrategyError, match="these bars have '1d'"):
        histories(make_bars({"A": [1]}), "A", "close", 1, "1h")


@settings(max_examples=30)
@given(
    st.lists(st.floats(1, 100), min_size=2, max_size=30),
    st.integers(0, 29),
    st.sampled_from(["1d", "2m", "1w"]),
    st.sampled_from(["open", "high", "low", "close", "volume"]),
)
def test_longer_bars_do_not_look_ahead(closes, cut, timeframe, field):
    cut = min(cut, len(closes) - 1)
    other = closes[: cut + 1] + [200.0 + c for c in closes[cut + 1 :]]
    request = ("A", field, 4, timeframe)
    first, second = histories(minutes(closes), *request), histories(minutes(other), *request)
    for row in range(cut + 1):
        assert list(first[row]) == list(second[row])


# Indicators


def moving_range(high, low, length):
    found = np.full(len(high), np.nan)
    for row in range(length - 1, len(high)):
        window = slice(row + 1 - length, row + 1)
        found[row] = high[window].max() - low[window].min()
    return found


def looked_up(bars, symbol, function, **options):
    found = []

    class Looking(TradingAlgorithm):
        def initialize(self, context):
            self.declare_indicator("it", function, **options)

        def handle_data(self, context, data):
            found.append(data.indicator("it", symbol))

    run_event(Looking, bars, config())
    return found


def test_an_indicator_is_computed_once_and_served_at_its_bar():
    calls = []

    def counted(high, low, length):
        calls.append(len(high))
        return moving_range(high, low, length)

    bars = make_bars(
        {"A": [1, N, 3, 4, 2]}, highs={"A": [2, N, 4, 6, 2]}, lows={"A": [1, N, 2, 4, 1]}
    )
    found = looked_up(bars, "A", counted, fields=("high", "low"), unit="price", length=2)
    np.testing.assert_array_equal(found, [N, N, 3, 4, 5])
    assert calls.count(4) == 1  # its own four bars; the shorter ones are the check of its past


@pytest.mark.parametrize(
    "peeking",
    [
        lambda close: np.append(close[1:], close[-1]),
        lambda close: close - close.mean(),
        lambda close: np.convolve(close, np.ones(3) / 3, mode="same"),
        lambda close: close / close.max(),
        lambda close: close[::-1].copy(),
        lambda close: np.where(np.arange(len(close)) == len(close) // 2, close[-1], close),
    ],
)
def test_an_indicator_that_looks_ahead_is_refused(peeking):
    prices = np.random.default_rng(1).uniform(50, 150, 400)
    with pytest.raises(StrategyError, match="'it' of A looks ahead: at its bar"):
        looked_up(make_bars({"A": prices}), "A", peeking)


def test_units_say_what_a_split_does_to_an_indicator():
    bars = make_bars({"A": [8, 8, 4, 5]}, splits={("A", 2): 2.0})
    same = lambda values: values  # noqa: E731
    assert looked_up(bars, "A", same, unit="price") == [8, 8, 4, 5]
    assert looked_up(bars, "A", same, unit="ratio") == [8, 8, 8, 10]
    volumes = looked_up(bars, "A", same, fields="volume", unit="volume")
    assert volumes == [1000] * 4
    cumulative = looked_up(bars, "A", np.cumsum, fields="volume", unit="volume")
    assert cumulative == [1000, 2000, 5000, 6000]
    with pytest.raises(StrategyError, match="has no unit, and A splits"):
        looked_up(bars, "A", same)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda close: close[1:], {}, r"returned shape \(2,\)"),
        (lambda close: 1.0, {}, "returned float"),
        (lambda close: close.astype(str), {}, "an array of numbers"),
        (1, {}, "pass a function of arrays"),
        (np.cumsum, {"fields": "bid"}, "has 'bid'"),
        (np.cumsum, {"fields": ()}, "has no field"),
        (np.cumsum, {"unit": "money"}, "one of price, volume, ratio"),
    ],
)
def test_an_indicator_that_makes_no_sense_is_an_error(function, options, message):
    with pytest.raises(StrategyError, match=message):
        looked_up(make_bars({"A": [1, 2, 3]}), "A", function, **options)


def test_an_indicator_that_was_not_declared_is_an_error():
    script = {0: lambda self, context, data: data.indicator("rsi", "A")}
    with pytest.raises(StrategyError, match=r"no indicator 'rsi' was declared \(there are: none\)"):
        run_event(scripted(script), make_bars({"A": [1]}), config())

    def twice(self, context):
        self.declare_indicator("x", np.cumsum)
        self.declare_indicator("x", np.cumsum)

    with pytest.raises(StrategyError, match="declared twice"):
        run_event(scripted({}, initialize=twice), make_bars({"A": [1]}), config())
