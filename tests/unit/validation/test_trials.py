import math

import numpy as np
import pytest

from backtrail.metrics import SharpeEstimate
from backtrail.validation import (
    deflated_sharpe_ratio,
    effective_trials,
    expected_maximum,
    least_years,
    most_trials,
)


@pytest.mark.parametrize(
    # 1/sqrt(pi) for two; the others by quadrature apart from this library.
    ("trials", "exact"),
    [(2, 1.0 / math.sqrt(math.pi)), (10, 1.53875), (100, 2.50759), (1, 0.0)],
)
def test_the_expected_maximum_by_quadrature(trials, exact):
    assert expected_maximum(trials, exact=True) == pytest.approx(exact, abs=2e-5)


def test_the_expected_maximum_is_what_simulation_gives():
    draws = np.random.default_rng(1).standard_normal((40_000, 30)).max(axis=1)
    error = 3.0 * draws.std() / math.sqrt(len(draws))
    assert expected_maximum(30, exact=True) == pytest.approx(draws.mean(), abs=error)
    assert expected_maximum(30) == pytest.approx(draws.mean(), rel=0.02)


def test_more_trials_deflate_more_and_the_best_of_noise_is_not_skill():
    best = SharpeEstimate(0.1, 1250)
    found = [deflated_sharpe_ratio(best, trials=n, variance=0.0005) for n in (2, 10, 100, 1000)]
    assert found == sorted(found, reverse=True)
    generator = np.random.default_rng(5)
    passed = 0
    for _ in range(300):
        noise = generator.normal(0.0, 0.01, (500, 40))
        ratios = noise.mean(axis=0) / noise.std(axis=0, ddof=1)
        luckiest = SharpeEstimate.of(noise[:, ratios.argmax()])
        deflated = deflated_sharpe_ratio(luckiest, trials=40, variance=ratios.var(ddof=1))
        passed += deflated > 0.95
    # The best of 40 passes PSR nearly always; deflated, it passes at most at the nominal rate.
    assert passed / 300 <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / 300)


def test_least_years_and_most_trials_agree():
    for years in (0.3, 2.0, 5.0, 20.0):
        trials = most_trials(years)
        assert least_years(trials) <= years < least_years(trials + 1)


def test_effective_trials_of_copies_and_of_independent_ones():
    generator = np.random.default_rng(2)
    one = generator.normal(size=(2000, 1))
    assert effective_trials(np.repeat(one, 20, axis=1)) == pytest.approx(1.0)
    assert effective_trials(generator.normal(size=(20_000, 20))) == pytest.approx(20.0, abs=0.2)
    half = one + generator.normal(size=(2000, 20))  # each pair has a correlation of one half
    assert effective_trials(half) == pytest.approx(10.5, abs=0.7)
    assert effective_trials(np.zeros((5, 3))) == 3.0
    assert effective_trials(one) == 1.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: expected_maximum(0.5), "trials is 0.5"),
        (lambda: least_years(10, 0.0), "annual_sharpe is 0.0"),
        (lambda: most_trials(-1.0), "years is -1.0"),
        (lambda: effective_trials([1.0, 2.0]), r"shape \(2,\)"),
        (lambda: SharpeEstimate(0.1, 1), "1 observations"),
        (lambda: SharpeEstimate(0.1, 9).least_observations(confidence=0.2), "confidence is 0.2"),
    ],
)
def test_bad_input_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_ratio_below_its_benchmark_never_has_data_enough():
    assert SharpeEstimate(0.1, 99).least_observations(0.1) == math.inf
    # The formula's variance is negative where moments and ratio cannot go together.
    impossible = SharpeEstimate(1.0, 99, skewness=5.0, kurtosis=3.0)
    assert impossible.deviation() is None
    assert impossible.probability_above() is None
    assert SharpeEstimate.of([0.01, 0.01, 0.01]) is None
