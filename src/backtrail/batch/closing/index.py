"""The comparison page of a run store."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.files import lease, remove_stale

__all__ = ["render_store_index"]

_CURVES = 300  # runs whose equity the page can overlay; the newest ones


def render_store_index(store: RunStore, bundles_dir: Path) -> None:
    """Render `index.html` from the table of runs."""
    import polars as pl

    from backtrail.reports.index import render_index

    with lease(store.catalog_lock):
        runs = pl.read_parquet(store.runs_table).sort("backtest_id", descending=True)
        synthetic = _synthetic_datasets(bundles_dir)
        rows = [
            _index_row(store, row, synthetic, with_curve=number < _CURVES)
            for number, row in enumerate(runs.iter_rows(named=True))
        ]
        remove_stale(store.base_dir)
        render_index(rows, store.index)


def _synthetic_datasets(bundles_dir: Path) -> set[str]:
    found = set()
    for path in bundles_dir.glob("*/*/manifest.json"):
        manifest = json.loads(path.read_bytes())
        if manifest["synthetic"]:
            found.add(manifest["dataset_id"])
    return found


def _index_row(
    store: RunStore, row: dict[str, Any], synthetic: set[str], *, with_curve: bool
) -> dict[str, Any]:
    run = store.run(row["backtest_id"])
    pages = (run.reports / "basic_report.html", run.errors / "failed_run.html")
    page = next((item for item in pages if item.exists()), None)
    return {
        "backtest_id": row["backtest_id"],
        "name": row["name"],
        "strategy": row["strategy"],
        "params": json.loads(row["params_json"]),
        "bundle": row["bundle"],
        "dataset_id": row["dataset_id"],
        "status": row["status"],
        "grade": row["grade"],
        "run_type": row["run_type"],
        "start": row["start_date"],
        "end": row["end_date"],
        "metrics": json.loads(row["metrics_json"]),
        "error": f"{row['error_kind']}: {row['error_message']}" if row["error_kind"] else None,
        "report": None if page is None else page.relative_to(store.base_dir).as_posix(),
        "equity": _monthly_equity(run.results) if with_curve else None,
        "synthetic": row["dataset_id"] in synthetic,
    }


def _monthly_equity(results: Path) -> list[list[Any]] | None:
    """Return month ends and equity relative to the first bar."""
    import polars as pl

    path = results / "backtest_results.parquet"
    if not path.exists():
        return None
    equity = pl.read_parquet(path, columns=["timestamp", "portfolio_value"])
    first = equity["portfolio_value"][0]
    monthly = equity.group_by(pl.col("timestamp").dt.truncate("1mo"), maintain_order=True).agg(
        pl.col("timestamp").last().alias("at"), (pl.col("portfolio_value").last() / first).round(6)
    )
    days: list[date] = monthly["at"].dt.date().to_list()
    values = monthly["portfolio_value"].to_list()
    return [[day.isoformat(), value] for day, value in zip(days, values, strict=True)]
