"""Figures over a risk-free rate, worked out by hand.

21 percent a year are 10 percent in each of two bars: 1.1 * 1.1 = 1.21. Of the returns below that is
left 0.2, -0.2, 0 and 0.1, with the mean 0.025 and the squares of deviations 0.030625, 0.050625,
0.000625 and 0.005625, together 0.0875; of those of the benchmark 0.1, -0.1, 0 and 0.2, mean 0.05.
"""

import math

import pytest

from backtrail.metrics import (
    SharpeEstimate,
    metric,
    risk_free_of,
    risk_free_per_period,
    summarize_tables,
)
from backtrail.metrics.own import own_metrics
from backtrail.metrics.summary import summarize

EQUITY = [100.0, 130.0, 117.0, 128.7, 154.44]  # +30 %, -10 %, +10 %, +20 %
RETURNS = [0.3, -0.1, 0.1, 0.2]
BENCHMARK = [None, 0.2, 0.0, 0.1, 0.3]
ABOVE = {
    "sharpe_ratio": 0.025 / math.sqrt(0.0875 / 3) * math.sqrt(2),
    # Only -0.2 is below the target: sqrt(0.04 / 4) = 0.1.
    "sortino_ratio": 0.25 * math.sqrt(2),
    "downside_deviation": 0.1 * math.sqrt(2),
    "omega_ratio": 0.3 / 0.2,
    # Covariance 0.055 / 3 over variance 0.05 / 3.
    "beta": 1.1,
    # 0.025 - 1.1 * 0.05 = -0.03 a bar, and 0.97 * 0.97 = 0.9409.
    "alpha": -0.0591,
    # By SciPy 1.17: norm.cdf of the formula with skew and kurtosis of these four.
    "probabilistic_sharpe_ratio": 0.5968971,
    # What the rate takes from account and benchmark alike is not in their difference, which is 0.1,
    # -0.1, 0 and -0.1: mean -0.025, squares 0.015625, 0.005625, 0.000625 and 0.005625.
    "information_ratio": -0.025 / math.sqrt(0.0275 / 3) * math.sqrt(2),
}


def rows_at(rate):
    rows = summarize(
        EQUITY,
        range(5),
        periods_per_year=2,
        benchmark_returns=BENCHMARK,
        risk_free=rate,
        capital_base=100.0,
    )
    return {row.metric: row for row in rows}


def test_every_ratio_over_a_risk_free_rate_is_what_a_hand_finds():
    rows = rows_at(0.21)
    for name, value in ABOVE.items():
        assert rows[name].value == pytest.approx(value, rel=1e-6), name


def test_what_is_not_over_the_rate_does_not_change_with_it():
    free, above = rows_at(0.0), rows_at(0.21)
    moved = {name for name in free if free[name].value != above[name].value}
    unmoved = {"beta", "information_ratio"}
    assert moved == set(ABOVE) - unmoved
    stated = {name for name in free if free[name].assumption != above[name].assumption}
    assert stated == moved
    for name in moved:
        assert "risk-free rate 0.21 a year" in above[name].assumption, name


def test_a_negative_rate_raises_the_ratios():
    # (1 - 0.19) is 0.9 * 0.9, so 0.1 a bar is added: a mean of 0.225.
    found = rows_at(-0.19)["sharpe_ratio"].value
    assert found == pytest.approx(0.225 / math.sqrt(0.0875 / 3) * math.sqrt(2), rel=1e-12)


def test_the_rate_of_an_identity_is_a_number_and_zero_where_none_is_stated():
    assert (risk_free_of({"risk_free_rate": "0.0525"}), risk_free_of({})) == (0.0525, 0.0)
    assert risk_free_per_period(0.21, 2) == pytest.approx(0.1, rel=1e-15)


def test_an_estimate_is_of_what_is_above_the_rate():
    found = SharpeEstimate.of(RETURNS, 0.1)
    assert found.ratio == pytest.approx(0.025 / math.sqrt(0.0875 / 3), rel=1e-12)
    assert found.skewness == pytest.approx(SharpeEstimate.of(RETURNS).skewness, rel=1e-12)


def test_a_metric_of_a_strategy_s_own_takes_the_rate_of_a_bar():
    @metric
    def above(returns, risk_free_per_period):
        return float((returns - risk_free_per_period).sum())

    own = own_metrics({"above": above}, strategy="mine", builtin=lambda: ())
    tables = {
        "backtest_results": {
            "portfolio_value": EQUITY,
            "timestamp": range(5),
            "benchmark_returns": None,
            "gross_exposure": None,
        },
        "trades": {"pnl": [], "bars_held": [], "is_open": []},
        "fills": {"value": [], "commission": [], "slippage": []},
    }
    rows = summarize_tables(tables, periods_per_year=2, risk_free=0.21, own=own)
    assert rows[-1].value == pytest.approx(0.1, rel=1e-12)
