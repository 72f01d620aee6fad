"""What a run on a holdout says: the figures of the holdout alone, beside those before it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.evaluation import holdout_tables
from backtrail.data.calendars import dataset_periods
from backtrail.files import write_json
from backtrail.metrics import SharpeEstimate, risk_free_of, risk_free_per_period
from backtrail.metrics.summary import summarize_tables
from backtrail.optimization.search import SWEEP_METRICS
from backtrail.wording import risk_free_words

__all__ = ["write_holdout"]


def write_holdout(
    spec: Mapping[str, Any], tables: Mapping[str, Mapping[str, Sequence[Any]]], target: RunDir
) -> None:
    """Write `holdout-config.json` and `validation-results.json`.

    The account begins with the bars that fill indicators; the figures begin with its value at the
    last close before the holdout, so that what it earned by then is not in them.

    Args:
        spec: The spec of a run on a holdout.
        tables: Columns by table, as the child gave them; timestamps in microseconds. With
            `holdout_metrics` where the strategy has metrics of its own.
        target: The run, or a scratch directory.
    """
    identity = spec["identity"]
    figures, bars, psr = _figures(identity, tables)
    look = int(spec["look"])
    contaminated = look > 1
    folder = target.results / "validation" / "holdout"
    config = {
        "parent": identity["parent"],
        "parent_id": spec["parent"]["backtest_id"],
        "params": identity["params"],
        "window": identity["holdout"],
        "account_start": identity["start"],
    }
    write_json(folder / "holdout-config.json", config)
    known = spec["parent"]["metrics"]
    results = {
        "look": look,
        "contaminated": contaminated,
        "bars": bars,
        "holdout": figures,
        "in_sample": {name: known.get(name) for name in figures},
        "psr": psr,
        "summary": _words(figures, known, look, risk_free_words(identity)),
    }
    write_json(folder / "validation-results.json", results)


def _figures(
    identity: Mapping[str, Any], tables: Mapping[str, Mapping[str, Sequence[Any]]]
) -> tuple[dict[str, float | None], int, float | None]:
    begins = identity["holdout"]["start"]
    inside = holdout_tables(tables, begins)
    times = np.asarray(inside["backtest_results"]["timestamp"], dtype=np.int64)
    equity = np.asarray(inside["backtest_results"]["portfolio_value"], dtype=np.float64)
    periods, rate = dataset_periods(identity["dataset"]), risk_free_of(identity)
    rows = summarize_tables(inside, periods_per_year=periods, risk_free=rate)
    values = {row.metric: row.value for row in rows}
    figures = {name: values[name] for name in SWEEP_METRICS}
    own = tables.get("holdout_metrics", {"metric": (), "value": ()})
    figures |= dict(zip(own["metric"], own["value"], strict=True))
    best = None
    if len(equity) > 2 and (equity > 0.0).all():
        returns = equity[1:] / equity[:-1] - 1.0
        best = SharpeEstimate.of(returns, risk_free_per_period(rate, periods))
    psr = None if best is None else best.probability_above()
    bars = int(np.count_nonzero(times >= np.datetime64(begins, "us").astype(np.int64)))
    return figures, bars, psr


def _words(
    figures: Mapping[str, float | None],
    known: Mapping[str, float | None],
    look: int,
    rate: str | None,
) -> str:
    ratio, before = figures["sharpe_ratio"], known.get("sharpe_ratio")
    growth, former = figures["cagr"], known.get("cagr")
    over = "" if rate is None else f"over {rate} "
    text = (
        f"On the holdout the Sharpe ratio {over}is {_shown(ratio, '.2f')} after "
        f"{_shown(before, '.2f')} in sample, growth {_shown(growth, '.1%')} a year "
        f"after {_shown(former, '.1%')}."
    )
    if look > 1:
        text += (
            f" This is look {look} at these dates: they are contaminated, because earlier looks "
            "may have steered what was searched."
        )
    return text


def _shown(value: float | None, form: str) -> str:
    return "undefined" if value is None else format(value, form)
