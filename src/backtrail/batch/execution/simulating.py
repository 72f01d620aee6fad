"""The answer of a validation child to Monte Carlo: other orders, other draws, a little noise."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.batch.execution.laboratory import Laboratory, VariantFailedError
from backtrail.engine import Bars
from backtrail.errors import EmptySeriesError, OrderInvariantError
from backtrail.metrics import drawdown_series
from backtrail.validation import (
    PATH_STATISTICS,
    Interval,
    Reordering,
    ResampledPaths,
    Sensitivity,
    block_length,
    bootstrap_intervals,
    parameter_noise,
    price_noise,
    reorder_trades,
    resample_paths,
    ruin_share,
)

__all__ = ["monte_carlo_answer"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SHARES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_POINTS: Final = 200  # of the bands of paths
_BAND_PATHS: Final = 1_000
_WORST: Final = 0.95  # share of the resampled histories that fall less


def monte_carlo_answer(lab: Laboratory) -> dict[str, Any]:
    """Return what else could have happened to the selected set."""
    options = lab.options["monte_carlo"]
    curve = lab.result.tables["backtest_results"]
    returns = np.array([math.nan if x is None else x for x in curve["returns"][1:]], np.float64)
    returns = np.where(np.isfinite(returns), returns, 0.0)
    block = float(options["block"] or round(block_length(returns)))
    intervals = bootstrap_intervals(
        returns,
        periods_per_year=lab.periods,
        risk_free_per_period=lab.riskless,
        block=block,
        samples=options["paths"],
        generator=lab.generator("bootstrap"),
        level=options["confidence"],
    )
    rows = np.unique(np.linspace(0, len(returns) - 1, min(_POINTS, len(returns))).astype(np.int64))
    drawn = resample_paths(
        returns, block=block, samples=_BAND_PATHS, generator=lab.generator("paths"), rows=rows
    )
    return {
        "block": block,
        "bars": len(returns),
        "metric": lab.metric,
        "reordering": _reordering(lab, options),
        "intervals": [_interval(item) for item in intervals],
        "parameter_noise": _parameter_noise(lab, options),
        "price_noise": _price_noise(lab, options),
        "drawdown": _drawdown_risk(returns, drawn, options["ruin"]),
        "paths": _bands(returns, drawn, rows),
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
    settings = {"capital": capital, "samples": options["paths"]}
    found: dict[str, Any] = {"trades": len(profits), "capital": capital, "refused": None}
    try:
        found["ruin"] = ruin_share(
            profits,
            floor=capital * (1.0 - options["ruin"]),
            generator=lab.generator("reordering"),
            **settings,
        )
    except EmptySeriesError as error:
        return {**found, "ruin": None, "refused": str(error)}
    invariant = {}
    for name in PATH_STATISTICS:
        source = lab.generator("reordering")
        try:
            found[name] = _reordered(reorder_trades(profits, name, generator=source, **settings))
        except OrderInvariantError as error:
            invariant[name] = str(error)
    return {**found, "invariant": invariant}


def _reordered(drawn: Reordering) -> dict[str, Any]:
    return {
        "observed": drawn.observed,
        "p_worse": drawn.p_worse,
        "p_better": drawn.p_better,
        "quantiles": {f"{share:g}": drawn.quantile(share) for share in _SHARES},
    }


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
        except VariantFailedError:  # a variant that the strategy does not survive is lost
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


def _drawdown_risk(returns: FloatArray, drawn: ResampledPaths, ruin: float) -> dict[str, Any]:
    """Return how deep and how long wealth falls in resampled histories, beside what happened."""
    falls = drawdown_series(np.maximum(returns, -1.0))
    bars = np.arange(1, len(falls) + 1)
    under = bars - np.maximum.accumulate(np.where(falls < 0.0, 0, bars))
    return {
        "histories": len(drawn.lowest),
        "max_drawdown": {
            "observed": falls.min(),
            "median": np.quantile(drawn.max_drawdowns, 0.5),
            "worst": np.quantile(drawn.max_drawdowns, 1.0 - _WORST),
        },
        "longest_drawdown": {
            "observed": under.max(),
            "median": np.quantile(drawn.longest_drawdowns, 0.5),
            "worst": np.quantile(drawn.longest_drawdowns, _WORST),
        },
        "level": _WORST,
        "ruin": {"fall": ruin, "probability": np.mean(drawn.lowest <= 1.0 - ruin)},
    }


def _bands(returns: FloatArray, drawn: ResampledPaths, rows: IntArray) -> dict[str, Any]:
    """Return where growth lies in resampled histories, bar by bar or at some of them."""
    bands = np.quantile(drawn.growth, _SHARES, axis=0)
    names = [f"quantile_{round(share * 100):02d}" for share in _SHARES]
    return {
        "bars": rows + 1,
        "observed": np.cumprod(np.maximum(1.0 + returns, 0.0))[rows],
        **dict(zip(names, bands, strict=True)),
    }
