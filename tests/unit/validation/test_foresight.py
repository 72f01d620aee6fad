import numpy as np
import pytest

from backtrail.validation import check_look_ahead, check_warm_up, cuts_between

from .test_histories import market


def window_sum(values, length):
    """Return rolling means, bar by bar: no bit of one depends on bars before its window."""
    found = np.full(values.shape, np.nan)
    for row in range(length - 1, len(values)):
        found[row] = values[row - length + 1 : row + 1].mean(axis=0)
    return found


def clean(seed):
    """Return a random strategy of past bars, and its memory in bars."""
    source = np.random.default_rng(seed)
    kind, fast = int(source.integers(0, 5)), int(source.integers(2, 15))
    slow = fast + int(source.integers(1, 20))

    def decide(bars):
        close = bars.close
        if kind == 0:
            return (window_sum(close, fast) > window_sum(close, slow)) * 1.0
        if kind == 1:
            weights = np.zeros(close.shape)
            weights[slow:] = np.sign(close[slow:] / close[:-slow] - 1.0)
            return weights
        if kind == 2:
            weights = np.zeros(close.shape)
            for row in range(slow, len(close)):
                weights[row] = close[row] >= close[row - slow : row + 1].max(axis=0)
            return weights
        if kind == 3:
            return np.where(bars.open < window_sum(bars.low, fast), 1.0, np.nan)
        ranks = np.zeros(close.shape)
        moves = close[slow:] / close[:-slow]
        ranks[slow:] = moves.argsort(axis=1).argsort(axis=1)
        return ranks

    return decide, slow + 1


def looks_ahead(bars):
    weights = np.zeros(bars.shape)
    weights[:-1] = bars.close[1:] > bars.close[:-1]
    return weights


def knows_the_mean_of_all(bars):
    return (bars.close > bars.close.mean(axis=0)) * 1.0


def knows_the_number_of_bars(bars):
    weights = np.ones(bars.shape)
    weights[-1] = 0.0  # sells at the end of the history
    return weights


def recursive(bars):
    """Return the sign of an average that never forgets, from a sum since the first bar."""
    volume = np.sign(np.diff(bars.close, axis=0, prepend=bars.close[:1])) * bars.volume
    return np.cumsum(volume, axis=0)


def look(decide, bars, *, count=12, seed=1):
    cuts = cuts_between(len(bars.timestamps), first=40, count=count)
    return check_look_ahead(decide, bars, cuts=cuts, generator=np.random.default_rng(seed))


@pytest.mark.parametrize("decide", [looks_ahead, knows_the_mean_of_all, knows_the_number_of_bars])
def test_who_knows_the_future_is_caught(decide):
    found = look(decide, market())
    assert found.passed is False
    assert found.figure >= 1
    assert "The strategy looks ahead: with the bars after row" in found.words


def test_the_first_decision_that_changed_is_named():
    found = look(looks_ahead, market(), count=1)  # the cut is row 40
    assert "after row 40" in found.words
    assert "decision at row 40 is another one. The same at 1 of 1 cuts." in found.words


def test_a_strategy_that_decides_by_chance_is_told_apart():
    source = np.random.default_rng(1)
    found = look(lambda bars: source.normal(size=bars.shape), market())
    assert (found.passed, found.figure) == (False, None)
    assert "two runs on equal bars decided differently" in found.words


def test_too_short_a_history_cannot_be_asked():
    assert look(looks_ahead, market(bars=30)).passed is None
    found = check_warm_up(recursive, market(bars=60), starts=[50], warm_up=20)
    assert found.passed is None
    assert "No history of more than 20 bars" in found.words


def accused(numbers):
    """Return how many random clean strategies either check accuses."""
    bad = 0
    for number in numbers:
        decide, memory = clean(number)
        bars = market(bars=90, seed=number, symbols=1 + number % 3)
        ahead = look(decide, bars, count=4, seed=number)
        warm = check_warm_up(decide, bars, starts=(3, 17, 31), warm_up=memory)
        bad += (ahead.passed is not True) + (warm.passed is not True)
    return bad


def test_clean_strategies_are_never_accused():
    assert accused(range(20)) == 0


@pytest.mark.slow
def test_none_of_two_hundred_clean_strategies_is_accused():
    """The stated rate of false alarms of both checks is 0; found: 0 of 400."""
    assert accused(range(100, 300)) == 0


def test_a_memory_of_the_first_bar_is_caught_and_a_short_one_is_measured():
    bars = market()
    found = check_warm_up(recursive, bars, starts=(5, 20), warm_up=30)
    assert (found.passed, found.threshold) == (False, 30.0)
    assert "never forgets" in found.words

    def momentum(bars):
        weights = np.zeros(bars.shape)
        weights[10:] = bars.close[10:] / bars.close[:-10]
        return weights

    found = check_warm_up(momentum, bars, starts=(5, 20), warm_up=30)
    assert (found.passed, found.figure) == (True, 10.0)
    assert check_warm_up(momentum, bars, starts=(5, 20), warm_up=9).passed is False


def test_a_difference_below_the_tolerance_is_none():
    def fading(bars):
        return bars.close + 0.5 ** np.arange(len(bars.close))[:, np.newaxis]

    found = check_warm_up(fading, market(), starts=(40,), warm_up=30, tolerance=1e-3)
    assert (found.passed, found.figure) == (True, 10.0)  # 2^-10 is the first below
    assert check_warm_up(fading, market(), starts=(40,), warm_up=30, tolerance=0.0).passed is False


def test_cuts_are_spread_and_leave_a_bar_after_them():
    assert cuts_between(100, first=10, count=3) == (10, 54, 98)
    assert cuts_between(12, first=10, count=5) == (10,)
    assert cuts_between(11, first=10, count=5) == ()
