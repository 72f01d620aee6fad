"""Writing what a run made: its tables, their twins, metrics and settings as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from backtrail.artifacts.exports import market_data, strategy_config, trade_list
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.tables import build_table, write_csv, write_tables
from backtrail.files import write_json

__all__ = ["write_results"]

TRADES_TWIN = "trades.json"
_CSV_TWINS = {
    "backtest_results": "backtest_results.csv",
    "summary": "summary_statistics.csv",
}


def write_results(
    tables: Mapping[str, Mapping[str, Sequence[Any]]],
    target: RunDir,
    *,
    csv_twins: bool,
    identity: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Write a run's tables below `target` and return the content checksum of each.

    Args:
        tables: Columns by table, among them `summary`, the metrics.
        target: The run, or a scratch directory.
        csv_twins: Write curve and metrics as CSV and trades as JSON, too.
        identity: Of the run spec: with it, configuration and data are described in JSON.

    Raises:
        ArtifactManagerError: If a table does not have its declared columns; nothing is written.
    """
    frames = {name: build_table(name, columns) for name, columns in tables.items()}
    paths = {name: target.results / f"{name}.parquet" for name in frames}
    checksums = write_tables({paths[name]: frame for name, frame in frames.items()})
    for name, twin in _CSV_TWINS.items():
        if csv_twins and name in frames:
            write_csv(target.results / twin, frames[name])
    write_json(target.results / "performance-metrics.json", _metrics_by_name(tables["summary"]))
    if identity is not None:
        times = tables["backtest_results"]["timestamp"]
        write_json(target.results / "strategy-config.json", strategy_config(identity))
        write_json(target.results / "market-data.json", market_data(identity, times))
    if csv_twins and "trades" in tables:
        write_json(target.results / TRADES_TWIN, trade_list(tables["trades"]))
    return {f"results/{name}.parquet": checksums[path] for name, path in paths.items()}


def _metrics_by_name(summary: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    names = ("value", "unit", "assumption")
    rows = zip(summary["metric"], *(summary[name] for name in names), strict=True)
    return {metric: dict(zip(names, values, strict=True)) for metric, *values in rows}
