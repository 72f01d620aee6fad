"""Every metric of the golden table, against the committed copy and the shared original."""

import json

import numpy as np
import pytest

from backtrail import metrics as m

from .golden import BENCHMARK, GOLDEN, RETURNS, SHARED, TIMES, date_of

DAYS = 252
GEOMETRIC = m.risk_free_per_period(0.02, DAYS)
SIMPLE = 0.02 / DAYS
SPAN = (int(TIMES[0]), int(TIMES[-1]))
US_PER_DAY = 86_400 * 10**6


def _drawdown_days(end):
    drawdown = m.deepest_drawdown(RETURNS)
    return (TIMES[getattr(drawdown, end)] - TIMES[drawdown.peak]) / US_PER_DAY


GOLDEN_TO_METRIC = {
    "n": lambda: len(RETURNS),
    "total_return": lambda: m.total_return(RETURNS),
    "cagr_252": lambda: m.cagr(RETURNS, DAYS),
    "cagr_calendar_365_25": lambda: m.cagr_calendar(RETURNS, *SPAN),
    "ann_vol": lambda: m.annual_volatility(RETURNS, DAYS),
    "mean_ann_arith": lambda: m.annual_mean_return(RETURNS, DAYS),
    "sharpe_rf0": lambda: m.sharpe_ratio(RETURNS, DAYS),
    "sharpe_rf2_geom": lambda: m.sharpe_ratio(RETURNS, DAYS, GEOMETRIC),
    "sharpe_rf2_simple": lambda: m.sharpe_ratio(RETURNS, DAYS, SIMPLE),
    "sortino_rf0": lambda: m.sortino_ratio(RETURNS, DAYS),
    "sortino_rf2_geom": lambda: m.sortino_ratio(RETURNS, DAYS, GEOMETRIC),
    "downside_dev_ann": lambda: m.downside_deviation(RETURNS, DAYS),
    "max_drawdown": lambda: m.max_drawdown(RETURNS),
    "calmar_252": lambda: m.calmar_ratio(RETURNS, DAYS),
    "calmar_calendar": lambda: m.calmar_ratio_calendar(RETURNS, *SPAN),
    "beta": lambda: m.beta(RETURNS, BENCHMARK),
    "alpha_arith_ann": lambda: m.alpha_arithmetic(RETURNS, BENCHMARK, DAYS),
    "alpha_geom_ann": lambda: m.alpha(RETURNS, BENCHMARK, DAYS),
    "alpha_rf2_geom_ann": lambda: m.alpha(RETURNS, BENCHMARK, DAYS, GEOMETRIC),
    "skew_pop": lambda: m.skewness(RETURNS),
    "skew_unbiased": lambda: m.skewness_unbiased(RETURNS),
    "exkurt_pop": lambda: m.excess_kurtosis(RETURNS),
    "exkurt_unbiased": lambda: m.excess_kurtosis_unbiased(RETURNS),
    "var95_hist": lambda: m.value_at_risk(RETURNS),
    "cvar95_hist": lambda: m.conditional_value_at_risk(RETURNS),
    "var95_gauss": lambda: m.gaussian_value_at_risk(RETURNS),
    "win_rate_days_all": lambda: m.positive_share(RETURNS),
    "win_rate_days_nonzero": lambda: m.positive_share_nonzero(RETURNS),
    "profit_factor_days": lambda: m.gain_loss_ratio(RETURNS),
    "omega_0": lambda: m.omega_ratio(RETURNS),
    "best_day": lambda: m.best_return(RETURNS),
    "worst_day": lambda: m.worst_return(RETURNS),
    "tail_ratio": lambda: m.tail_ratio(RETURNS),
    "ulcer_n": lambda: m.ulcer_index(RETURNS),
    "ulcer_n_minus_1": lambda: m.ulcer_index_sample(RETURNS),
    "info_ratio_period": lambda: m.period_information_ratio(RETURNS, BENCHMARK),
    "info_ratio_ann": lambda: m.information_ratio(RETURNS, BENCHMARK, DAYS),
    "r_squared": lambda: m.r_squared(RETURNS, BENCHMARK),
    "stability": lambda: m.stability(RETURNS),
    "psr_0_popmoments": lambda: m.probabilistic_sharpe_ratio(RETURNS),
    "mdd_peak": lambda: date_of(m.deepest_drawdown(RETURNS).peak),
    "mdd_valley": lambda: date_of(m.deepest_drawdown(RETURNS).valley),
    "mdd_recovery": lambda: date_of(m.deepest_drawdown(RETURNS).recovery),
    "mdd_days_peak_to_recovery": lambda: _drawdown_days("recovery"),
    "mdd_days_peak_to_valley": lambda: _drawdown_days("valley"),
}

# A published mistake (deviation of the negative returns only), which the library does not offer.
NOT_OFFERED = {"sortino_rf0_ddof_negonly"}


def _assert_equal(found, expected):
    if isinstance(expected, str):
        assert found == expected
    else:
        assert found == pytest.approx(expected, rel=1e-11, abs=1e-12)


def test_every_golden_number_has_a_metric():
    assert set(GOLDEN) - NOT_OFFERED == set(GOLDEN_TO_METRIC)


@pytest.mark.parametrize("name", GOLDEN_TO_METRIC)
def test_metric_equals_its_golden_number(name):
    _assert_equal(GOLDEN_TO_METRIC[name](), GOLDEN[name])


@pytest.mark.parametrize("name", GOLDEN_TO_METRIC)
def test_metric_equals_the_shared_original(name):
    if not SHARED.exists():
        pytest.skip("the shared golden file is not on this machine")
    _assert_equal(GOLDEN_TO_METRIC[name](), json.loads(SHARED.read_text())["values"][name]["numpy"])


def test_sortino_equals_the_textbook_vector():
    # Published: 4.417261 for these eight yearly returns (Red Rock, "Sortino: a sharper ratio").
    yearly = np.array([0.17, 0.15, 0.23, -0.05, 0.12, 0.09, 0.13, -0.04])
    assert m.sortino_ratio(yearly, 1) == pytest.approx(4.417261, abs=5e-7)
