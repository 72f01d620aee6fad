"""Writing what a run made: its tables, their CSV twins, the metrics as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from backtrail.artifacts.store import RunDir
from backtrail.artifacts.tables import build_table, write_csv, write_table
from backtrail.files import write_json

__all__ = ["write_results"]

_CSV_TWINS = {
    "backtest_results": "backtest_results.csv",
    "summary": "summary_statistics.csv",
}


def write_results(
    tables: Mapping[str, Mapping[str, Sequence[Any]]], target: RunDir, *, csv_twins: bool
) -> dict[str, str]:
    """Write a run's tables below `target` and return the content checksum of each.

    Args:
        tables: Columns by table, among them `summary`, the metrics.
        target: The run, or a scratch directory.
        csv_twins: Write curve and metrics as CSV, too.

    Raises:
        ArtifactManagerError: If a table does not have its declared columns; nothing is written.
    """
    frames = {name: build_table(name, columns) for name, columns in tables.items()}
    contents = {}
    for name, frame in frames.items():
        path = target.results / f"{name}.parquet"
        contents[f"results/{name}.parquet"] = write_table(path, frame)
        if csv_twins and name in _CSV_TWINS:
            write_csv(target.results / _CSV_TWINS[name], frame)
    write_json(target.results / "performance-metrics.json", _metrics_by_name(tables["summary"]))
    return contents


def _metrics_by_name(summary: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    names = ("value", "unit", "assumption")
    rows = zip(summary["metric"], *(summary[name] for name in names), strict=True)
    return {metric: dict(zip(names, values, strict=True)) for metric, *values in rows}
