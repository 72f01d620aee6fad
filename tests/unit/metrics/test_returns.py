import numpy as np
import pytest

from backtrail import metrics as m
from backtrail.errors import EmptySeriesError

YEAR_US = 31_557_600 * 10**6

SERIES_FUNCTIONS = [
    m.total_return,
    lambda r: m.cagr(r, 252),
    lambda r: m.cagr_calendar(r, 0, YEAR_US),
    lambda r: m.annual_mean_return(r, 252),
    m.best_return,
    m.worst_return,
    m.positive_share,
    m.positive_share_nonzero,
    m.omega_ratio,
    m.tail_ratio,
    m.stability,
    lambda r: m.annual_volatility(r, 252),
    lambda r: m.sharpe_ratio(r, 252),
    lambda r: m.sortino_ratio(r, 252),
    lambda r: m.downside_deviation(r, 252),
    m.skewness,
    m.excess_kurtosis,
    m.value_at_risk,
    m.conditional_value_at_risk,
    m.gaussian_value_at_risk,
    m.probabilistic_sharpe_ratio,
    m.max_drawdown,
    m.drawdown_series,
    m.deepest_drawdown,
    m.ulcer_index,
    lambda r: m.calmar_ratio(r, 252),
    lambda r: m.beta(r, r),
    lambda r: m.information_ratio(r, r, 252),
]


@pytest.mark.parametrize("function", SERIES_FUNCTIONS)
def test_metric_of_an_empty_series_is_an_error(function):
    with pytest.raises(EmptySeriesError, match="has no value"):
        function(np.empty(0))


@pytest.mark.parametrize("function", SERIES_FUNCTIONS)
def test_metric_of_a_series_with_nan_names_the_row(function):
    with pytest.raises(ValueError, match=r"returns\[1\] is nan"):
        function([0.1, float("nan")])


def test_growth_of_ten_percent_twice_is_twenty_one_percent():
    assert m.total_return([0.1, 0.1]) == pytest.approx(0.21)
    assert m.cagr([0.1, 0.1], 1) == pytest.approx(0.1)
    assert m.cagr_calendar([0.1, 0.1], 0, 2 * YEAR_US) == pytest.approx(0.1)


def test_growth_after_losing_more_than_everything_is_undefined():
    assert m.total_return([-1.5]) == pytest.approx(-1.5)
    assert m.cagr([-1.5], 252) is None
    assert m.cagr([-1.0], 252) == -1.0
    assert m.stability([0.1, -1.0, 0.1]) is None


def test_shares_and_ratios_of_a_small_series():
    series = [0.02, -0.01, 0.0, 0.03]
    assert m.positive_share(series) == 0.5
    assert m.positive_share_nonzero(series) == pytest.approx(2 / 3)
    assert m.omega_ratio(series) == pytest.approx(5.0)
    assert m.omega_ratio(series, 0.01) == pytest.approx(1.0)
    assert m.positive_share_nonzero([0.0, 0.0]) is None
    assert m.omega_ratio([0.1]) is None
