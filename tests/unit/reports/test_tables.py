from datetime import UTC, datetime

import numpy as np
import pytest

from backtrail.reports.tables import drawdown_episodes, monthly_returns, return_histogram


def us(*days):
    return np.array(
        [int(datetime(*day, tzinfo=UTC).timestamp()) * 1_000_000 for day in days], dtype=np.int64
    )


def test_months_and_years_go_from_last_bar_to_last_bar():
    moments = us((2019, 11, 29), (2019, 12, 2), (2019, 12, 31), (2020, 1, 31), (2020, 3, 2))
    rows = monthly_returns(moments, np.array([100.0, 90, 110, 121, 60.5]))
    assert [row.year for row in rows] == [2019, 2020]
    assert rows[0].months[10] == 0.0
    assert rows[0].months[11] == pytest.approx(0.1)
    assert rows[0].total == pytest.approx(0.1)
    assert rows[1].months[:3] == (pytest.approx(0.1), None, pytest.approx(-0.5))
    assert rows[1].total == pytest.approx(-0.45)


def test_a_month_that_starts_without_equity_has_no_return():
    rows = monthly_returns(us((2020, 1, 2), (2020, 2, 3), (2020, 3, 2)), np.array([10.0, -5, 5]))
    assert rows[0].months[:3] == (0.0, pytest.approx(-1.5), None)
    assert monthly_returns(us(), np.array([])) == []


def test_episodes_are_ordered_by_depth_with_peak_valley_and_recovery():
    moments = us(*[(2020, 1, day) for day in range(1, 9)])
    falls = np.array([0.0, -0.1, 0.0, -0.2, -0.5, 0.0, 0.0, -0.3])
    found = drawdown_episodes(moments, falls)
    assert [(row.depth, row.days) for row in found] == [(-0.5, 3), (-0.3, 1), (-0.1, 2)]
    deepest, still_open, _ = found
    days = (deepest.peak, deepest.valley, deepest.recovered)
    assert days == tuple(us((2020, 1, 3), (2020, 1, 5), (2020, 1, 6)))
    assert still_open.recovered is None
    assert len(drawdown_episodes(moments, falls, count=2)) == 2


def test_equity_that_never_falls_has_no_episode():
    assert drawdown_episodes(us((2020, 1, 1)), np.array([0.0])) == []


def test_the_histogram_counts_every_return_once_and_leaves_flat_bars_out():
    rng = np.random.default_rng(7)
    returns = np.concatenate((rng.normal(0.0005, 0.01, 5000), np.zeros(100), [np.nan]))
    shape = return_histogram(returns, -0.0165)
    assert shape is not None
    assert (shape.shown, shape.flat) == (5000, 100)
    assert sum(bar.count for bar in shape.bars) + shape.outside == 5000
    assert 0 < shape.outside <= 12
    assert shape.value_at_risk is not None
    assert shape.value_at_risk.text == "-1.65%"
    below = sum(bar.count for bar in shape.bars if bar.high <= 1e-12)
    assert abs(below - int((returns < 0).sum())) <= shape.outside
    assert max(bar.height for bar in shape.bars) <= 100
    assert [tick.text for tick in shape.ticks] == ["-3%", "-2%", "-1%", "0%", "1%", "2%", "3%"]


@pytest.mark.parametrize("returns", [[], [0.0, 0.0], [0.01], [0.01, 0.01], [np.nan]])
def test_returns_without_a_spread_have_no_histogram(returns):
    assert return_histogram(np.array(returns, dtype=float), None) is None
