"""Negative controls: what a strategy should look like where there is nothing to be found.

Random entries hold the same positions at other times. On noise nothing can be earned by anybody. On
prices that stand still an account can only pay its costs. Each check states how often it accuses a
strategy that has nothing wrong.
"""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars
from backtrail.validation.checks import Check
from backtrail.validation.histories import noise_bars

__all__ = ["check_costs", "check_noise", "check_random_entries"]

FloatArray = npt.NDArray[np.float64]
Run = Callable[[Bars], FloatArray]

_LEAST_HISTORIES = 20


def check_random_entries(
    weights: npt.ArrayLike,
    returns: npt.ArrayLike,
    *,
    samples: int,
    generator: np.random.Generator,
    level: float = 0.05,
) -> Check:
    """Compare when a strategy was in the market with the same positions at random times.

    The positions are turned around the history by a random number of bars, so that turnover, time
    in the market, lengths of trades and costs stay as they are, and only the timing is lost. The
    statistic is the sum of the gross returns, the p-value (1 + k) / (1 + n).

    Args:
        weights: Share of the account that each symbol is through a bar, shape (bars, symbols).
        returns: Return of each symbol over that bar, shape (bars, symbols).
        samples: Number of random times.
        generator: Source of the turns.
        level: The check passes with a p-value of this or less.

    Returns:
        The figure is the p-value. Here passing is the finding: a strategy whose timing owes nothing
        to the prices passes at the rate `level`, which stands as the rate of false alarms.
    """
    held, moved = np.asarray(weights, np.float64), np.asarray(returns, np.float64)
    if held.shape != moved.shape or held.ndim != 2 or len(held) < 3 or samples < 1:
        raise ValueError(
            f"weights have shape {held.shape}, returns {moved.shape}, samples are {samples}; pass "
            "equal shapes of three bars or more"
        )
    if (held == held[0]).all():
        words = "The strategy held the same all the time, so there is no timing to judge."
        return Check("random_entries", None, None, level, level, words)
    observed = float((held * moved).sum())
    turns = generator.integers(1, len(held), samples)
    drawn = np.array([float((np.roll(held, turn, axis=0) * moved).sum()) for turn in turns])
    p_value = (1 + int(np.count_nonzero(drawn >= observed))) / (1 + samples)
    words = (
        f"Of {samples:,} random times for the same positions, {p_value:.1%} did as well or better."
    )
    return Check("random_entries", p_value <= level, p_value, level, level, words)


def check_noise(
    run: Run,
    bars: Bars,
    *,
    histories: int,
    generator: np.random.Generator,
    false_alarm_rate: float = 0.01,
) -> Check:
    """Run a strategy on noise made of its own bars, where the expected return of everything is 0.

    What earns there knows what it cannot know, or is credited what it did not earn. The mean of the
    mean returns per bar is compared with their standard error (one-sided t).

    Args:
        run: Runs the strategy on bars and returns its returns per bar.
        bars: Prices that the noise is made of; see `noise_bars`.
        histories: Number of them, 20 or more.
        generator: Source of the noise.
        false_alarm_rate: Rate at which a strategy that earns nothing on noise is accused.

    Returns:
        The figure is the t-statistic, the threshold what it must not pass.
    """
    if histories < _LEAST_HISTORIES:
        raise ValueError(f"{histories} histories are too few; take {_LEAST_HISTORIES} or more")
    means = np.array([float(run(noise_bars(bars, generator)).mean()) for _ in range(histories)])
    threshold = _student_quantile(1.0 - false_alarm_rate, histories - 1)
    error = float(means.std(ddof=1)) / math.sqrt(histories)
    if not error > 0.0:
        figure = 0.0 if means[0] <= 0.0 else math.inf
    else:
        figure = float(means.mean()) / error
    passed = figure <= threshold
    words = (
        f"On {histories} histories of noise the mean return was {means.mean():.4%} per bar, "
        f"{figure:.1f} standard errors from zero"
        + ("." if passed else ": what earns on noise knows the future or is credited too much.")
    )
    return Check("noise", passed, figure, threshold, false_alarm_rate, words)


def check_costs(still_return: float, *, trades: int, has_costs: bool) -> Check:
    """Judge the account that made the same trades on prices that stand still.

    Args:
        still_return: Its total return.
        trades: How many fills it had.
        has_costs: Whether commission or slippage is set.

    Returns:
        The figure is the total return, the threshold 0. An account that trades has to lose where
        there are costs and must not gain; the rate of false alarms is 0.
    """
    if not trades:
        words = "The strategy never traded, so nothing was paid."
        return Check("costs", None, None, 0.0, 0.0, words)
    tiny = 1e-12
    if has_costs:
        passed = still_return < 0.0
        words = f"On still prices the same trades cost {-still_return:.2%} of the capital"
    else:
        passed = abs(still_return) <= tiny
        words = (
            "On still prices, without costs, the same trades changed the account by "
            f"{still_return:.2%}"
        )
    words += "." if passed else ": costs are not charged, or the account is credited too much."
    return Check("costs", passed, still_return, 0.0, 0.0, words)


def _student_quantile(share: float, degrees: int) -> float:
    """Return a quantile of Student's t by the expansion of Cornish and Fisher.

    Abramowitz and Stegun (1964), 26.7.5; right to three digits from 19 degrees of freedom on.
    """
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4.0,
        (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0,
        (3.0 * z**7 + 19.0 * z**5 + 17.0 * z**3 - 15.0 * z) / 384.0,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, 1))
