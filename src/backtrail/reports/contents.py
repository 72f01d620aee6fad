"""What all reports of a finished run show: read once, computed once, laid out by a template."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from backtrail.reports import charting, formatting, tables
from backtrail.reports.header import header_of
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.rundata import RunRecord, read_dataset_manifest, read_run
from backtrail.reports.series import TimeGrid, point_limit, time_grid

__all__ = ["RunContents", "read_contents"]


@dataclass(frozen=True, slots=True)
class RunContents:
    """A finished run as its pages need it.

    Attributes:
        run: The run.
        bundles_dir: The central bundle storage.
        dataset: Manifest of its dataset.
        results: The artifact `backtest_results`.
        trades: The artifact `trades`.
        summary: Rows of the artifact `summary`.
        moments: Microseconds since 1970 of the bars.
        grid: The time axis of the charts.
        data: What the scripts of the page read.
    """

    run: RunRecord
    bundles_dir: Path
    dataset: Mapping[str, Any]
    results: pl.DataFrame
    trades: pl.DataFrame
    summary: list[dict[str, Any]]
    moments: NDArray[np.int64]
    grid: TimeGrid
    data: dict[str, Any]

    @property
    def equity(self) -> NDArray[np.float64]:
        """Return the account value after each bar."""
        return self.results["portfolio_value"].to_numpy()

    def values(
        self, *, grade: str | None, trials: str | None = None, looks: HoldoutLooks = NO_LOOKS
    ) -> dict[str, Any]:
        """Return what every template of a finished run shows.

        Args:
            grade: Provenance grade to show when it was raised after the run was sealed.
            trials: How much was tried on the dataset, in words; None when it was not counted.
            looks: Looks at the holdout of its dataset by its strategy file.
        """
        summary = _scoped(self.summary, self.run.left_out)
        by_name = {row["metric"]: row["value"] for row in self.summary}
        value_at_risk, shortfall = (
            next((value for name, value in by_name.items() if name.startswith(metric)), None)
            for metric in ("value_at_risk", "conditional_value_at_risk")
        )
        drawdown = self.results["drawdown"].fill_null(0.0).to_numpy()
        header = header_of(
            self.run,
            dataset=self.dataset,
            bars=self.results.height,
            grade=grade,
            costs=_stated(self.summary),
            trials=trials,
            looks=looks,
        )
        return {
            "failed": False,
            "header": header,
            "cards": _cards(summary),
            "summary": summary,
            "years": tables.monthly_returns(
                self.moments, self.equity, charting.starting_equity(self.results)
            ),
            "heat": _heat,
            "episodes": tables.drawdown_episodes(self.moments, drawdown),
            "histogram": tables.return_histogram(
                charting.floats(self.results["returns"]), value_at_risk, shortfall
            ),
            "timeframe": self.run.identity["dataset"]["timeframe"],
            "chart": self.data["chart"],
            "trade_count": self.trades.height,
            "trade_limit": charting.MAX_TRADES,
            "unshown": [],
            "ranges": charting.chart_ranges(self.moments),
        }


def read_contents(run_dir: Path, bundles_dir: Path) -> RunContents:
    """Return the contents of a finished run's pages.

    Raises:
        ArtifactManagerError: If an artifact is missing or not of its declared schema.
        DatasetError: If the run's dataset is not in `bundles_dir`.
    """
    run = read_run(run_dir)
    dataset = read_dataset_manifest(run, bundles_dir)
    results, trades = run.table("backtest_results"), run.table("trades")
    summary = run.table("summary").to_dicts()
    moments = results["timestamp"].to_physical().to_numpy()
    grid = time_grid(moments, point_limit(moments.size, len(run.identity["symbols"])))
    data = charting.chart_data(run, bundles_dir, results, trades, grid)
    return RunContents(run, bundles_dir, dataset, results, trades, summary, moments, grid, data)


def _cards(summary: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {row["metric"]: row for row in summary}
    chosen = [rows[name] for name in formatting.CARDS if name in rows]
    return chosen or summary[:18]


def _scoped(summary: list[dict[str, Any]], left_out: int) -> list[dict[str, Any]]:
    """Return the summary with words at the figure that the verdict has of other bars."""
    if not left_out:
        return summary
    added = f"; of all bars, the verdict's is of those after the first {left_out:,}"
    return [
        {**row, "assumption": f"{row['assumption']}{added}", "note": "of all bars"}
        if row["metric"] == "probabilistic_sharpe_ratio"
        else row
        for row in summary
    ]


def _heat(value: float | None) -> int:
    """Return the strength of a month's cell color in percent; ten percent is full."""
    return 0 if value is None else min(round(abs(value) * 1000), 100) * 7 // 10


_STATED = {
    "commission": "total_commission",
    "slippage": "total_slippage",
    "benchmark": "benchmark_total_return",
}


def _stated(summary: list[dict[str, Any]]) -> dict[str, str]:
    """Return the costs and the benchmark that the strategy set, from the figures they made."""
    said = {row["metric"]: str(row["assumption"]) for row in summary}
    return {
        name: ", ".join(said[metric].split(", ")[-2:])
        for name, metric in _STATED.items()
        if said.get(metric, "").endswith("set by the strategy")
    }
