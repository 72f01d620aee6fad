"""How much of the best of many parameter sets is luck: every figure of a search in one place."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtrail.metrics import SharpeEstimate
from backtrail.validation.backtest_overfitting import Overfitting
from backtrail.validation.clusters import Clusters
from backtrail.validation.streaming import SearchPart
from backtrail.validation.superiority import SuperiorityTest
from backtrail.validation.trials import (
    deflated_sharpe_ratio,
    expected_maximum_sharpe,
    least_years,
)

__all__ = ["SearchLuck", "measure_luck"]

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class SearchLuck:
    """What a search found, and what it would have found without any skill.

    Attributes:
        own_trials: Sets of this search that got through.
        all_trials: Sets ever evaluated by this family of strategies on these dates; never fewer.
        effective_trials: What the own ones are worth by their mean correlation.
        clusters: Groups of own trials that move alike; None when they were not looked for.
        sharpe_variance: Variance (ddof 1) of the Sharpe ratios per bar of the own trials.
        best: Estimate of the chosen one; None when it has no variance, and then the rest is None
            where it rests on it.
        psr: Probability that its true Sharpe ratio is above zero, the search forgotten.
        dsr: Probability that it is above what `all_trials` trials reach by luck; None for one own
            trial beside others, from which no spread of luck can be told.
        dsr_clusters: The same with the number of clusters and the variance between them, a figure
            beside it.
        luck_sharpe: Sharpe ratio per bar that `all_trials` trials without skill are expected to
            reach; None as there.
        least_bars: Bars it takes to be sure at 0.95 that the ratio is above zero; infinite when it
            is not.
        least_years: Years below which so many trials without skill reach an annual ratio of 1.
        overfitting: Probability of backtest overfitting; None for a single trial.
        superiority: Hansen's test against the benchmark; None when no trial differs from it.
        reality_check: White's.
    """

    own_trials: int
    all_trials: int
    effective_trials: float
    clusters: Clusters | None
    sharpe_variance: float
    best: SharpeEstimate | None
    psr: float | None
    dsr: float | None
    dsr_clusters: float | None
    luck_sharpe: float | None
    least_bars: float | None
    least_years: float
    overfitting: Overfitting | None
    superiority: SuperiorityTest | None
    reality_check: SuperiorityTest


def measure_luck(
    part: SearchPart,
    chosen: npt.ArrayLike,
    *,
    all_trials: int | None = None,
    clusters: Clusters | None = None,
) -> SearchLuck:
    """Return every figure of a search.

    The convention of the Sharpe ratio's error is that of 2012; see `SharpeEstimate`.

    Args:
        part: Of all sets of the search, merged.
        chosen: Returns per bar of the chosen set, on the bars of the part.
        all_trials: From the trial ledger; the own ones when None.
        clusters: Of the sets, or of an even sample of them.

    Raises:
        ValueError: If there is no set, or the ledger knows fewer trials than the search has.
    """
    own = len(part.moments.numbers)
    counted = own if all_trials is None else all_trials
    if own < 1 or counted < own:
        raise ValueError(
            f"the search has {own} sets that got through and the ledger {counted} trials; there is "
            "at least one, and all of the search are among the ledger's"
        )
    ratios = part.moments.sharpe_ratios()
    variance = float(np.var(ratios, ddof=1)) if own > 1 else 0.0
    best = SharpeEstimate.of(chosen)
    dsr_clusters = None
    if best is not None and clusters is not None:
        dsr_clusters = deflated_sharpe_ratio(
            best, trials=clusters.count, variance=clusters.sharpe_variance
        )
    # One set has no spread: what luck the trials before it had cannot be told from it.
    has_spread = own > 1 or counted == 1
    has_rival = math.isfinite(part.maxima.scores[1])
    return SearchLuck(
        own,
        counted,
        part.effective_trials(),
        clusters,
        variance,
        best,
        None if best is None else best.probability_above(),
        deflated_sharpe_ratio(best, trials=counted, variance=variance)
        if best is not None and has_spread
        else None,
        dsr_clusters,
        expected_maximum_sharpe(counted, variance) if has_spread else None,
        None if best is None else best.least_observations(confidence=_CONFIDENCE),
        least_years(counted),
        part.overfitting() if own > 1 else None,
        part.superior_ability() if has_rival else None,
        part.reality_check(),
    )
