"""The answer of a validation child to how much of a search is luck."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.batch.execution.laboratory import Laboratory, finite
from backtrail.validation import (
    Overfitting,
    SearchLuck,
    SearchPart,
    SearchStatistics,
    SuperiorityTest,
    block_length,
    cluster_trials,
    measure_luck,
    most_trials,
    spread_evenly,
)

__all__ = ["luck_of"]

FloatArray = npt.NDArray[np.float64]

_MOST_CLUSTERED: Final = 1_000
_PARTS_AT_ONCE: Final = 32


def luck_of(lab: Laboratory, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate every set once more, and return how much of the selected one is luck.

    Args:
        lab: The run.
        asked: The request, with `trials_before`: what the ledger knew of this family of strategies
            on this dataset when the run was planned.
    """
    options = lab.options["overfitting"]
    first = options["warm_up"]
    chosen = lab.chosen(lab.bars)[0][first:]
    benchmark = np.zeros(len(chosen))
    if options["against"] == "benchmark":
        benchmark = lab.benchmark_returns()[first:]
    block = float(options["block"] or round(block_length(chosen - benchmark)))
    statistics = SearchStatistics(
        benchmark,
        blocks=options["blocks"],
        block=block,
        samples=options["bootstraps"],
        seed=lab.seed("superiority"),
    )
    part, sample = _measured(lab, statistics, first)
    luck = measure_luck(
        part,
        chosen,
        all_trials=int(asked["trials_before"]) + len(lab.numbers),
        clusters=cluster_trials(sample),
    )
    return _told(lab, luck, block, first, len(sample))


def _measured(
    lab: Laboratory, statistics: SearchStatistics, first: int
) -> tuple[SearchPart, FloatArray]:
    """Return what all sets leave behind, and the returns of an even sample of them."""
    sampled = set(lab.numbers[spread_evenly(len(lab.numbers), _MOST_CLUSTERED)].tolist())
    parts: list[SearchPart] = []
    sample: list[FloatArray] = []
    for numbers, result in lab.blocks(lab.sweep(lab.bars), lab.numbers, keep_returns=True):
        passed = np.array([error is None for error in result.errors])
        assert result.returns is not None
        returns = finite(result.returns[passed])[:, first:]
        parts.append(statistics.measure(returns, numbers[passed]))
        kept = np.isin(numbers[passed], list(sampled))
        sample.append(returns[kept])
        if len(parts) == _PARTS_AT_ONCE:
            parts = [SearchPart.merge(parts)]
    return SearchPart.merge(parts), np.concatenate(sample)


def _told(
    lab: Laboratory, luck: SearchLuck, block: float, first: int, clustered: int
) -> dict[str, Any]:
    bars = len(lab.bars.timestamps) - 1 - first
    years = bars / lab.periods
    root = lab.periods**0.5
    clusters = luck.clusters
    assert clusters is not None
    return {
        "trials": {
            "own": luck.own_trials,
            "all": luck.all_trials,
            "effective": luck.effective_trials,
            "clusters": clusters.count,
            "clustered": clustered,
            "least_correlation": clusters.least_correlation,
            "sharpe_variance": luck.sharpe_variance,
        },
        "sharpe_ratio": None if luck.best is None else luck.best.ratio * root,
        "psr": luck.psr,
        "dsr": luck.dsr,
        "dsr_clusters": luck.dsr_clusters,
        "expected_maximum_sharpe": luck.luck_sharpe * root,
        "minimum_track_record": None
        if luck.least_bars is None
        else {"bars": luck.least_bars, "years": luck.least_bars / lab.periods},
        "minimum_backtest_length": {"years": luck.least_years, "most_trials": most_trials(years)},
        "pbo": None if luck.overfitting is None else _pbo(luck.overfitting, root),
        "reality_check": _superiority(luck.reality_check),
        "spa": None if luck.superiority is None else _superiority(luck.superiority),
        "benchmark": benchmark_words(lab.identity),
        "history": {"bars": bars, "years": years, "left_out": first, "block": block},
    }


def benchmark_words(identity: Mapping[str, Any]) -> str:
    """Return what the tests of superiority compare with, in words."""
    against = identity["validate"]["overfitting"]["against"]
    return f"holding {identity['benchmark']}" if against == "benchmark" else "cash"


def _pbo(found: Overfitting, root: float) -> dict[str, Any]:
    return {
        "probability": found.probability,
        "probability_of_loss": found.probability_of_loss,
        "degradation": found.degradation,
        "intercept": None if found.intercept is None else found.intercept * root,
        "blocks": found.blocks,
        "splits": len(found.logits),
        "bars_dropped": found.bars_dropped,
    }


def _superiority(found: SuperiorityTest) -> dict[str, Any]:
    return {
        "statistic": found.statistic,
        "best_set": found.best,
        "lower": found.p_lower,
        "p_value": found.p_value,
        "upper": found.p_upper,
        "samples": found.samples,
    }
