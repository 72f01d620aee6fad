import math

import numpy as np
import pytest

from backtrail.validation import reality_check, superior_ability
from backtrail.validation.superiority import _long_run_deviations


def generator(seed=1):
    return np.random.default_rng(seed)


def noise(trials=20, bars=400, seed=3):
    return np.random.default_rng(seed).normal(0.0, 1.0, (bars, trials))


def steady_among_noisy():
    """Nineteen noisy trials, and one with a small gain and a variance much smaller."""
    matrix = noise(20, 500, seed=11) * 2.0
    matrix[:, 19] = 0.03 + 0.2 * np.random.default_rng(12).normal(size=500)
    return matrix


def spa(matrix, *, samples=999, block=5.0, seed=1):
    return superior_ability(matrix, block=block, samples=samples, generator=generator(seed))


def test_the_reality_check_is_the_unstudentized_one_of_arch():
    # `arch` compares raw means, whatever `studentize` is; its upper p-value is White's.
    matrix = noise() + 0.03
    from arch.bootstrap import SPA

    oracle = SPA(np.zeros(400), -matrix, block_size=5, reps=4000, seed=generator(5))
    oracle.compute()
    found = reality_check(matrix, block=5.0, samples=4000, generator=generator())
    assert found.p_value == pytest.approx(oracle.pvalues["upper"], abs=0.03)
    assert found.p_lower == found.p_value == found.p_upper
    assert found.statistic == pytest.approx(20.0 * matrix.mean(axis=0).max())
    assert found.best == matrix.mean(axis=0).argmax()


def test_superior_ability_is_that_of_arch_on_differences_divided_by_their_deviation():
    matrix = noise(12, 400, seed=8) * np.linspace(0.2, 3.0, 12) + 0.04
    deviations = matrix.std(axis=0)  # independent bars: the long-run deviation is the plain one
    from arch.bootstrap import SPA

    oracle = SPA(np.zeros(400), -matrix / deviations, block_size=1, reps=4000, seed=generator(5))
    oracle.compute()
    found = spa(matrix, samples=4000, block=1.0)
    wanted = (oracle.pvalues["lower"], oracle.pvalues["consistent"], oracle.pvalues["upper"])
    assert (found.p_lower, found.p_value, found.p_upper) == pytest.approx(wanted, abs=0.03)
    assert found.p_lower <= found.p_value <= found.p_upper


def test_a_steady_gain_among_noisy_trials_is_seen_only_when_studentized():
    matrix = steady_among_noisy()
    assert spa(matrix).p_value < 0.05
    assert spa(matrix).best == 19
    assert reality_check(matrix, block=5.0, samples=999, generator=generator()).p_value > 0.2


def test_bad_trials_do_not_hide_a_good_one_as_they_do_with_the_upper_bound():
    matrix = noise(40, 400, seed=4)
    matrix[:, 1:] -= 1.0
    matrix[:, 0] += 0.1
    found = spa(matrix)
    assert found.p_value < found.p_upper
    assert found.p_value < 0.06


@pytest.mark.parametrize("test", [superior_ability, reality_check])
def test_on_noise_it_rejects_at_its_nominal_rate(test):
    source = np.random.default_rng(21)
    found = np.array(
        [
            test(
                source.normal(size=(200, 8)), block=1.0, samples=199, generator=generator(number)
            ).p_value
            for number in range(400)
        ]
    )
    for level in (0.05, 0.1, 0.2):
        error = 3.0 * math.sqrt(level * (1 - level) / 400)
        assert np.mean(found <= level) == pytest.approx(level, abs=error + 0.01)


def test_a_planted_edge_is_found():
    source, found = np.random.default_rng(22), 0
    for number in range(60):
        matrix = source.normal(size=(400, 20))
        matrix[:, 5] += 0.25  # an annual Sharpe ratio of 4 over a year and a half
        found += spa(matrix, samples=199, block=1.0, seed=number).p_value <= 0.05
    assert found / 60 > 0.9


def test_dependence_between_bars_widens_the_test():
    # The same bar five times over: five times fewer facts.
    matrix = np.repeat(noise(5, 100, seed=6), 5, axis=0)
    assert spa(matrix, block=10.0).p_value > 10 * spa(matrix, block=1.0).p_value


def test_trials_equal_to_the_benchmark_are_left_out():
    matrix = noise()
    with_equal = np.column_stack([matrix, np.zeros(400)])
    assert spa(with_equal).p_value == spa(matrix).p_value
    with pytest.raises(ValueError, match="no trial ever differs from the benchmark"):
        spa(np.zeros((50, 3)))


def test_nothing_better_than_the_benchmark_is_sure_to_be_luck():
    found = spa(noise() - 1.0)
    assert (found.statistic, found.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.zeros((5, 3)), r"shape \(5, 3\); pass bars x trials with ten bars or more"),
        (np.zeros(50), r"shape \(50,\)"),
        (np.full((50, 2), np.nan), "value of trial 0 at bar 0 is nan"),
    ],
)
def test_bad_input_is_refused(matrix, words):
    for test in (superior_ability, reality_check):
        with pytest.raises(ValueError, match=words):
            test(matrix, block=2.0, samples=9, generator=generator())


@pytest.mark.parametrize("bars", [503, 504, 1006])  # a prime, a product of small primes, between
def test_the_long_run_deviation_is_that_of_every_lag_whatever_the_length(bars):
    rows = np.random.default_rng(bars).normal(0.0, 0.01, (3, bars)).cumsum(axis=1)
    rows[2] = 1.0
    keep, expected = 1.0 - 1.0 / 9.0, []
    for row in rows:
        centered, total = row - row.mean(), 0.0
        for lag in range(bars):
            covariance = float((centered * np.roll(centered, -lag)).sum()) / bars
            kernel = (bars - lag) / bars * keep**lag
            kernel += lag / bars * keep ** (bars - lag) if lag else 0.0
            total += kernel * covariance
        expected.append(math.sqrt(max(total, 0.0)))
    assert _long_run_deviations(rows, 9.0) == pytest.approx(expected, rel=1e-9, abs=1e-14)
