"""The comparison page of a run store."""

import json
import logging
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.batch.closing.captured_code import StoredCode
from backtrail.batch.closing.store_reports import write_store_reports
from backtrail.batch.stages.sightings import StoreLooks
from backtrail.files import lease, remove_stale
from backtrail.reports.settings import REPORT_FILES, ReportConfig
from backtrail.wording import risk_free_words

__all__ = ["render_store_index"]

_log = logging.getLogger(__name__)


def render_store_index(
    store: RunStore, bundles_dir: Path, *, config: ReportConfig | None = None
) -> None:
    """Render `index.html` from the table of runs, and write the JSON of searches beside it.

    No manifest is read, and of results only the equity of runs that are new to the page, and the
    small files of searches; of captured code what the page does not have yet.

    Args:
        store: The run store.
        bundles_dir: Folder of the bundles, for which of them are synthetic.
        config: Theme and templates of one's own.
    """
    import polars as pl

    from backtrail.reports.index import render_index

    with lease(store.catalog_lock):
        runs = pl.read_parquet(store.runs_table).sort("backtest_id")
        synthetic = _synthetic_datasets(bundles_dir)
        looks = StoreLooks(store)
        rows = [_index_row(store, row, synthetic, looks) for row in runs.iter_rows(named=True)]
        remove_stale(store.base_dir)
        render_index(
            rows,
            store.index,
            equity=lambda name: _monthly_equity(store.run(name).results),
            code=StoredCode(store),
            config=config,
        )
        write_store_reports(store, runs.to_dicts())


def _synthetic_datasets(bundles_dir: Path) -> set[str]:
    found = set()
    for path in bundles_dir.glob("*/[!.]*/manifest.json"):
        manifest = json.loads(path.read_bytes())
        if manifest["synthetic"]:
            found.add(manifest["dataset_id"])
    return found


def _index_row(
    store: RunStore, row: dict[str, Any], synthetic: set[str], looks: StoreLooks
) -> dict[str, Any]:
    name = row["backtest_id"]
    reports = f"{name}/results/reports"
    basic, advanced, search = (
        f"{reports}/{REPORT_FILES[kind]}" for kind in ("basic", "advanced", "search")
    )
    return {
        "backtest_id": name,
        "name": row["name"],
        "entry": row["name"].partition("/")[0],
        "strategy": row["strategy"],
        "code_hash": row["code_hash"],
        "params": json.loads(row["params_json"]),
        "bundle": row["bundle"],
        "dataset_id": row["dataset_id"],
        "status": row["status"],
        "grade": row["grade"],
        "run_type": row["run_type"],
        "start": row["start_date"],
        "end": row["end_date"],
        "risk_free": risk_free_words(json.loads(row["settings_json"])),
        "metrics": json.loads(row["metrics_json"]),
        "error": f"{row['error_kind']}: {row['error_message']}" if row["error_kind"] else None,
        "report": _first_there(store, (basic, f"{name}/errors/failed_run.html")),
        "advanced": _first_there(store, (advanced,)),
        "search": _first_there(store, (search,)),
        "synthetic": row["dataset_id"] in synthetic,
        "looks": looks.of(row),
        "tags": json.loads(row["tags_json"]),
        "version": row["manifest_sha256"],
    }


def _first_there(store: RunStore, paths: Sequence[str]) -> str | None:
    base = f"{store.base_dir}/"
    return next((path for path in paths if os.path.exists(base + path)), None)


def _monthly_equity(results: Path) -> list[tuple[str, float]] | None:
    """Return month ends and equity relative to the capital; None where it cannot be read."""
    import polars as pl

    from backtrail.reports.charting import starting_equity

    path = results / "backtest_results.parquet"
    if not path.exists():
        return None
    try:
        equity = pl.read_parquet(path, columns=["timestamp", "portfolio_value", "drawdown"])
    except (OSError, pl.exceptions.PolarsError) as error:
        _log.warning("the page shows no equity of %s: %s", results.parent.name, error)
        return None
    first = starting_equity(equity)
    monthly = equity.group_by(pl.col("timestamp").dt.truncate("1mo"), maintain_order=True).agg(
        pl.col("timestamp").last().alias("at"), (pl.col("portfolio_value").last() / first).round(6)
    )
    days: list[date] = monthly["at"].dt.date().to_list()
    values = monthly["portfolio_value"].to_list()
    return [(day.isoformat(), value) for day, value in zip(days, values, strict=True)]
