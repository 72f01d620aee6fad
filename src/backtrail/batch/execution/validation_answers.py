"""The answers of a validation child: walk forward, Monte Carlo, luck, checks of bias, costs.

Each is plain values, ready to be written as JSON and tables by who started the child.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from backtrail.batch.execution.bias_checking import bias_answer
from backtrail.batch.execution.cost_grid import costs_answer
from backtrail.batch.execution.laboratory import Laboratory
from backtrail.batch.execution.set_evaluation import without_ruin
from backtrail.batch.execution.simulating import monte_carlo_answer
from backtrail.batch.execution.walking import walk_forward_answer
from backtrail.engine import Bars
from backtrail.engine.strategy import Strategy
from backtrail.validation import cluster_trials, spread_evenly

__all__ = ["TASKS", "answer"]

_MOST_CLUSTERED: Final = 1_000


def answer(
    strategy: Strategy,
    asked: Mapping[str, Any],
    bars: Bars,
    benchmark_bars: Bars | None,
    attributes: Mapping[str, object],
) -> dict[str, Any]:
    """Return the answer to the task of a request as plain values: no NaN, no NumPy.

    Args:
        strategy: From `load_strategy`.
        asked: The request: `task`, and what `Laboratory` takes.
        bars: Prices before the holdout.
        benchmark_bars: Prices of a benchmark outside the universe.
        attributes: Set on the context of a strategy in event form.
    """
    lab = Laboratory(strategy, asked, bars, benchmark_bars, attributes)
    plain: dict[str, Any] = _plain(TASKS[asked["task"]](lab))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _overfitting(lab: Laboratory) -> dict[str, Any]:
    """Return what the selected set earned above the risk-free rate, and how many ideas were tried.

    The ideas are counted among an even sample of the sets, on the bars that all are judged by.
    """
    first = lab.options["overfitting"]["warm_up"]
    numbers = lab.numbers[spread_evenly(len(lab.numbers), _MOST_CLUSTERED)]
    sample = []
    for _, result in lab.blocks(lab.sweep(lab.bars), numbers, keep_returns=True):
        passed = np.array([error is None for error in result.errors])
        assert result.returns is not None
        sample.append(without_ruin(result.returns[passed])[:, first:] - lab.riskless)
    chosen = lab.chosen(lab.bars)[0][first:] - lab.riskless
    returns = np.concatenate(sample)
    clusters = cluster_trials(returns if len(returns) else chosen[np.newaxis])
    return {
        "chosen": chosen,
        "clusters": {
            "labels": clusters.labels,
            "count": clusters.count,
            "sharpe_variance": clusters.sharpe_variance,
            "least_correlation": clusters.least_correlation,
        },
    }


TASKS: Final[Mapping[str, Callable[[Laboratory], dict[str, Any]]]] = {
    "walk_forward": walk_forward_answer,
    "monte_carlo": monte_carlo_answer,
    "measure_overfitting": _overfitting,
    "check_bias": bias_answer,
    "measure_costs": costs_answer,
}
