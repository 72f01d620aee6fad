import numpy as np
import pytest

from backtrail import metrics as m


@pytest.mark.parametrize("constant", [0.0, 0.1, 0.01])
def test_ratios_without_variance_are_undefined(constant):
    series = [constant] * 7
    assert m.sharpe_ratio(series, 252) is None
    assert m.skewness(series) is None
    assert m.excess_kurtosis(series) is None
    assert m.gaussian_value_at_risk(series) is None
    assert m.probabilistic_sharpe_ratio(series) is None
    assert m.sortino_ratio(series, 252) is None
    assert m.annual_volatility(series, 252) == 0.0


def test_sharpe_of_a_small_series_is_the_hand_computed_one():
    # mean 0.02, deviation 0.01: 2 per bar, times sqrt(4) bars a year.
    assert m.sharpe_ratio([0.01, 0.02, 0.03], 4) == pytest.approx(4.0)
    assert m.sharpe_ratio([0.01, 0.02, 0.03], 4, 0.01) == pytest.approx(2.0)


def test_annual_volatility_of_one_return_is_undefined():
    assert m.annual_volatility([0.1], 252) is None


def test_risk_free_rate_compounds_to_the_annual_one():
    assert (1 + m.risk_free_per_period(0.05, 12)) ** 12 == pytest.approx(1.05)


def test_unbiased_moments_need_enough_returns():
    assert m.skewness_unbiased([0.1, 0.2]) is None
    assert m.excess_kurtosis_unbiased([0.1, 0.2, 0.4]) is None


def test_probabilistic_sharpe_of_noise_is_uniform():
    # Negative control: under the null it exceeds 0.95 in five percent of the samples.
    rng = np.random.default_rng(5)
    values = [m.probabilistic_sharpe_ratio(rng.standard_normal(250) / 100) for _ in range(2000)]
    assert np.mean(np.array(values) > 0.95) == pytest.approx(0.05, abs=0.016)
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)
