"""What bundle storage holds: the datasets of each bundle, oldest first, and the one meant now."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from backtrail.data.manifest import HEAD_FILE, MANIFEST_FILE, DatasetManifest, read_head
from backtrail.errors import DatasetError

__all__ = [
    "DatasetEntry",
    "bundle_names",
    "find_dataset",
    "list_datasets",
    "list_history",
    "previous_dataset",
]


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """One dataset that a bundle has meant, means, or was about to mean.

    Attributes:
        bundle: The bundle.
        dataset_id: The dataset.
        is_head: Whether the bundle's name means it now.
        path: Its directory; None when it was deleted and only the bundle's history knows it.
        bytes: What its files take, the manifest not counted.
        rows: Bars of all symbols; None for a deleted dataset, as what follows.
        symbols: Number of symbols.
        first: Timestamp of the first bar.
        last: Timestamp of the last bar.
        calendar: Name of the trading calendar.
        timeframe: Length of a bar.
    """

    bundle: str
    dataset_id: str
    is_head: bool
    path: Path | None = None
    bytes: int = 0
    rows: int | None = None
    symbols: int | None = None
    first: str | None = None
    last: str | None = None
    calendar: str | None = None
    timeframe: str | None = None


def bundle_names(bundles_dir: Path) -> tuple[str, ...]:
    """Return the bundles that have a dataset or had one, sorted."""
    found = {path.parent.name for path in bundles_dir.glob(f"*/{HEAD_FILE}")}
    found |= {path.parent.parent.name for path in bundles_dir.glob(f"*/[!.]*/{MANIFEST_FILE}")}
    return tuple(sorted(found))


def list_history(bundles_dir: Path, bundle: str) -> tuple[str, ...]:
    """Return the ids that a bundle's name has meant, oldest first; the last is the one of now.

    Raises:
        DatasetError: If the bundle was never ingested, or its head is damaged.
    """
    head = read_head(bundles_dir, bundle)
    values = json.loads((bundles_dir / bundle / HEAD_FILE).read_bytes())
    try:
        history = tuple(str(entry["dataset_id"]) for entry in values["history"])
    except (KeyError, TypeError):
        history = ()
    return history if history and history[-1] == head else (*history, head)


def list_datasets(bundles_dir: Path, bundle: str) -> tuple[DatasetEntry, ...]:
    """Return the datasets of a bundle: those of its history in their order, then any others.

    A dataset that the name has meant several times stands where it came last.

    Raises:
        DatasetError: If there is no such bundle, or a manifest cannot be read.
    """
    there = {path.parent.name for path in (bundles_dir / bundle).glob(f"[!.]*/{MANIFEST_FILE}")}
    history: Sequence[str] = ()
    if (bundles_dir / bundle / HEAD_FILE).is_file() or not there:
        history = list_history(bundles_dir, bundle)
    ordered = list(reversed(dict.fromkeys(reversed(history))))
    head = ordered[-1] if ordered else None
    ordered = sorted(there - set(ordered)) + ordered
    return tuple(_entry(bundles_dir / bundle, name, is_head=name == head) for name in ordered)


def find_dataset(bundles_dir: Path, bundle: str, wanted: str | None = None) -> Path:
    """Return the directory of a dataset of a bundle.

    Args:
        bundles_dir: Folder of the bundles.
        bundle: The bundle.
        wanted: The dataset's id, or its beginning; None means the one the name means now.

    Raises:
        DatasetError: If there is none, or more than one begins so.
    """
    if wanted is None:
        return bundles_dir / bundle / read_head(bundles_dir, bundle)
    entries = list_datasets(bundles_dir, bundle)
    there = {entry.dataset_id: entry.path for entry in entries if entry.path is not None}
    matches = [name for name in there if name.startswith(wanted)]
    if len(matches) == 1:
        return bundles_dir / bundle / matches[0]
    if matches:
        raise DatasetError(
            f"{wanted!r} begins {len(matches)} datasets of {bundle} ({', '.join(matches)}); write "
            "more of the one you mean"
        )
    deleted = [item.dataset_id for item in entries if item.dataset_id.startswith(wanted)]
    raise DatasetError(
        f"bundle {bundle!r} has no dataset {wanted!r}; it has {', '.join(there) or 'none'}"
        + (f", and had {', '.join(deleted)}, which was deleted" if deleted else "")
    )


def previous_dataset(bundles_dir: Path, bundle: str, dataset_id: str) -> str:
    """Return the dataset that a bundle's name meant before another one and that is still there.

    Raises:
        DatasetError: If there is none.
    """
    there = [item for item in list_datasets(bundles_dir, bundle) if item.path is not None]
    names = [item.dataset_id for item in there]
    at = names.index(dataset_id) if dataset_id in names else 0
    if at == 0:
        raise DatasetError(
            f"bundle {bundle!r} has no dataset before {dataset_id}; it has "
            f"{', '.join(names) or 'none'}: name the one to compare with"
        )
    return names[at - 1]


def _entry(folder: Path, dataset_id: str, *, is_head: bool) -> DatasetEntry:
    path = folder / dataset_id
    if not (path / MANIFEST_FILE).is_file():
        return DatasetEntry(folder.name, dataset_id, is_head)
    manifest = DatasetManifest.load(path)
    records = manifest.symbols.values()
    return DatasetEntry(
        folder.name,
        dataset_id,
        is_head,
        path,
        sum(int(file["size"]) for file in manifest.files.values()),
        manifest.rows,
        len(records),
        min(record.first for record in records),
        max(record.last for record in records),
        manifest.calendar,
        manifest.timeframe,
    )
