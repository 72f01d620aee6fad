from dataclasses import replace

import numpy as np
import pytest

from backtrail.errors import DataValidationError

from .support import make_bars

N = float("nan")


def _with(name, value):
    bars = make_bars({"A": [1.0, 2.0, 3.0], "B": [4.0, 5.0, 6.0]})
    return replace(bars, **{name: value})


def test_bars_are_read_only_and_contiguous_by_symbol():
    bars = make_bars({"A": [1, 2], "B": [3, 4]})
    assert bars.close[:, 1].tolist() == [3.0, 4.0]
    assert bars.close.flags.f_contiguous
    with pytest.raises(ValueError, match="read-only"):
        bars.close[0, 0] = 9.0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("symbols", (), "at least one name"),
        ("symbols", ("A", "A"), "once"),
        ("symbols", ("A", ""), "non-empty"),
        ("timestamps", np.array([1, 1, 2]), "row 1 is not after"),
        ("timestamps", np.array([0.0, 1.0, 2.0]), "int64 microseconds"),
        ("close", np.ones((2, 2)), r"shape \(2, 2\)"),
        (
            "close",
            np.array([[1, 4], [0, 5], [3, 6.0]]),
            r"close\[1\] of A: 0.0; finite, above zero",
        ),
        ("high", np.array([[1, 4], [np.inf, 5], [3, 6.0]]), r"high\[1\] of A: inf"),
        ("low", np.array([[1, 4], [2, N], [3, 6.0]]), "all five values or none"),
        ("volume", np.full((3, 2), -1.0), "zero or above"),
        ("splits", np.zeros((3, 2)), "ratio above zero"),
        ("dividends", np.full((3, 2), -0.1), "cash per share"),
        ("delisted", np.array([-1, 1]), "2, the row of its last bar"),
        ("delisted", np.array([-1]), r"pass shape \(2,\)"),
    ],
)
def test_bars_refuse_what_breaks_a_rule(name, value, message):
    with pytest.raises(DataValidationError, match=message):
        _with(name, value)


def test_symbol_without_any_bar_is_refused():
    with pytest.raises(DataValidationError, match="no bar at all"):
        make_bars({"A": [1.0, 2.0], "B": [N, N]})


def test_a_column_is_put_on_its_tick_once_and_the_price_is_the_close():
    bars = make_bars({"A": [1.25, 2.5, 3.75], "B": [1 / 3, 2 / 3, 1.0]})
    ticks = bars.ticks("close", 0)
    assert (ticks.sums / ticks.scale).tolist() == [0.0, 1.25, 3.75, 7.5]
    assert bars.ticks("price", 0) is bars.ticks("close", 0) is ticks
    assert bars.ticks("close", 1) is None
    assert replace(bars, close=bars.close * 2).ticks("close", 0).sums[-1] == 2 * ticks.sums[-1]
