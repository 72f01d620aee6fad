"""What the files of a validation say, from what its children answered; pure.

The schemas of the JSON files lie in `workflow/schemas`.
"""

from collections.abc import Mapping
from typing import Any, Final

from backtrail.data.calendars import dataset_periods
from backtrail.optimization.search import Search, in_sample_end
from backtrail.validation.luck import SearchLuck
from backtrail.validation.superiority import SuperiorityTest
from backtrail.validation.trials import most_trials
from backtrail.wording import risk_free_words

__all__ = [
    "COST_UNIT_WORDS",
    "benchmark_words",
    "bias_file",
    "cash_words",
    "cost_files",
    "monte_carlo_files",
    "overfitting_file",
    "walk_forward_files",
]

_EFFICIENCY_WORDS: Final = (
    "mean annual return out of sample over that in sample, both averaged over the folds that chose "
    "a set; negative when what was chosen lost afterwards, null when the in-sample mean is not "
    "positive"
)
_DEGRADATION_WORDS: Final = (
    "1 less mean metric out of sample over that in sample; 0 is none, 1 all of it, more a loss"
)
_STABLE_WORDS: Final = (
    "shortest run of neighboring values with three quarters of the choices; null when it takes "
    "more than half of the values"
)

COST_UNIT_WORDS: Final[Mapping[str, str]] = {
    "basis_points": "basis points of the value of each fill",
    "multiples": "times its own commission and slippage",
}
_UNIT_WORDS: Final = {
    "basis_points": "levels are basis points of the value of each fill, bought or sold: a "
    "commission per dollar and a move of the price against the order, in place of the run's own; "
    "a volume limit of its own slippage stays",
    "multiples": "levels multiply the run's own costs: rate or amount and least commission, "
    "spread, basis points and price impact; a volume limit stays",
}
_SEARCHED: Final = (
    "tried upward along 0, 1, 2, 5, 10, 20 up to 1,000 and halved in to a thousandth; a profit "
    "that ends and comes back between two of these is not seen"
)
_BREAK_EVEN_WORDS: Final = {
    "basis_points": f"the break-even cost is a commission without slippage, {_SEARCHED}",
    "multiples": f"the break-even cost multiplies commission and slippage alike, {_SEARCHED}",
}


def walk_forward_files(spec: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files of the walk forward, by their names below `validation/`.

    Args:
        spec: The spec of the run.
        answer: Of the child.
    """
    folder = "walk-forward"
    search = Search.of(spec)
    return {
        f"{folder}/walk-forward-config.json": {
            **spec["identity"]["validate"]["walk_forward"],
            "objective": search.objective_words,
            "constraints": list(search.constraints),
            "select": search.select,
            "metric": answer["metric"],
            "window": _in_sample(spec),
        },
        f"{folder}/period-results.json": {"metric": answer["metric"], "periods": answer["folds"]},
        f"{folder}/stability-metrics.json": {
            "parameter_changes": answer["changes"],
            "parameters": answer["stability"],
            "words": _STABLE_WORDS,
        },
        f"{folder}/efficiency-metrics.json": {
            "efficiency": answer["efficiency"],
            "efficiency_words": _EFFICIENCY_WORDS,
            "degradation": answer["degradation"],
            "degradation_words": _DEGRADATION_WORDS,
            "metric": answer["metric"],
            "bars": len(answer["equity"]["returns"]),
            "total_return": answer["equity"]["equity"][-1] - 1.0,
        },
        f"{folder}/equity.parquet": answer["equity"],
    }


def monte_carlo_files(spec: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files of the Monte Carlo simulations, as `walk_forward_files`."""
    folder = "monte-carlo"
    options = spec["identity"]["validate"]["monte_carlo"]
    return {
        f"{folder}/simulation-config.json": {
            **options,
            "block": answer["block"],
            "block_is_chosen": options["block"] is None,
            "bars": answer["bars"],
            "metric": answer["metric"],
            "window": _in_sample(spec),
        },
        f"{folder}/simulation-results.json": {
            name: answer[name]
            for name in ("reordering", "parameter_noise", "price_noise", "metric")
        },
        f"{folder}/confidence-intervals.json": {
            "method": _bootstrap_words(spec["identity"]),
            "intervals": answer["intervals"],
            "drawdown": answer["drawdown"],
        },
        f"{folder}/paths.parquet": answer["paths"],
    }


def bias_file(spec: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file of the checks of bias, as `walk_forward_files`."""
    checks = {check["name"]: _without(check, "name") for check in answer["checks"]}
    return {"controls/bias.json": {"checks": checks, "window": _in_sample(spec)}}


def cost_files(spec: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the files of the grid of costs, as `walk_forward_files`."""
    options, own = spec["identity"]["validate"]["costs"], answer["own"]
    rate = risk_free_words(spec["identity"])
    return {
        "costs/cost-sensitivity.json": {
            **{name: sorted(options[name]) for name in ("commission", "slippage")},
            "unit": options["unit"],
            "own": own,
            "break_even": {
                **{name: answer["break_even"][name] for name in ("level", "upper")},
                "words": _break_even_words(options["unit"], answer),
            },
            "refused": answer["refused"],
            "window": _in_sample(spec),
            "assumptions": [
                "Every cell is the engine's own run of the same strategy, parameters and bars with "
                "nothing but its costs changed, so sizes and all later orders are those of it",
                _UNIT_WORDS[options["unit"]],
                *(
                    f"{name} is set by the strategy in initialize; the grid takes its place after "
                    "that"
                    for name in own["set_by_strategy"]
                ),
                _BREAK_EVEN_WORDS[options["unit"]],
                *([] if rate is None else [f"Sharpe ratios are {_above(spec['identity'])}"]),
            ],
        },
        "costs/grid.parquet": answer["cells"],
    }


def _break_even_words(unit: str, answer: Mapping[str, Any]) -> str:
    """Return at which cost the profit is gone, as a sentence."""
    found = answer["break_even"]
    if answer["refused"] is not None:
        return f"The break-even cost is not known: {answer['refused']}."
    if found["why"] is not None:
        return f"There is no break-even cost: {found['why']}."
    if found["level"] is None:
        return "There is no break-even cost: without any costs there is no profit either."
    words = f"{found['level']:,.4g} {COST_UNIT_WORDS[unit]}"
    paid = f"the run itself paid {answer['own']['paid_basis_points']:,.4g} basis points"
    if found["upper"] is None:
        most = "the most that was tried"
        return f"The profit is never gone: there is still one at {words}, {most}; {paid}."
    return f"The profit is gone above {words}; {paid}."


def overfitting_file(spec: Mapping[str, Any], luck: SearchLuck, *, bars: int) -> dict[str, Any]:
    """Return what `overfitting.json` says.

    Args:
        spec: The spec of the run.
        luck: What was measured.
        bars: Number of returns that it was measured on.
    """
    identity = spec["identity"]
    periods = dataset_periods(identity["dataset"])
    options = identity["validate"]["overfitting"]
    root, years = periods**0.5, bars / periods
    best, clusters, split = luck.best, luck.clusters, luck.overfitting
    least = luck.least_bars
    is_finite = least is not None and least != float("inf")
    return {
        "trials": {
            "own": luck.own_trials,
            "before": luck.all_trials - luck.own_trials,
            "all": luck.all_trials,
            "effective": luck.effective_trials,
            "clusters": None if clusters is None else clusters.count,
            "clustered": 0 if clusters is None else len(clusters.labels),
            "least_correlation": None if clusters is None else clusters.least_correlation,
        },
        "sharpe_ratio": None if best is None else best.ratio * root,
        "sharpe_deviation": luck.sharpe_variance**0.5 * root,
        "psr": luck.psr,
        "dsr": luck.dsr,
        "dsr_clusters": luck.dsr_clusters,
        "expected_maximum_sharpe": None if luck.luck_sharpe is None else luck.luck_sharpe * root,
        "minimum_track_record": {"bars": least, "years": least / periods}
        if is_finite and least is not None
        else None,
        "minimum_backtest_length": {"years": luck.least_years, "most_trials": most_trials(years)},
        "pbo": None
        if split is None
        else {
            "probability": split.probability,
            "probability_of_loss": split.probability_of_loss,
            "degradation": split.degradation,
            "intercept": None if split.intercept is None else split.intercept * root,
            "blocks": split.blocks,
            "splits": len(split.logits),
            "bars_dropped": split.bars_dropped,
        },
        "reality_check": _superiority(luck.reality_check),
        "spa": None if luck.superiority is None else _superiority(luck.superiority),
        "benchmark": benchmark_words(identity),
        "history": {"bars": bars, "years": years, "left_out": options["warm_up"]},
        "window": _in_sample(spec),
        "assumptions": [
            f"Sharpe ratios are annual, by {periods:g} bars per year, {_above(identity)}",
            "psr, dsr and the track record take the error of the ratio by Bailey and Lopez de "
            "Prado (2012)",
            "dsr counts every trial of this strategy file on the datasets of this bundle whose "
            "dates overlap, deleted runs included, and those of this search",
            "pbo is by combinatorially symmetric cross-validation; reality_check and spa by the "
            "stationary bootstrap",
        ],
    }


def benchmark_words(identity: Mapping[str, Any]) -> str:
    """Return what the tests of superiority compare with, in words."""
    against = identity["validate"]["overfitting"]["against"]
    return f"holding {identity['benchmark']}" if against == "benchmark" else cash_words(identity)


def cash_words(identity: Mapping[str, Any]) -> str:
    """Return what holding nothing earns, in words."""
    rate = risk_free_words(identity)
    return "cash" if rate is None else f"cash at {rate}"


def _above(identity: Mapping[str, Any]) -> str:
    rate = risk_free_words(identity)
    return "without a risk-free rate" if rate is None else f"over a risk-free rate of {rate}"


def _superiority(found: SuperiorityTest) -> dict[str, Any]:
    return {
        "statistic": found.statistic,
        "best_set": found.best,
        "lower": found.p_lower,
        "p_value": found.p_value,
        "upper": found.p_upper,
        "samples": found.samples,
        "block": found.block,
    }


def _bootstrap_words(identity: Mapping[str, Any]) -> str:
    words, rate = "percentiles over the stationary bootstrap of returns per bar", _above(identity)
    return words if risk_free_words(identity) is None else f"{words}; Sharpe ratios are {rate}"


def _in_sample(spec: Mapping[str, Any]) -> dict[str, str]:
    return {"start": spec["identity"]["start"], "end": in_sample_end(spec["identity"])}


def _without(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}
