"""Tags given and taken by hand: the ledger first, then catalog and comparison page."""

from collections.abc import Collection, Iterable
from pathlib import Path

from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import edit_tags, read_tags
from backtrail.batch.closing.index import render_store_index
from backtrail.batch.closing.linking import link_catalog
from backtrail.reports.settings import ReportConfig

__all__ = ["change_tags", "tags_of"]


def change_tags(
    url: str,
    store: RunStore,
    bundles_dir: Path,
    backtest_ids: Iterable[str],
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    forget: str | None = None,
    config: ReportConfig | None = None,
) -> int:
    """Give runs tags and take some away, and show it in the catalog and on the comparison page.

    No run and no report of one is touched. What a person took away stays away, whatever a config
    asks for, until it is added again.

    Args:
        url: SQLAlchemy URL of the catalog.
        store: The run store.
        bundles_dir: Folder of the bundles.
        backtest_ids: The runs.
        add: Tags that each of them has from now on.
        remove: Tags that none of them has any more.
        forget: A config whose tags are taken back, one that has another name now.
        config: Theme and templates of the comparison page.

    Returns:
        How many runs have another record now.

    Raises:
        InvalidNameError: If a name cannot be a tag, or is to be added and removed, or the config to
            forget gave none of the runs a tag.
        ArtifactManagerError: If a run is not in the store, or its record of tags is damaged.
        CatalogError: If the catalog cannot be written; the ledger has the tags then, and
            `backtrail catalog-sync` takes them over.
    """
    keys = [_run_key(store, backtest_id) for backtest_id in backtest_ids]
    changed = edit_tags(store, keys, add=add, remove=remove, forget=forget)
    link_catalog(url, store, bundles_dir)
    render_store_index(store, bundles_dir, config=config)
    return changed


def tags_of(store: RunStore, backtest_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the tags of runs as the ledger has them, by backtest id.

    Raises:
        ArtifactManagerError: If a run is not in the store, or its record of tags is damaged.
    """
    return {
        backtest_id: list(read_tags(store, _run_key(store, backtest_id)).names)
        for backtest_id in backtest_ids
    }


def _run_key(store: RunStore, backtest_id: str) -> str:
    run_key: str = store.read_spec(backtest_id)["run_key"]
    return run_key
