import numpy as np
import pytest

from backtrail.engine import run_event
from backtrail.errors import StrategyError

from .support import config, make_bars, scripted

N = float("nan")


def at(bars, row, look):
    """Look at the data of one bar from inside a run, and make sure that the bar was reached."""
    reached = []

    def handle(self, context, data):
        look(data)
        reached.append(row)

    run_event(scripted({row: handle}), bars, config())
    assert reached == [row]


def test_history_ends_at_the_running_bar_and_is_short_at_the_start():
    bars = make_bars({"A": [1, 2, 3, 4]})
    at(bars, 0, lambda data: _same(data.history("A", "close", 3), [1]))
    at(bars, 2, lambda data: _same(data.history("A", "close", 2), [2, 3]))
    at(bars, 3, lambda data: _same(data.history("A", "price", 9, "1d"), [1, 2, 3, 4]))


def test_history_is_a_read_only_view_of_the_bars():
    bars = make_bars({"A": [1, 2, 3]})

    def look(data):
        values = data.history("A", "close", 2)
        assert np.shares_memory(values, bars.close)
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0.0

    at(bars, 2, look)


def test_history_is_split_adjusted_as_of_the_running_bar():
    bars = make_bars({"A": [100, 102, 51, 17]}, splits={("A", 2): 2.0, ("A", 3): 3.0})
    at(bars, 1, lambda data: _same(data.history("A", "close", 5), [100, 102]))
    at(bars, 2, lambda data: _same(data.history("A", "close", 5), [50, 51, 51]))
    at(bars, 3, lambda data: _same(data.history("A", "close", 4), [100 / 6, 17, 17, 17]))
    at(bars, 2, lambda data: _same(data.history("A", "volume", 3), [2000, 2000, 1000]))
    at(bars, 2, lambda data: _same(data.history(["A"], "close", 5), [[50], [51], [51]]))


def test_splits_that_cancel_out_inside_the_window_still_adjust():
    bars = make_bars({"A": [10, 5, 10]}, splits={("A", 1): 2.0, ("A", 2): 0.5})
    at(bars, 2, lambda data: _same(data.history("A", "close", 3), [10, 10, 10]))
    at(bars, 2, lambda data: _same(data.history(["A"], "close", 3), [[10], [10], [10]]))


def test_history_of_one_symbol_leaves_out_rows_without_its_bar():
    bars = make_bars({"A": [1, N, 3, 4], "B": [1, 1, 1, 1]})
    at(bars, 1, lambda data: _same(data.history("A", "close", 2), [1]))
    at(bars, 3, lambda data: _same(data.history("A", "close", 2), [3, 4]))


def test_history_of_several_symbols_keeps_the_grid():
    bars = make_bars({"A": [1, N, 3], "B": [4, 5, 6]})
    at(bars, 2, lambda data: _same(data.history(("B", "A"), "close", 2), [[5, N], [6, 3]]))
    at(bars, 2, lambda data: np.shares_memory(data.history(["A", "B"], "close", 2), bars.close))


def test_current_price_is_the_last_known_close_in_shares_of_now():
    bars = make_bars({"A": [N, 10, N, 6], "B": [1, 1, 1, 1]}, splits={("A", 2): 2.0})
    at(bars, 0, lambda data: _same(data.current("A", "price"), N))
    at(bars, 1, lambda data: _same(data.current("A", "price"), 10))
    at(bars, 2, lambda data: _same(data.current("A", "price"), 5))
    at(bars, 2, lambda data: _same(data.current("A", "close"), N))
    at(bars, 3, lambda data: _same(data.current("A", "open"), 6))
    at(bars, 3, lambda data: _same(data.current("A", "volume"), 1000))


def test_symbol_without_a_bar_is_stale_and_cannot_be_traded():
    bars = make_bars({"A": [N, 10, N], "B": [1, 1, 1]})
    found = []
    for row in range(3):
        at(bars, row, lambda data: found.append((data.can_trade("A"), data.is_stale("A"))))
    assert found == [(False, False), (True, False), (False, True)]


def test_current_time_is_that_of_the_bar():
    at(
        make_bars({"A": [1, 2]}),
        1,
        lambda data: _is(data.current_dt.isoformat(), "2000-01-04T00:00:00+00:00"),
    )


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda data: data.history("Z", "close", 1), "unknown symbol 'Z'"),
        (lambda data: data.history("A", "bid", 1), "unknown field 'bid'"),
        (lambda data: data.history("A", "close", 0), "ask for 1 or more"),
        (lambda data: data.history("A", "close", 1, "1m"), "'1m'; these bars have '1d'"),
        (lambda data: data.current("Z", "price"), "unknown symbol 'Z'"),
        (lambda data: data.current("A", "bid"), "unknown field 'bid'"),
        (lambda data: data.can_trade("Z"), "unknown symbol 'Z'"),
    ],
)
def test_wrong_question_is_an_error(ask, message):
    with pytest.raises(StrategyError, match=message):
        at(make_bars({"A": [1, 2]}), 0, ask)


def _same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def _is(found, expected):
    assert found == expected
