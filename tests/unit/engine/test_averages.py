import math

import numpy as np
import pytest

from backtrail.engine import SignalBars, TradingAlgorithm, run_event
from backtrail.engine.market import Market
from backtrail.errors import StrategyError
from tests.unit.engine.support import config, make_bars

N = math.nan


def averages_of(bars, symbol, length, field="close"):
    """What `data.sma` says at every bar."""
    said = []

    class Asks(TradingAlgorithm):
        def handle_data(self, context, data):
            said.append(data.sma(symbol, length, field))

    run_event(Asks, bars, config())
    return said


def test_an_average_counts_the_running_bar_and_is_nan_before_there_are_enough():
    bars = make_bars({"A": [1.0, 2.0, 4.0, 9.0]})
    assert averages_of(bars, "A", 2) == pytest.approx([N, 1.5, 3.0, 6.5], nan_ok=True)
    assert averages_of(bars, "A", 5) == pytest.approx([N] * 4, nan_ok=True)


def test_an_average_is_of_the_symbols_own_bars():
    bars = make_bars({"A": [1.0] * 6, "B": [N, 2.0, N, 4.0, 6.0, N]})
    assert averages_of(bars, "B", 2) == pytest.approx([N, N, N, 3.0, 5.0, 5.0], nan_ok=True)
    column = SignalBars(Market(bars)).sma(2)[:, 1]
    np.testing.assert_array_equal(column, [N, N, N, 3.0, 5.0, N])


def test_an_average_is_in_shares_of_the_running_bar_and_a_volume_as_well():
    bars = make_bars({"A": [10.0, 10.0, 5.0, 5.0]}, splits={("A", 2): 2.0})
    # After the two-for-one split the closes before it read 5, and 1,000 units read 2,000.
    assert averages_of(bars, "A", 2) == pytest.approx([N, 10.0, 5.0, 5.0], nan_ok=True)
    volumes = averages_of(bars, "A", 2, "volume")
    assert volumes == pytest.approx([N, 1000.0, 1500.0, 1000.0], nan_ok=True)


def test_a_signal_sees_forward_adjusted_averages_once_computed():
    bars = make_bars({"A": [10.0, 10.0, 5.0, 5.0]}, splits={("A", 2): 2.0})
    seen = SignalBars(Market(bars))
    np.testing.assert_array_equal(seen.sma(2)[:, 0], [N, 10.0, 10.0, 10.0])
    assert seen.sma(2) is seen.sma(2)
    with pytest.raises(ValueError, match="read-only"):
        seen.sma(2)[0] = 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Z", 2), "unknown symbol 'Z'"),
        (("A", 0), "average of 0 bars; ask for 1 or more"),
        (("A", 2.0), "average of 2.0 bars"),
        (("A", 2, "price2"), "unknown field 'price2'"),
    ],
)
def test_what_cannot_be_averaged_is_refused(arguments, message):
    bars = make_bars({"A": [1.0, 2.0]})
    with pytest.raises(StrategyError, match=message):
        averages_of(bars, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"), [((0,), "average of 0 bars"), ((2, "hold"), "unknown field 'hold'")]
)
def test_a_signal_asks_for_what_there_is(arguments, message):
    seen = SignalBars(Market(make_bars({"A": [1.0, 2.0]})))
    with pytest.raises(StrategyError, match=message):
        seen.sma(*arguments)
