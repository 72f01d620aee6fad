"""The index of the store: every run in one table, with a comparison of the ticked ones."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backtrail.reports.formatting import INDEX_COLUMNS, UNITS, metric_label, plain_text
from backtrail.reports.pages import write_page

__all__ = ["MAX_EQUITY_CURVES", "render_index"]

# Equity curves make most of the file; beyond this many the newest runs keep theirs.
MAX_EQUITY_CURVES = 600
_TEXT_KEYS = (
    "backtest_id",
    "name",
    "strategy",
    "bundle",
    "dataset_id",
    "status",
    "grade",
    "run_type",
    "start",
    "end",
    "error",
    "report",
)
_UNFINISHED = frozenset({"failed", "running", "planned", "claimed"})


def render_index(rows: Sequence[Mapping[str, Any]], out: Path) -> Path:
    """Write the comparison page of a store.

    The same rows in any order give the same bytes.

    Args:
        rows: One mapping per run: `backtest_id`, `name`, `strategy`, `params` (mapping), `bundle`,
            `dataset_id`, `status`, `grade`, `run_type`, `start`, `end`, `metrics` (mapping of name
            to value or None), `error` (reason or None), `report` (path relative to the page, or
            None), `equity` (list of ISO date and value, 1.0 at the start, or None), `synthetic`.
        out: The HTML file to write.

    Returns:
        `out`.
    """
    newest_first = sorted(rows, key=lambda row: str(row["backtest_id"]), reverse=True)
    curves = sum(1 for row in newest_first if row["equity"])
    failed = sum(1 for row in newest_first if row["status"] == "failed")
    return write_page(
        out,
        "index.html.j2",
        data=_index_data(newest_first),
        scripts=("index.js",),
        counts=[
            ("Runs", len(rows)),
            ("Finished", sum(1 for row in rows if row["status"] not in _UNFINISHED)),
            ("Failed", failed),
            ("Strategies", len({row["strategy"] for row in rows})),
            ("Bundles", len({row["bundle"] for row in rows})),
        ],
        choices={key: _choices(rows, key) for key in ("strategy", "bundle", "status")},
        curves=curves,
        curve_limit=MAX_EQUITY_CURVES,
        synthetic=sum(1 for row in rows if row["synthetic"]),
        total=len(rows),
    )


def _choices(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, int]]:
    """Return the different texts of a column with how often they occur, sorted by text."""
    return sorted(Counter(str(row[key]) for row in rows).items())


def _number(value: float | None) -> float | None:
    """Return a metric with seven digits; what is not finite is shown as no value."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.7g}")


def _index_data(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = sorted({name for row in rows for name in row["metrics"]})
    ordered = [name for name in INDEX_COLUMNS if name in names]
    ordered += [name for name in names if name not in INDEX_COLUMNS]
    axes: dict[tuple[str, ...], int] = {}
    equity: list[Any] = []
    kept = 0
    for row in rows:
        curve = row["equity"] if kept < MAX_EQUITY_CURVES else None
        if not curve:
            equity.append(None)
            continue
        kept += 1
        axis = axes.setdefault(tuple(str(date) for date, _ in curve), len(axes))
        equity.append([axis, [_number(value) for _, value in curve]])
    return {
        "axes": [list(axis) for axis in axes],
        "columns": {
            key: [None if row[key] is None else str(row[key]) for row in rows] for key in _TEXT_KEYS
        },
        "equity": equity,
        "metrics": {name: [_number(row["metrics"].get(name)) for row in rows] for name in ordered},
        "order": ordered,
        "labels": {name: metric_label(name) for name in ordered},
        "main": [name for name in INDEX_COLUMNS if name in names],
        "params": [
            {str(key): plain_text(value) for key, value in row["params"].items()} for row in rows
        ],
        "synthetic": [bool(row["synthetic"]) for row in rows],
        "units": {name: UNITS.get(name, "") for name in ordered},
    }
