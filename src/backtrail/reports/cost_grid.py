"""What a run comes to at other costs, as its pages show it; nothing is computed here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.artifacts.schemas import VALIDATION_SCHEMAS
from backtrail.errors import ArtifactManagerError
from backtrail.reports.formatting import NO_VALUE, UNITS, metric_label, metric_text

__all__ = ["CostGrid", "break_even_words", "read_cost_grid"]

_FOLDER: Final = Path("results") / "validation" / "costs"
_MAPPED: Final = ("total_return", "sharpe_ratio")
_LISTED: Final = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "max_drawdown",
    "final_equity",
    "total_commission",
    "total_slippage",
    "total_trades",
    "fills",
)
_ALIKE: Final = ("total_commission", "total_slippage", "final_equity")
_FULLEST: Final = 70  # percent of a color, as in the months
_UNITS: Final = {
    "basis_points": "basis points of the value of each fill",
    "multiples": "times the run's own",
}


@dataclass(frozen=True, slots=True)
class CostGrid:
    """The grid of costs of a run.

    Attributes:
        words: At which cost the profit is gone.
        own: The run's own costs, in words.
        unit: What levels are, in words.
        slippages: Levels across.
        maps: Of each metric its name and title, and rows of a level and cells: text, number, class,
            strength of the color, and whether the same was paid and left as by the run itself.
        columns: Headings of the list of all figures, after those of the two levels.
        rows: Of the run itself, then of each cell: a name, text and number of levels and figures,
            and why the strategy failed.
        failed: Whether it failed in any.
        assumptions: What the figures rest on.
    """

    words: str
    own: str
    unit: str
    slippages: Sequence[str]
    maps: Sequence[Mapping[str, Any]]
    columns: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    failed: bool
    assumptions: Sequence[str]


def break_even_words(run_dir: Path) -> str | None:
    """Return at which cost the profit of a run is gone; None where costs were not asked for.

    Raises:
        ArtifactManagerError: If the file cannot be read.
    """
    found = _told(run_dir)
    return None if found is None else str(found["break_even"]["words"])


def read_cost_grid(run_dir: Path) -> CostGrid | None:
    """Return the grid of costs of a run; None where it was not asked for.

    Raises:
        ArtifactManagerError: If a file of it cannot be read.
    """
    found = _told(run_dir)
    if found is None:
        return None
    cells = _cells(run_dir / _FOLDER / "grid.parquet")
    times = "×" if found["unit"] == "multiples" else ""
    own = found["own"]
    by_strategy = [f", {name} set by the strategy" for name in own["set_by_strategy"]]
    return CostGrid(
        words=found["break_even"]["words"],
        own=f"commission {own['commission']}, slippage {own['slippage']}{''.join(by_strategy)}",
        unit=_UNITS[found["unit"]],
        slippages=[f"{level:g}{times}" for level in found["slippage"]],
        maps=[_map(name, cells, times) for name in _MAPPED],
        columns=[metric_label(name) for name in _LISTED],
        rows=[_row(cell, times) for cell in cells],
        failed=any(cell["error"] is not None for cell in cells),
        assumptions=found["assumptions"],
    )


def _told(run_dir: Path) -> Mapping[str, Any] | None:
    path = run_dir / _FOLDER / "cost-sensitivity.json"
    if not path.is_file():
        return None
    try:
        found: Mapping[str, Any] = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactManagerError(f"{path} cannot be read: {error}") from error
    return found


def _cells(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ArtifactManagerError(f"{path} is missing; `backtrail verify` names what is damaged")
    frame = pl.read_parquet(path)
    if dict(frame.schema) != VALIDATION_SCHEMAS["costs/grid"]:
        raise ArtifactManagerError(f"{path} has the columns {dict(frame.schema)}")
    return frame.to_dicts()


def _map(name: str, cells: Sequence[Mapping[str, Any]], times: str) -> dict[str, Any]:
    """Return a metric by commission and slippage, colored by sign and size."""
    itself, *inside = cells
    largest = max((abs(cell[name] or 0.0) for cell in inside), default=0.0) or 1.0
    rows: dict[float, list[dict[str, Any]]] = {}
    for cell in inside:
        value = cell[name]
        rows.setdefault(cell["commission"], []).append(
            {
                "text": metric_text(value, UNITS.get(name, "")),
                "value": value,
                "tone": "" if not value else "gain" if value > 0 else "loss",
                "heat": 0 if value is None else round(abs(value) / largest * _FULLEST),
                "own": all(cell[paid] == itself[paid] for paid in _ALIKE) and cell["fills"] != 0,
                "hint": _hint(cell),
            }
        )
    return {
        "name": name,
        "title": metric_label(name),
        "rows": [{"level": f"{level:g}{times}", "cells": found} for level, found in rows.items()],
    }


def _hint(cell: Mapping[str, Any]) -> str:
    if cell["error"] is not None:
        return str(cell["error"])
    return ", ".join(
        f"{metric_label(name)} {metric_text(cell[name], UNITS.get(name, 'count'))}"
        for name in ("cagr", "max_drawdown", "final_equity", "total_trades")
    )


def _row(cell: Mapping[str, Any], times: str) -> dict[str, Any]:
    levels = [
        (cell[name], NO_VALUE if cell[name] is None else f"{cell[name]:g}{times}")
        for name in ("commission", "slippage")
    ]
    figures = [
        (cell[name], metric_text(cell[name], UNITS.get(name, "count" if name == "fills" else "")))
        for name in _LISTED
    ]
    return {
        "name": "own" if cell["own"] else "other",
        "figures": [{"value": value, "text": text} for value, text in (*levels, *figures)],
        "error": cell["error"],
    }
