"""How much of a result is luck: tests that can be wrong, and say when they cannot be asked."""

from backtrail.validation.backtest_overfitting import (
    Overfitting,
    backtest_overfitting,
    overfitting_of,
)
from backtrail.validation.block_moments import BlockMoments
from backtrail.validation.checks import Check
from backtrail.validation.clusters import Clusters, cluster_trials, spread_evenly
from backtrail.validation.controls import check_costs, check_noise, check_random_entries
from backtrail.validation.cost_levels import (
    BreakEven,
    Costs,
    break_even,
    costs_at,
    has_costs,
    most_level,
)
from backtrail.validation.foresight import check_look_ahead, check_warm_up, cuts_between
from backtrail.validation.histories import (
    disturbed_bars,
    noise_bars,
    scrambled_future,
    shared_rows,
    still_bars,
    truncated_bars,
    without_first,
)
from backtrail.validation.luck import SearchLuck, measure_luck
from backtrail.validation.noise import Sensitivity, parameter_noise, price_noise
from backtrail.validation.reordering import (
    PATH_STATISTICS,
    Reordering,
    reorder_trades,
    ruin_share,
)
from backtrail.validation.resampling import (
    Interval,
    ResampledHistories,
    ResampledPaths,
    block_length,
    bootstrap_intervals,
    draw_positions,
    resample_paths,
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
from backtrail.validation.verdict import DEFAULT_GATES, Gate, Verdict, judge
from backtrail.validation.walk_forward import (
    Fold,
    WalkForward,
    Window,
    make_folds,
    require_disjoint,
    walk_forward,
)

__all__ = [
    "DEFAULT_GATES",
    "PATH_STATISTICS",
    "BlockMoments",
    "BootstrapMaxima",
    "BreakEven",
    "Check",
    "Clusters",
    "Costs",
    "Evaluator",
    "Fold",
    "Gate",
    "Interval",
    "Overfitting",
    "ParameterStability",
    "Reordering",
    "ResampledHistories",
    "ResampledPaths",
    "SearchForward",
    "SearchLuck",
    "SearchPart",
    "SearchStatistics",
    "SearchedFold",
    "Sensitivity",
    "SuperiorityTest",
    "Verdict",
    "WalkForward",
    "Window",
    "WindowResult",
    "backtest_overfitting",
    "block_length",
    "bootstrap_intervals",
    "break_even",
    "check_costs",
    "check_look_ahead",
    "check_noise",
    "check_random_entries",
    "check_warm_up",
    "cluster_trials",
    "costs_at",
    "cuts_between",
    "deflated_sharpe_ratio",
    "disturbed_bars",
    "draw_positions",
    "effective_trials",
    "expected_maximum",
    "expected_maximum_sharpe",
    "first_best",
    "has_costs",
    "judge",
    "least_years",
    "make_folds",
    "measure_luck",
    "most_level",
    "most_trials",
    "noise_bars",
    "overfitting_of",
    "parameter_noise",
    "parameter_stability",
    "price_noise",
    "reality_check",
    "reorder_trades",
    "require_disjoint",
    "resample_paths",
    "ruin_share",
    "scrambled_future",
    "search_forward",
    "shared_rows",
    "spread_evenly",
    "still_bars",
    "superior_ability",
    "truncated_bars",
    "walk_forward",
    "without_first",
]
