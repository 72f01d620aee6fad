"""The answers of a validation child: walk forward, Monte Carlo, luck of the search, checks of bias.

Each is plain values, ready to be written as JSON and tables by who started the child.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.batch.execution.laboratory import Laboratory
from backtrail.batch.execution.set_evaluation import without_ruin
from backtrail.canonical import utc_iso
from backtrail.engine import Bars, run_signal
from backtrail.engine.strategy import Strategy
from backtrail.errors import EmptySeriesError, OrderInvariantError
from backtrail.optimization.selection import judge_sets
from backtrail.validation import (
    PATH_STATISTICS,
    Check,
    Interval,
    SearchedFold,
    Sensitivity,
    Window,
    WindowResult,
    block_length,
    bootstrap_intervals,
    check_costs,
    check_look_ahead,
    check_noise,
    check_random_entries,
    check_warm_up,
    cluster_trials,
    cuts_between,
    draw_positions,
    make_folds,
    parameter_noise,
    parameter_stability,
    price_noise,
    reorder_trades,
    search_forward,
    spread_evenly,
    still_bars,
    truncated_bars,
    without_first,
)

__all__ = ["TASKS", "answer"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHARES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_POINTS: Final = 200  # of the bands of paths
_BAND_PATHS: Final = 1_000
_CUTS: Final = 12
_STARTS: Final = (0.02, 0.05, 0.1)  # of the bars, where later histories begin
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


class _Windows:
    """Evaluates sets on windows of the bars, with nothing of what comes after them at hand."""

    def __init__(self, lab: Laboratory, warm_up: int) -> None:
        self._lab, self._warm_up = lab, warm_up

    def __call__(self, sets: IntArray, window: Window, *, keep_returns: bool) -> WindowResult:
        lab = self._lab
        # The account begins at the close before the window, so that its first bar has a return.
        begins = max(window.start - 1, 0)
        start = max(begins - self._warm_up, 0)
        bars = without_first(truncated_bars(lab.bars, window.stop), start)
        sweep = lab.sweep(bars, begins - start)
        numbers = lab.numbers[sets]
        returns = None
        if keep_returns:
            ((_, result),) = lab.blocks(sweep, numbers, keep_returns=True)
            assert result.returns is not None
            returns = without_ruin(result.returns)
            if window.start == 0:
                returns = np.column_stack([np.zeros(len(returns)), returns])
            figures = result.metrics[lab.metric]
        else:
            metrics, failed = lab.metrics(sweep, numbers)
            judged = judge_sets(lab.search, numbers, metrics, failed)
            wanted = judged.neighborhood.means if judged.neighborhood else judged.objective
            figures = np.where(judged.ranks > 0, wanted, np.nan)
        times = sweep.bars.timestamps[0 if window.start == 0 else 1 :]
        return WindowResult(figures, returns, self._rows(times), self._rows(bars.timestamps))

    def _rows(self, timestamps: IntArray) -> Window:
        first, last = np.searchsorted(self._lab.bars.timestamps, timestamps[[0, -1]])
        return Window(int(first), int(last) + 1)


def _walk_forward(lab: Laboratory) -> dict[str, Any]:
    options = lab.options["walk_forward"]
    bars = len(lab.bars.timestamps)
    folds = make_folds(bars, **options)
    evaluate = _Windows(lab, options["warm_up"])
    found = search_forward(evaluate, len(lab.numbers), folds, periods_per_year=lab.periods)
    chosen = [fold.chosen for fold in found.folds]
    numbers = [None if place is None else int(lab.numbers[place]) for place in chosen]
    params = lab.sets([number for number in numbers if number is not None])
    space = {item.name: item.values for item in lab.search.space.definitions}
    every = iter(params)
    return {
        "folds": [
            {
                "fold": number,
                "set": name,
                "params": None if name is None else next(every),
                **_fold(lab, fold),
            }
            for number, (fold, name) in enumerate(zip(found.folds, numbers, strict=True))
        ],
        "metric": lab.metric,
        "efficiency": found.efficiency,
        "degradation": found.degradation,
        "changes": found.changes,
        "stability": [asdict(item) for item in parameter_stability(params, space)],
        "equity": {
            "timestamp": lab.bars.timestamps[found.bars],
            "returns": found.returns,
            "equity": np.cumprod(1.0 + found.returns),
        },
    }


def _fold(lab: Laboratory, fold: SearchedFold) -> dict[str, Any]:
    return {
        "in_sample": _window(lab, fold.fold.in_sample),
        "out_of_sample": _window(lab, fold.fold.out_of_sample),
        "read_in_sample": _window(lab, fold.read_in_sample),
        "read_out_of_sample": None
        if fold.read_out_of_sample is None
        else _window(lab, fold.read_out_of_sample),
        "in_sample_figure": fold.in_sample,
        "out_of_sample_figure": fold.out_of_sample,
        "in_sample_annual_return": fold.in_sample_annual,
        "out_of_sample_annual_return": fold.out_of_sample_annual,
    }


def _window(lab: Laboratory, window: Window) -> dict[str, Any]:
    return {
        "first_bar": window.start,
        "last_bar": window.stop - 1,
        "first_at": _moment(lab.bars.timestamps[window.start]),
        "last_at": _moment(lab.bars.timestamps[window.stop - 1]),
    }


def _moment(microseconds: np.int64) -> str:
    return utc_iso(_EPOCH + timedelta(microseconds=int(microseconds)))


def _monte_carlo(lab: Laboratory) -> dict[str, Any]:
    options = lab.options["monte_carlo"]
    curve = lab.result.tables["backtest_results"]
    returns = np.array([math.nan if x is None else x for x in curve["returns"][1:]], np.float64)
    returns = np.where(np.isfinite(returns), returns, 0.0)
    block = float(options["block"] or round(block_length(returns)))
    intervals = bootstrap_intervals(
        returns,
        periods_per_year=lab.periods,
        block=block,
        samples=options["paths"],
        generator=lab.generator("bootstrap"),
        level=options["confidence"],
    )
    return {
        "block": block,
        "bars": len(returns),
        "metric": lab.metric,
        "reordering": _reordering(lab, options),
        "intervals": [_interval(item) for item in intervals],
        "parameter_noise": _parameter_noise(lab, options),
        "price_noise": _price_noise(lab, options),
        "paths": _bands(lab, returns, block),
    }


def _reordering(lab: Laboratory, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what other orders of the trades would have done, or why that cannot be asked."""
    trades = lab.result.tables["trades"]
    closed = [
        (int(at), float(pnl))
        for at, pnl, is_open in zip(
            trades["exit_at"], trades["pnl"], trades["is_open"], strict=True
        )
        if not is_open
    ]
    profits = [pnl for _, pnl in sorted(closed, key=lambda item: item[0])]
    capital = float(lab.config.capital_base)
    found: dict[str, Any] = {"trades": len(profits), "capital": capital, "refused": None}
    try:
        for name in PATH_STATISTICS:
            drawn = reorder_trades(
                profits,
                name,
                capital=capital,
                samples=options["paths"],
                generator=lab.generator("reordering"),
            )
            found[name] = {
                "observed": drawn.observed,
                "p_worse": drawn.p_worse,
                "p_better": drawn.p_better,
                "quantiles": {f"{share:g}": drawn.quantile(share) for share in _SHARES},
            }
            if name == "lowest_equity":
                floor = capital * (1.0 - options["ruin"])
                found["ruin"] = float(np.mean(drawn.samples <= floor))
    except (EmptySeriesError, OrderInvariantError) as error:
        found["refused"] = str(error)
    return found


def _interval(item: Interval) -> dict[str, Any]:
    return {
        "statistic": item.statistic,
        "observed": item.observed,
        "low": item.low,
        "high": item.high,
        "level": item.level,
        "samples": len(item.samples),
    }


def _parameter_noise(lab: Laboratory, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Run the selected set with its numbers a little off; whole numbers by one at least."""
    searched = [item.name for item in lab.search.space.definitions]
    numeric = [
        name
        for name in searched
        if isinstance(lab.params[name], int | float) and not isinstance(lab.params[name], bool)
    ]
    if not options["noise_runs"] or not numeric:
        return None
    source = lab.generator("parameter noise")
    variants = []
    for _ in range(options["noise_runs"]):
        variant = dict(lab.params)
        for name in numeric:
            value = lab.params[name]
            width = abs(value) * options["parameter_noise"]
            if isinstance(value, int):
                reach = max(1, round(width))
                variant[name] = value + int(source.integers(-reach, reach + 1))
            else:
                variant[name] = value + float(source.uniform(-width, width))
        variants.append(variant)
    figures, refused = lab.figures(variants)
    (observed,), _ = lab.figures([lab.params])
    return {**_sensitivity(parameter_noise(float(observed), figures)), "refused": refused}


def _price_noise(lab: Laboratory, options: Mapping[str, Any]) -> dict[str, Any] | None:
    if not options["noise_runs"] or lab.chosen(lab.bars)[1] is None:
        return None

    def figure(bars: Bars) -> float | None:
        try:
            return lab.chosen(bars)[1]
        except RuntimeError:  # a variant that the strategy does not survive is lost
            return None

    found = price_noise(
        figure,
        lab.bars,
        samples=options["noise_runs"],
        scale=options["price_noise"],
        generator=lab.generator("price noise"),
    )
    return _sensitivity(found)


def _sensitivity(found: Sensitivity) -> dict[str, Any]:
    values = asdict(found)
    samples = values.pop("samples")
    quantiles = {f"{share:g}": np.quantile(samples, share) for share in _SHARES if len(samples)}
    return {**values, "samples": len(samples), "quantiles": quantiles}


def _bands(lab: Laboratory, returns: FloatArray, block: float) -> dict[str, Any]:
    """Return where growth lies in resampled histories, bar by bar or at some of them."""
    rows = np.unique(np.linspace(0, len(returns) - 1, min(_POINTS, len(returns))).astype(np.int64))
    drawn = draw_positions(len(returns), block, _BAND_PATHS, lab.generator("paths"))
    growth = np.concatenate(
        [np.cumprod(1.0 + returns[positions], axis=1)[:, rows] for positions in drawn]
    )
    bands = np.quantile(growth, _SHARES, axis=0)
    names = [f"quantile_{round(share * 100):02d}" for share in _SHARES]
    return {
        "bars": rows + 1,
        "observed": np.cumprod(1.0 + returns)[rows],
        **dict(zip(names, bands, strict=True)),
    }


def _bias(lab: Laboratory) -> dict[str, Any]:
    options = lab.options["bias"]
    asked: list[tuple[str, Callable[[], Check]]] = []
    if options["look_ahead"]:
        asked.append(("look_ahead", lambda: _look_ahead(lab)))
    if options["warm_up"] is not None:
        asked.append(("warm_up", lambda: _warm_up(lab, options["warm_up"])))
    if options["random_entries"]:
        asked.append(("random_entries", lambda: _random_entries(lab, options["random_entries"])))
    if options["noise"]:
        asked.append(("noise", lambda: _noise(lab, options)))
    if options["costs"]:
        asked.append(("costs", lambda: _costs(lab)))
    return {"checks": [asdict(_asked(name, check)) for name, check in asked]}


def _asked(name: str, check: Callable[[], Check]) -> Check:
    """Return what a check found; one that the strategy does not survive has found nothing."""
    try:
        return check()
    except Exception as error:  # noqa: BLE001  the user's code may raise anything
        words = (
            f"The strategy failed on a part or a variant of its history: {type(error).__name__}: "
            f"{error}"
        )
        return Check(name, None, None, None, 0.0, words)


def _random_entries(lab: Laboratory, samples: int) -> Check:
    return check_random_entries(
        lab.held(lab.bars, lab.result)[:-1],
        lab.moved(lab.bars),
        samples=samples,
        generator=lab.generator("random entries"),
    )


def _noise(lab: Laboratory, options: Mapping[str, Any]) -> Check:
    return check_noise(
        lambda bars: lab.chosen(bars)[0],
        lab.bars,
        histories=options["noise"],
        generator=lab.generator("noise"),
        false_alarm_rate=options["false_alarm_rate"],
    )


def _look_ahead(lab: Laboratory) -> Check:
    first, last = lab.shared_rows()
    earliest = max(first, len(lab.bars.timestamps) // 4)
    cuts = cuts_between(last + 1, first=earliest, count=_CUTS)
    return check_look_ahead(
        lab.decisions, lab.bars, cuts=cuts, generator=lab.generator("look ahead")
    )


def _warm_up(lab: Laboratory, bars: int) -> Check:
    first, last = lab.shared_rows()
    starts = [first + round(share * (last - first)) for share in _STARTS]
    is_signal = lab.strategy.form == "signal"
    decide: Callable[..., FloatArray] = lab.weights
    if not is_signal:
        decide = lambda later: lab.held(later, lab.run(later))  # noqa: E731
    # In event form shares of the account are compared, and whole shares make them differ a little.
    return check_warm_up(
        decide,
        lab.bars,
        starts=[start for start in starts if start],
        warm_up=bars,
        tolerance=1e-9 if is_signal else 0.02,
    )


def _costs(lab: Laboratory) -> Check:
    is_signal = lab.strategy.form == "signal"
    wanted = lab.weights(lab.bars) if is_signal else lab.held(lab.bars, lab.result)
    tables = run_signal(lambda *_: wanted, still_bars(lab.bars), lab.config).tables
    value = tables["backtest_results"]["portfolio_value"]
    config = lab.config
    has_costs = bool(config.commission.cost) or config.slippage.model != "none"
    return check_costs(
        float(value[-1]) / float(value[0]) - 1.0,
        trades=len(tables["fills"]["fill_id"]),
        has_costs=has_costs,
    )


def _overfitting(lab: Laboratory) -> dict[str, Any]:
    """Return the returns of the selected set, and how many ideas the search tried.

    The ideas are counted among an even sample of the sets, on the bars that all are judged by.
    """
    first = lab.options["overfitting"]["warm_up"]
    numbers = lab.numbers[spread_evenly(len(lab.numbers), _MOST_CLUSTERED)]
    sample = []
    for _, result in lab.blocks(lab.sweep(lab.bars), numbers, keep_returns=True):
        passed = np.array([error is None for error in result.errors])
        assert result.returns is not None
        sample.append(without_ruin(result.returns[passed])[:, first:])
    returns = np.concatenate(sample)
    clusters = cluster_trials(returns)
    return {
        "chosen": lab.chosen(lab.bars)[0][first:],
        "clusters": {
            "labels": clusters.labels,
            "count": clusters.count,
            "sharpe_variance": clusters.sharpe_variance,
            "least_correlation": clusters.least_correlation,
        },
    }


TASKS: Final[Mapping[str, Callable[[Laboratory], dict[str, Any]]]] = {
    "walk_forward": _walk_forward,
    "monte_carlo": _monte_carlo,
    "measure_overfitting": _overfitting,
    "check_bias": _bias,
}
