"""Bringing the catalog level with the run store when a batch ends."""

import logging
from pathlib import Path

from backtrail.artifacts.store import RunStore
from backtrail.batch.closing.index import render_store_index
from backtrail.batch.planning.limits import show_bytes
from backtrail.canonical import sha256_json
from backtrail.errors import CatalogError
from backtrail.files import remove_stale, write_json
from backtrail.reports.settings import ReportConfig
from backtrail.wording import counted

__all__ = ["close_failed_batch", "disk_warning", "link_catalog"]

_log = logging.getLogger(__name__)


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
        f"catalog: {counted(counts.added, 'run')} added, {counts.updated} updated, "
        f"{counts.removed} removed, {counts.total} in all; of the added and updated "
        f"{changed - counts.failed} completed and {counts.failed} failed"
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
        "needed (`backtrail delete`, `backtrail cleanup`), or raise the limit"
    )


def close_failed_batch(
    url: str,
    store: RunStore,
    bundles_dir: Path,
    *,
    warn_above: int | None = None,
    log: Path | None = None,
    config: ReportConfig | None = None,
) -> None:
    """Catalogue and show what a failing batch left, as a succeeding one does.

    A catalog that cannot be written is warned of: the batch has failed for a reason of its own.

    Args:
        url: SQLAlchemy URL of the catalog.
        store: The run store; nothing is done while it does not exist.
        bundles_dir: Folder of the bundles.
        warn_above: Size in bytes of all sealed runs above which to warn.
        log: File that gets a line with what changed: the log of the rule that did not run.
        config: Theme and templates of the comparison page.
    """
    if not store.base_dir.exists():
        return
    try:
        said = link_catalog(url, store, bundles_dir, warn_above=warn_above)
    except CatalogError as error:
        _log.warning("%s", error)
        said = str(error)
    else:
        render_store_index(store, bundles_dir, config=config)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{said}\n")
