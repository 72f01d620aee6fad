"""How much of a result is luck: tests that can be wrong, and say when they cannot be asked."""

from backtrail.validation.backtest_overfitting import (
    Overfitting,
    backtest_overfitting,
    overfitting_of,
)
from backtrail.validation.block_moments import BlockMoments
from backtrail.validation.clusters import Clusters, cluster_trials, spread_evenly
from backtrail.validation.reordering import PATH_STATISTICS, Reordering, reorder_trades
from backtrail.validation.resampling import (
    Interval,
    ResampledHistories,
    block_length,
    bootstrap_intervals,
    draw_positions,
)
from backtrail.validation.search_forward import (
    Evaluator,
    SearchedFold,
    SearchForward,
    WindowResult,
    first_best,
    search_forward,
)
from backtrail.validation.stability import ParameterStability, parameter_stability
from backtrail.validation.streaming import SearchPart, SearchStatistics
from backtrail.validation.superiority import (
    BootstrapMaxima,
    SuperiorityTest,
    reality_check,
    superior_ability,
)
from backtrail.validation.trials import (
    deflated_sharpe_ratio,
    effective_trials,
    expected_maximum,
    expected_maximum_sharpe,
    least_years,
    most_trials,
)
from backtrail.validation.walk_forward import (
    Fold,
    WalkForward,
    Window,
    make_folds,
    require_disjoint,
    walk_forward,
)

__all__ = [
    "PATH_STATISTICS",
    "BlockMoments",
    "BootstrapMaxima",
    "Clusters",
    "Evaluator",
    "Fold",
    "Interval",
    "Overfitting",
    "ParameterStability",
    "Reordering",
    "ResampledHistories",
    "SearchForward",
    "SearchPart",
    "SearchStatistics",
    "SearchedFold",
    "SuperiorityTest",
    "WalkForward",
    "Window",
    "WindowResult",
    "backtest_overfitting",
    "block_length",
    "bootstrap_intervals",
    "cluster_trials",
    "deflated_sharpe_ratio",
    "draw_positions",
    "effective_trials",
    "expected_maximum",
    "expected_maximum_sharpe",
    "first_best",
    "least_years",
    "make_folds",
    "most_trials",
    "overfitting_of",
    "parameter_stability",
    "reality_check",
    "reorder_trades",
    "require_disjoint",
    "search_forward",
    "spread_evenly",
    "superior_ability",
    "walk_forward",
]
