"""Datasets that nothing reaches any more: found, and deleted when asked for."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.pins import pinned_datasets
from backtrail.data.inventory import DatasetEntry, bundle_names, list_datasets
from backtrail.data.lock import read_lock
from backtrail.data.manifest import LEFTOVER, MANIFEST_FILE
from backtrail.errors import ArtifactManagerError
from backtrail.files import lease, write_json

__all__ = ["UnreachedDatasets", "delete_unreached", "find_unreached"]


@dataclass(frozen=True, slots=True)
class UnreachedDatasets:
    """Datasets that no run, no head, no lock and no config reaches.

    Attributes:
        datasets: The datasets, by bundle, oldest first.
        kept: How many others there are.
        deleted: Whether they were deleted.
    """

    datasets: tuple[DatasetEntry, ...]
    kept: int
    deleted: bool = False

    @property
    def bytes(self) -> int:
        """What their files take."""
        return sum(entry.bytes for entry in self.datasets)


def find_unreached(
    stores: Sequence[RunStore],
    bundles_dir: Path,
    roots: Sequence[Path],
    *,
    configs: Sequence[Path] = (),
) -> UnreachedDatasets:
    """Return the datasets that could be deleted: nothing is.

    A dataset is reached by the name of its bundle, by a lock, by `dataset:` in a config file, and
    by every run that was ever planned and not deleted, finished or not, as long as its spec or its
    manifest names it.

    Args:
        stores: Every run store that uses these bundles; one need not exist.
        bundles_dir: Folder of the bundles.
        roots: Projects whose locks and config files count.
        configs: Config files outside `config/`, relative to the first project.

    Raises:
        ArtifactManagerError: If it cannot be told which dataset a run uses.
        ConfigError: If a lock or a config file is damaged.
        DatasetError: If a head or a manifest is damaged.
    """
    wanted = {item for store in stores for item in _reached_by_runs(store)}
    for index, root in enumerate(roots):
        wanted |= pinned_datasets(root, configs if index == 0 else ())
        wanted |= {(name, locked.dataset_id) for name, locked in read_lock(root).items()}
    there = [
        entry
        for bundle in bundle_names(bundles_dir)
        for entry in list_datasets(bundles_dir, bundle)
        if entry.path is not None
    ]
    found = [
        entry
        for entry in there
        if not entry.is_head and (entry.bundle, entry.dataset_id) not in wanted
    ]
    return UnreachedDatasets(tuple(found), len(there) - len(found))


def delete_unreached(
    stores: Sequence[RunStore],
    bundles_dir: Path,
    roots: Sequence[Path],
    *,
    now: datetime,
    configs: Sequence[Path] = (),
) -> UnreachedDatasets:
    """Delete the datasets of `find_unreached`, each with a tombstone in the first store's ledger.

    No batch is planned and no bundle is ingested meanwhile. A tombstone holds the manifest, so
    that the sources of a deleted dataset are known.

    Args:
        stores: Every run store that uses these bundles.
        bundles_dir: Folder of the bundles.
        roots: Projects whose locks and config files count.
        now: The moment that the tombstones state.
        configs: Config files outside `config/`, relative to the first project.

    Raises:
        ArtifactManagerError: If it cannot be told which dataset a run uses; nothing is deleted.
        ConfigError: If a lock or a config file is damaged; nothing is deleted.
        DatasetError: If a head or a manifest is damaged; nothing is deleted.
    """
    with ExitStack() as held:
        # A store that is named twice has one lease, and who waited for it would wait for ever.
        for plans in sorted({store.plans.resolve() for store in stores}):
            plans.mkdir(parents=True, exist_ok=True)
            held.enter_context(lease(plans / ".lock"))
        for bundle in bundle_names(bundles_dir):
            held.enter_context(lease(bundles_dir / bundle / ".lock"))
        found = find_unreached(stores, bundles_dir, roots, configs=configs)
        for entry in found.datasets:
            _delete(stores[0], entry, now)
        for left in bundles_dir.glob(f"*/.*{LEFTOVER}"):
            shutil.rmtree(left)
    return UnreachedDatasets(found.datasets, found.kept, deleted=True)


def _delete(store: RunStore, entry: DatasetEntry, now: datetime) -> None:
    if entry.path is None:
        return
    folder = store.ledger / "tombstones" / "datasets" / entry.bundle
    folder.mkdir(parents=True, exist_ok=True)
    tombstone = {
        "kind": "dataset",
        "bundle": entry.bundle,
        "dataset_id": entry.dataset_id,
        "deleted_at": now.astimezone(UTC).isoformat(),
        "manifest": json.loads((entry.path / MANIFEST_FILE).read_bytes()),
    }
    write_json(folder / f"{entry.dataset_id}.json", tombstone, durable=True)
    # Gone for everybody in one step, whatever interrupts what follows.
    os.replace(entry.path, entry.path.with_name(f".{entry.dataset_id}.deleted{LEFTOVER}"))


def _reached_by_runs(store: RunStore) -> Iterator[tuple[str, str]]:
    claimed = store.keys / "ids"
    names = {run.backtest_id for run in store.run_dirs()}
    names |= {path.name for path in claimed.iterdir()} if claimed.is_dir() else set()
    for name in sorted(names):
        run = store.run(name)
        known = [*_used(store.read_spec, name), *_used(run.read_manifest)]
        if not known and (run.spec.exists() or run.manifest.exists()):
            raise ArtifactManagerError(
                f"it cannot be told which dataset run {name} uses: neither {run.spec} nor "
                f"{run.manifest} can be read; mend the run, or take it away with `backtrail delete "
                f"{name}`. Nothing was deleted"
            )
        yield from known


def _used(read: Callable[..., dict[str, Any] | None], *names: str) -> list[tuple[str, str]]:
    try:
        values = read(*names) or {}
        return [(str(values["labels"]["bundle"]), str(values["identity"]["dataset"]["dataset_id"]))]
    except (ArtifactManagerError, OSError, KeyError, TypeError):
        return []
