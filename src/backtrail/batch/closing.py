"""Closing a batch: the catalog brought level, the comparison page made."""

import json
import logging
from datetime import date
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.batch.limits import show_bytes
from backtrail.canonical import sha256_json
from backtrail.files import lease, remove_stale, write_json

__all__ = ["close_failed_batch", "disk_warning", "link_catalog", "render_store_index"]

_log = logging.getLogger(__name__)

_CURVES = 300  # runs whose equity the page can overlay; the newest ones


def link_catalog(
    url: str,
    store: RunStore,
    bundles_dir: Path,
    receipt: Path | None = None,
    *,
    warn_above: int | None = None,
) -> str:
    """Bring the catalog level with the run store, and write a receipt.

    What changed and how many runs completed and failed is logged; so is, as a warning, a store
    that has grown large.

    Args:
        url: SQLAlchemy URL of the catalog.
        store: The run store.
        bundles_dir: Folder of the bundles.
        receipt: Where to write the sha256 of the catalogued runs; nowhere when None.
        warn_above: Size in bytes of all sealed runs above which to warn; None never warns.

    Returns:
        What changed, in words.
    """
    from backtrail.catalog.catalog import Catalog

    with Catalog(url, store, bundles_dir) as catalog:
        counts = catalog.sync()
        warning = disk_warning(store, catalog.stored_bytes(), warn_above)
        if receipt is not None:
            rows = catalog.find_runs()
            remove_stale(receipt.parent)
            checksums = [row["manifest_sha256"] for row in rows]
            record = {"runs": len(rows), "sha256": sha256_json(checksums), "warning": warning}
            write_json(receipt, record)
    changed = counts.added + counts.updated
    said = (
        f"catalog: {counts.added} runs added, {counts.updated} updated, {counts.removed} removed, "
        f"{counts.total} in all; of the added and updated {changed - counts.failed} completed and "
        f"{counts.failed} failed"
    )
    _log.info(said)
    if warning is not None:
        _log.warning(warning)
    return said


def disk_warning(store: RunStore, size: int, warn_above: int | None) -> str | None:
    """Return a sentence for a store whose sealed runs take more than a limit, else None."""
    if warn_above is None or size <= warn_above:
        return None
    return (
        f"the sealed runs in {store.base_dir} take {show_bytes(size)}, more than the "
        f"{show_bytes(warn_above)} of backtest_output.warn_above; delete runs that are no longer "
        "needed and call `backtrail catalog-sync`, or raise the limit"
    )


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


def close_failed_batch(
    url: str,
    store: RunStore,
    bundles_dir: Path,
    *,
    warn_above: int | None = None,
    log: Path | None = None,
) -> None:
    """Catalogue and show what a failing batch left, as a succeeding one does.

    Args:
        url: SQLAlchemy URL of the catalog.
        store: The run store; nothing is done while it does not exist.
        bundles_dir: Folder of the bundles.
        warn_above: Size in bytes of all sealed runs above which to warn.
        log: File that gets a line with what changed: the log of the rule that did not run.
    """
    if not store.base_dir.exists():
        return
    said = link_catalog(url, store, bundles_dir, warn_above=warn_above)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{said}\n")
    render_store_index(store, bundles_dir)
