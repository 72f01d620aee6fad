from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backtrail.metrics import annual_volatility, beta, sharpe_ratio
from backtrail.reports.rolling import rolling_windows


def days(count, step=timedelta(days=1)):
    first = datetime(2010, 1, 4, 14, 30, tzinfo=UTC)
    return np.array([int((first + i * step).timestamp() * 1e6) for i in range(count)])


def noisy(count, seed=3):
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0004, 0.01, count)
    own = 0.6 * market + rng.normal(0.0002, 0.004, count)
    return 1000 * np.cumprod(1 + own), 50 * np.cumprod(1 + market)


def test_the_last_value_of_each_window_is_the_metric_of_the_returns_inside_it():
    equity, market = noisy(1000)
    windows = rolling_windows(days(1000), equity, market, calendar="XNYS", timeframe="1d")
    assert [window.size for window in windows] == [63, 126, 252]
    returns, other = equity[1:] / equity[:-1] - 1, market[1:] / market[:-1] - 1
    for window in windows:
        last, beside = returns[-window.size :], other[-window.size :]
        assert window.moments[-1] == days(1000)[-1]
        assert window.sharpe[-1] == pytest.approx(sharpe_ratio(last, 252), rel=1e-9)
        assert window.volatility[-1] == pytest.approx(annual_volatility(last, 252), rel=1e-9)
        assert window.beta[-1] == pytest.approx(beta(last, beside), rel=1e-9)
        first = returns[: window.size]
        assert window.step == 1
        assert window.sharpe[0] == pytest.approx(sharpe_ratio(first, 252), rel=1e-9)
        assert window.moments[0] == days(1000)[window.size]


def test_the_ratio_of_a_window_is_over_the_rate_of_its_bars():
    """Minutes are joined to days, so the rate is that of a day."""
    minutes = np.concatenate([days(200)[i] + np.arange(3) * 60_000_000 for i in range(200)])
    equity, _ = noisy(600)
    (window,) = rolling_windows(
        minutes, equity, None, calendar="XNYS", timeframe="1m", risk_free=0.05
    )
    returns = equity[5::3] / equity[2:-1:3] - 1
    day = 1.05 ** (1 / 252) - 1
    assert window.sharpe[-1] == pytest.approx(sharpe_ratio(returns[-63:], 252, day), rel=1e-9)
    assert window.sharpe[-1] < sharpe_ratio(returns[-63:], 252)


def test_a_long_run_keeps_every_few_values_and_the_last_one():
    equity, _ = noisy(6000)
    window = rolling_windows(days(6000), equity, None, calendar="24/7", timeframe="1d")[-1]
    assert (window.size, window.step, window.beta) == (365, 5, None)
    assert len(window.sharpe) <= 1300
    assert window.moments[-1] == days(6000)[-1]
    assert set(np.diff(window.moments)) == {5 * 86_400_000_000}


def test_minutes_are_joined_to_days_first():
    minutes = np.concatenate([days(200)[i] + np.arange(3) * 60_000_000 for i in range(200)])
    equity, _ = noisy(600)
    windows = rolling_windows(minutes, equity, None, calendar="XNYS", timeframe="1m")
    daily = equity[2::3]
    returns = daily[1:] / daily[:-1] - 1
    assert [window.size for window in windows] == [63]
    assert windows[0].sharpe[-1] == pytest.approx(sharpe_ratio(returns[-63:], 252), rel=1e-9)


def test_still_returns_have_no_sharpe_and_lost_equity_has_no_returns():
    equity = np.full(200, 1000.0)
    (window,) = rolling_windows(days(200), equity, equity, calendar="XNYS", timeframe="1d")
    assert np.isnan(window.sharpe).all()
    assert np.isnan(window.beta).all()
    assert (window.volatility == 0).all()
    equity = np.concatenate((noisy(150)[0], np.full(50, -5.0)))
    (window,) = rolling_windows(days(200), equity, None, calendar="XNYS", timeframe="1d")
    assert np.isfinite(window.volatility[0])
    assert np.isnan(window.volatility[-1])


@pytest.mark.parametrize("count", [0, 1, 2, 100, 126])
def test_a_run_shorter_than_two_windows_has_none(count):
    equity = np.linspace(1, 2, count)
    assert not rolling_windows(days(count), equity, None, calendar="XNYS", timeframe="1d")
