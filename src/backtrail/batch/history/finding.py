"""What a search of the catalog found, as text for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from backtrail.batch.history.listing import shortened
from backtrail.catalog.params import PARAM
from backtrail.catalog.run_frame import RunFrame
from backtrail.catalog.tables import METRIC_UNITS
from backtrail.reports.formatting import metric_text
from backtrail.wording import counted

__all__ = ["frame_table", "groups_table", "main_columns", "metric_words", "statistics_text"]

_GAP: Final = "  "
_MOST_PARAMS: Final = 6
_WIDEST: Final = 40
_FIGURES: Final = ("total_return", "sharpe_ratio", "max_drawdown", "total_trades")


def metric_words(name: str, value: float | None) -> str:
    """Return the value of a metric, those of the catalog with their units; nothing for null."""
    if value is None:
        return ""
    unit = METRIC_UNITS.get(name, "ratio")
    return metric_text(value, "fraction" if unit.startswith("fraction") else unit)


def groups_table(groups: pl.DataFrame, by: str, metric: str) -> str:
    """Return groups of runs as a table: a line for each, with counts, a metric and days.

    Args:
        groups: From `group_runs`.
        by: What they are groups of.
        metric: Whose best and median values they have.
    """
    heads = (by, "runs", "completed", "failed", f"best {metric}", "median", "first", "last")
    lines = [
        (
            f"no {by}" if row["group"] is None else row["group"],
            *(f"{row[name]:,}" for name in ("runs", "completed", "failed")),
            *(metric_words(metric, row[name]) for name in ("best", "median")),
            row["first"],
            row["last"],
        )
        for row in groups.iter_rows(named=True)
    ]
    return _table(heads, lines, left=(0, 6, 7))


def main_columns(runs: RunFrame) -> list[str]:
    """Return the columns that are shown when none are asked for: what was run, and how it went."""
    params = [f"{PARAM}{name}" for name in runs.params[:_MOST_PARAMS]]
    return ["backtest_id", "name", "status", *params, *_FIGURES]


def frame_table(frame: pl.DataFrame) -> str:
    """Return a frame as a table, numbers to the right, nothing where a value is null."""
    left = [at for at, dtype in enumerate(frame.dtypes) if not dtype.is_numeric()]
    lines = [tuple(_cell(value) for value in row) for row in frame.iter_rows()]
    return _table(tuple(name.removeprefix(PARAM) for name in frame.columns), lines, left=left)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return shortened(str(value), _WIDEST)


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]], *, left: Sequence[int]) -> str:
    widths = [max(map(len, cells)) for cells in zip(heads, *lines, strict=True)]
    return "".join(
        _GAP.join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        + "\n"
        for cells in (heads, *lines)
    )


def statistics_text(found: Mapping[str, Any]) -> str:
    """Return what runs come to, a line per fact.

    Args:
        found: From `run_statistics`.
    """
    facts = {"runs": f"{found['runs']:,}"}
    for key, counts in found.items():
        if key.startswith("by_"):
            name = key.removeprefix("by_").replace("_", " ")
            facts[name] = ", ".join(f"{count:,} {value}" for value, count in counts.items())
    facts["bytes"] = f"{found['bytes']:,} in sealed files"
    facts["began"] = f"{found['first']} to {found['last']}" if found["runs"] else ""
    trials = found["trials"]
    facts["trials"] = (
        f"{counted(trials['sets'], 'parameter set')} in {counted(trials['runs'], 'run')} of these "
        "strategies on these datasets, deleted ones included"
    )
    width = max(map(len, facts))
    return "".join(f"{name.ljust(width)}  {value}\n" for name, value in facts.items() if value)
