"""What the validation of a run found, as its pages show it; nothing is computed here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backtrail.errors import ArtifactManagerError
from backtrail.reports.cost_grid import CostGrid, read_cost_grid
from backtrail.reports.formatting import (
    NO_VALUE,
    UNITS,
    metric_label,
    metric_text,
    metric_tone,
    params_text,
)
from backtrail.wording import counted

__all__ = ["LuckCard", "Validation", "luck_cards", "read_validation"]

_FOLDER: Final = Path("results") / "validation"
_TITLES: Final = {
    "psr": "Probabilistic Sharpe ratio",
    "dsr": "Deflated Sharpe ratio",
    "pbo": "Probability of overfitting",
    "spa": "Superior predictive ability",
    "reality_check": "Reality check",
    "walk_forward_efficiency": "Walk-forward efficiency",
    "ruin": "Ruin",
    "parameter_noise": "Parameter noise",
    "price_noise": "Price noise",
    "break_even": "Break-even cost",
    "look_ahead": "Look-ahead",
    "warm_up": "Warm-up",
    "noise": "Noise",
    "costs": "Costs",
    "random_entries": "Random entries",
}
_PATHS: Final = {
    "max_drawdown": "fraction",
    "longest_drawdown": "trades",
    "lowest_equity": "money",
}


@dataclass(frozen=True, slots=True)
class LuckCard:
    """A figure about how much was tried, with what it means and, in short, what it is of."""

    name: str
    value: str
    meaning: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Validation:
    """The panel of the advanced report.

    Attributes:
        verdict: `verdict.json`.
        gates: Title, finding and whether it passed.
        cards: How much was tried, and what that makes of the result.
        assumptions: Behind the cards.
        folds: Rows of the walk forward: dates, parameters, figures.
        metric: What the folds were judged by.
        forward: Efficiency and degradation in words.
        stability: Name, range and share of each parameter's choices.
        intervals: Statistic, observed value and the bounds of its interval.
        drawdown: How deep wealth falls in resampled histories, in words; empty where not drawn.
        paths: What other orders of the trades would have shown.
        checks: Of bias: title, whether it passed, the finding, the false-alarm rate.
        look: Of a run that looked at a holdout: `summary`, `contaminated`, `assumption`, and `rows`
            of metric, holdout, in sample; empty for any other run.
        costs: What it comes to at other costs; None where that was not asked for.
    """

    verdict: Mapping[str, Any]
    gates: Sequence[Mapping[str, Any]]
    cards: Sequence[LuckCard]
    assumptions: Sequence[str]
    folds: Sequence[Mapping[str, Any]]
    metric: str
    forward: Sequence[str]
    stability: Sequence[Mapping[str, Any]]
    intervals: Sequence[Mapping[str, Any]]
    drawdown: str
    paths: Sequence[Mapping[str, Any]]
    checks: Sequence[Mapping[str, Any]]
    look: Mapping[str, Any]
    costs: CostGrid | None


def read_validation(run_dir: Path) -> Validation | None:
    """Return what the validation of a run found; None for a run that was not validated.

    Raises:
        ArtifactManagerError: If a file of it cannot be read.
    """
    folder = run_dir / _FOLDER
    if not folder.is_dir():
        return None
    verdict = _record(folder / "verdict.json")
    luck = _record(folder / "overfitting" / "overfitting.json")
    forward = folder / "walk-forward"
    periods = _record(forward / "period-results.json")
    monte_carlo = folder / "monte-carlo"
    resampled = _record(monte_carlo / "confidence-intervals.json")
    return Validation(
        verdict=verdict,
        gates=[
            {"title": _title(gate["name"]), "passed": gate["passed"], "words": gate["words"]}
            for gate in verdict.get("gates", ())
        ],
        cards=luck_cards(luck),
        assumptions=luck.get("assumptions", ()),
        folds=[_fold(period, periods["metric"]) for period in periods.get("periods", ())],
        metric=metric_label(periods["metric"]) if periods else "",
        forward=_forward(_record(forward / "efficiency-metrics.json")),
        stability=[
            _stable(item)
            for item in _record(forward / "stability-metrics.json").get("parameters", ())
        ],
        intervals=[_interval(item) for item in resampled.get("intervals", ())],
        drawdown=drawdown_words(resampled),
        paths=_paths(_record(monte_carlo / "simulation-results.json").get("reordering") or {}),
        checks=[
            {
                "title": _title(name),
                "passed": check["passed"],
                "words": check["words"],
                "rate": metric_text(check.get("false_alarm_rate"), "fraction"),
            }
            for name, check in _record(folder / "controls" / "bias.json").get("checks", {}).items()
        ],
        look=_look(
            _record(folder / "holdout" / "validation-results.json"),
            _record(folder / "holdout" / "holdout-config.json"),
        ),
        costs=read_cost_grid(run_dir),
    )


def drawdown_words(resampled: Mapping[str, Any]) -> str:
    """Return how deep and how long wealth falls in resampled histories, as a sentence.

    Args:
        resampled: `confidence-intervals.json`; empty where nothing was drawn.
    """
    found = resampled.get("drawdown")
    if found is None:
        return ""
    deep, long, ruin = found["max_drawdown"], found["longest_drawdown"], found["ruin"]
    rest = metric_text(1.0 - found["level"], "fraction")
    middle, worst, fall = (
        metric_text(abs(value), "fraction")
        for value in (deep["median"], deep["worst"], ruin["fall"])
    )
    return (
        f"Of {found['histories']:,} histories drawn from its returns half fall by {middle} or more "
        f"from a peak, {rest} by {worst} or more; half stay {long['median']:,.0f} bars or longer "
        f"below a peak, {rest} {long['worst']:,.0f} or longer; "
        f"{metric_text(ruin['probability'], 'fraction')} lose {fall} of the capital."
    )


def luck_cards(luck: Mapping[str, Any]) -> list[LuckCard]:
    """Return how much was tried, and what a result is worth in view of it.

    Args:
        luck: `overfitting.json`; empty when luck was not measured.
    """
    trials, pbo = luck.get("trials") or {}, luck.get("pbo") or {}
    spa, check = luck.get("spa") or {}, luck.get("reality_check") or {}
    rows: list[tuple[str, float | None, str, str]] = [
        (
            "Trials ever counted",
            trials.get("all"),
            "count",
            "Sets of this strategy on the bundle's datasets in the trial ledger, deleted runs "
            "included.",
        ),
        (
            "Effective trials",
            trials.get("effective"),
            "count",
            "How many independent ideas the sets amount to: sets that move alike count less.",
        ),
        (
            "Best Sharpe without skill",
            luck.get("expected_maximum_sharpe"),
            "",
            "What the best of so many trials without any skill is expected to show.",
        ),
        (
            "PSR",
            luck.get("psr"),
            "probability",
            "Probability that the true Sharpe ratio is positive, were this the only trial.",
        ),
        (
            "DSR",
            luck.get("dsr"),
            "probability",
            "The same in view of all trials: deflated Sharpe ratio.",
        ),
        (
            "PBO",
            pbo.get("probability"),
            "probability",
            "Probability that selecting the best set in sample selects one of the worse half.",
        ),
        (
            "SPA p-value",
            spa.get("p_value"),
            "probability",
            f"Hansen's test of whether any set beats {luck.get('benchmark', 'the benchmark')}.",
        ),
        (
            "Reality check p-value",
            check.get("p_value"),
            "probability",
            "White's test of the same.",
        ),
    ]
    if not luck:
        return []
    left_out = luck.get("history", {}).get("left_out", 0)
    notes = {"PSR": f"of bars after the first {left_out:,}"} if left_out else {}
    return [
        LuckCard(
            name,
            NO_VALUE if value is None else metric_text(value, unit),
            meaning,
            notes.get(name, ""),
        )
        for name, value, unit, meaning in rows
    ]


def _record(path: Path) -> Mapping[str, Any]:
    """Return a file of the validation; nothing where that part was not asked for."""
    if not path.is_file():
        return {}
    try:
        found: Mapping[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactManagerError(f"{path} cannot be read: {error}") from error
    return found


def _title(name: str) -> str:
    return _TITLES.get(name) or name.replace("_", " ").capitalize()


def _fold(period: Mapping[str, Any], metric: str) -> dict[str, Any]:
    def dates(window: Mapping[str, Any]) -> str:
        return f"{window['first_at'][:10]} to {window['last_at'][:10]}"

    unit = UNITS.get(metric, "")
    return {
        "number": period["fold"] + 1,
        "in_sample": dates(period["in_sample"]),
        "out_of_sample": dates(period["out_of_sample"]),
        "params": "none" if period["params"] is None else params_text(period["params"]),
        "inside": metric_text(period["in_sample_figure"], unit),
        "outside": metric_text(period["out_of_sample_figure"], unit),
        "earned_inside": metric_text(period["in_sample_annual_return"], "fraction"),
        "earned_outside": metric_text(period["out_of_sample_annual_return"], "fraction"),
        "tone": metric_tone("annual_return", period["out_of_sample_annual_return"]),
    }


def _forward(record: Mapping[str, Any]) -> list[str]:
    if not record:
        return []
    return [
        f"Efficiency {metric_text(record['efficiency'], 'fraction')}: {record['efficiency_words']}",
        f"Degradation {metric_text(record['degradation'], 'fraction')}: "
        f"{record['degradation_words']}",
        f"Return over all out-of-sample bars {metric_text(record['total_return'], 'fraction')}",
    ]


def _stable(item: Mapping[str, Any]) -> dict[str, Any]:
    has_range = item["low"] is not None
    return {
        "name": item["name"],
        "values": ", ".join(NO_VALUE if value is None else str(value) for value in item["values"]),
        "range": f"{item['low']} to {item['high']}" if has_range else "none",
        "share": metric_text(item["share"], "fraction"),
    }


def _interval(item: Mapping[str, Any]) -> dict[str, Any]:
    unit = UNITS.get(item["statistic"], "")
    return {
        "name": metric_label(item["statistic"]),
        **{key: metric_text(item[key], unit) for key in ("observed", "low", "high")},
        "level": metric_text(item["level"], "fraction"),
    }


def _paths(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for name, unit in _PATHS.items():
        found = record.get(name)
        if found is None:
            continue
        rows.append(
            {
                "name": metric_label(name),
                "observed": metric_text(found["observed"], unit),
                "quantiles": [
                    (_quantile(key), metric_text(value, unit))
                    for key, value in found["quantiles"].items()
                ],
            }
        )
    return rows


def _quantile(key: str) -> str:
    return "Median" if float(key) == 0.5 else f"{float(key):.0%}"


def _look(found: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a look at a holdout found beside what the search had measured before it."""
    if not found:
        return {}
    window = config["window"]
    rows = [
        {
            "name": metric_label(name),
            "holdout": metric_text(value, UNITS.get(name, "")),
            "in_sample": metric_text(found["in_sample"].get(name), UNITS.get(name, "")),
        }
        for name, value in found["holdout"].items()
    ]
    rows.append(
        {"name": "PSR", "holdout": metric_text(found["psr"], "probability"), "in_sample": NO_VALUE}
    )
    return {
        "summary": found["summary"],
        "contaminated": found["contaminated"],
        "assumption": (
            f"{counted(found['bars'], 'bar')} from {window['start']} to {window['end']}; the "
            f"account starts on {config['account_start']} to fill indicators, and the figures "
            "begin at the last close before the holdout. All other parts of this page are over "
            "the whole account"
        ),
        "rows": rows,
    }
