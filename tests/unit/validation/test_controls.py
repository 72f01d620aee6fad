import math

import numpy as np
import pytest

from backtrail.validation import (
    check_costs,
    check_noise,
    check_random_entries,
    parameter_noise,
    price_noise,
)

from .test_foresight import clean, looks_ahead, recursive
from .test_histories import market


def account(decide, *, cost=0.0):
    """Return a function from bars to returns per bar: weights decided at a close, held from it."""

    def run(bars):
        held = np.nan_to_num(decide(bars))[:-1] / len(bars.symbols)
        moved = bars.close[1:] / bars.close[:-1] - 1.0
        turnover = np.abs(np.diff(held, axis=0, prepend=0.0)).sum(axis=1)
        return (held * moved).sum(axis=1) - cost * turnover

    return run


def noise_check(decide, *, seed=1, histories=60, cost=0.0, rate=0.01):
    bars = market(bars=150, symbols=2, seed=seed)
    return check_noise(
        account(decide, cost=cost), bars, histories=histories,
        generator=np.random.default_rng(seed), false_alarm_rate=rate,
    )  # fmt: skip


def test_who_earns_on_noise_is_caught():
    found = noise_check(looks_ahead)
    assert found.passed is False
    assert found.figure > 20
    assert found.words.endswith("what earns on noise knows the future or is credited too much.")
    always = noise_check(lambda bars: np.ones(bars.shape))
    assert always.passed is True
    # The quantile 0.99 of Student's t with 59 degrees of freedom, from a table.
    assert always.threshold == pytest.approx(2.391, abs=5e-4)


def test_costs_make_a_loss_of_noise_and_no_alarm():
    found = noise_check(lambda bars: np.sign(np.sin(np.arange(len(bars.close))))[:, np.newaxis]
                        * np.ones(bars.shape), cost=0.002)  # fmt: skip
    assert found.passed is True
    assert found.figure < -5


def test_a_strategy_that_never_trades_earns_nothing_on_noise():
    found = noise_check(lambda bars: np.zeros(bars.shape))
    assert (found.passed, found.figure) == (True, 0.0)


def accused(numbers, rate):
    return sum(
        noise_check(clean(number)[0], seed=number, histories=40, rate=rate).passed is False
        for number in numbers
    )


def test_clean_strategies_are_accused_of_noise_at_the_stated_rate():
    # Of 40 at a rate of .1, 4 are expected; 11 or more have a chance of one in 800.
    assert accused(range(40), 0.1) <= 10


@pytest.mark.slow
def test_two_hundred_clean_strategies_are_accused_of_noise_at_the_stated_rate():
    """At the stated 1 % two are expected, found: 1; at 10 % twenty are, found: 15."""
    assert accused(range(200, 400), 0.01) <= 7
    error = 3.0 * math.sqrt(200 * 0.1 * 0.9)
    assert accused(range(200, 400), 0.1) == pytest.approx(20, abs=error)


def entries(weights, returns, seed=1, level=0.05):
    return check_random_entries(
        weights, returns, samples=199, generator=np.random.default_rng(seed), level=level
    )


def spells(source, bars, length=8):
    """Return weights of zero and one in spells, one symbol."""
    changes = source.random(bars) < 1.0 / length
    return ((np.cumsum(changes) + source.integers(0, 2)) % 2).astype(float)[:, np.newaxis]


def test_timing_without_skill_passes_at_the_stated_level():
    passed = 0
    for number in range(300):
        source = np.random.default_rng(number)
        returns = source.normal(0.001, 0.01, (250, 1))  # a market that rises helps nobody's timing
        passed += entries(spells(source, 250), returns, number).passed
    assert passed / 300 == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 300))


def test_timing_with_skill_is_told_from_the_same_positions_at_other_times():
    found = 0
    for number in range(60):
        source = np.random.default_rng(number)
        weights = spells(source, 500)
        returns = source.normal(0.0, 0.01, (500, 1)) + 0.003 * (weights - 0.5)
        found += entries(weights, returns, number).passed
    assert found / 60 > 0.8


def test_a_p_value_counts_the_random_times():
    weights = np.array([[1.0], [0.0], [0.0], [0.0]])
    found = entries(weights, np.array([[0.03], [0.01], [-0.02], [-0.01]]))
    assert found.figure == pytest.approx(1 / 200)  # no other time did as well
    worst = entries(weights, np.array([[-0.03], [0.01], [0.02], [0.01]]))
    assert worst.figure == 1.0
    assert (
        worst.words == "Of 199 random times for the same positions, 100.0% did as well or better."
    )


def test_positions_that_never_change_have_no_timing():
    found = entries(np.ones((50, 2)), np.random.default_rng(1).normal(size=(50, 2)))
    assert (found.passed, found.figure) == (None, None)


def test_costs_are_paid_and_nothing_is_gained_where_prices_stand_still():
    paid = check_costs(-0.031, trades=40, has_costs=True)
    assert (paid.passed, paid.figure) == (True, -0.031)
    assert paid.words == ("On still prices the same trades cost 3.10% of the capital.")
    assert check_costs(0.0, trades=40, has_costs=True).passed is False
    assert check_costs(0.0, trades=40, has_costs=False).passed is True
    credited = check_costs(0.01, trades=40, has_costs=False)
    assert credited.passed is False
    assert credited.words.endswith("costs are not charged, or the account is credited too much.")
    assert check_costs(0.0, trades=0, has_costs=True).passed is None


def test_a_plateau_and_a_peak():
    plateau = parameter_noise(1.0, [0.9, 0.8, 1.1, np.nan])
    assert (plateau.kept, plateau.undefined, plateau.low, plateau.median) == (0.75, 1, 0.8, 0.9)
    peak = parameter_noise(1.0, [0.1, -0.2, 0.3, 0.5])
    assert (peak.kept, peak.mean) == (0.25, pytest.approx(0.175))
    assert parameter_noise(-1.0, [0.1, 0.2]).kept is None
    alone = parameter_noise(1.0, [])
    assert (alone.kept, alone.mean, len(alone.samples)) == (None, None, 0)


def test_a_result_that_hangs_on_exact_prices_is_lost_by_a_little_noise():
    bars = market(bars=600, symbols=1, seed=9)

    def trend(bars):
        close = bars.close[:, 0]
        moved = close[1:] / close[:-1] - 1.0
        return float((moved[20:] * (close[20:-1] > close[:-21])).sum()) + 1.0

    def last_digit(bars):
        cents = (bars.close[:-1, 0] * 1e6) % 7 < 3.5
        moved = bars.close[1:, 0] / bars.close[:-1, 0] - 1.0
        return float((moved * np.where(cents, 1.0, -1.0)).sum())

    made = np.random.default_rng(1)
    steady = price_noise(trend, bars, samples=40, scale=0.02, generator=made)
    assert steady.kept == 1.0
    assert steady.mean == pytest.approx(steady.observed, rel=0.1)
    chance = price_noise(last_digit, bars, samples=200, scale=0.02, generator=made)
    assert abs(chance.mean) < 3 * chance.samples.std() / math.sqrt(200)
    with pytest.raises(ValueError, match="the figure is None on the bars themselves"):
        price_noise(lambda bars: None, bars, samples=5, scale=0.1, generator=made)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="5 histories are too few; take 20 or more"):
        noise_check(recursive, histories=5)
    with pytest.raises(ValueError, match=r"weights have shape \(5, 1\), returns \(4, 1\)"):
        entries(np.ones((5, 1)), np.ones((4, 1)))
