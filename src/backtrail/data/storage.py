"""Bundle storage: a dataset becomes visible all at once, and the bundle's name then means it."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.canonical import pretty_json
from backtrail.data.comparison import compare_datasets, dataset_sentences
from backtrail.data.dataset_files import write_dataset_files
from backtrail.data.datasets import Dataset
from backtrail.data.manifest import (
    HEAD_FILE,
    LEFTOVER,
    MANIFEST_FILE,
    RECEIPT_FILE,
    TABLE_FILES,
    DatasetManifest,
    read_head,
)
from backtrail.errors import DatasetError
from backtrail.files import flush_dir, lease, remove_stale, write_bytes

__all__ = ["DatasetTables", "is_whole", "store_dataset"]

_LOG: Final = logging.getLogger(__name__)
_READ_ONLY: Final = 0o444


@dataclass(frozen=True, slots=True, eq=False)
class DatasetTables:
    """The tables of a dataset, in canonical order.

    Attributes:
        bars: Columns of `BAR_SCHEMA`.
        adjustments: Columns of `ADJUSTMENT_SCHEMA`.
        sessions: Columns of `SESSION_SCHEMA`, for a calendar that does not come with this package.
        universe: Columns of `UNIVERSE_SCHEMA`, where a membership file was given.
    """

    bars: pl.DataFrame
    adjustments: pl.DataFrame
    sessions: pl.DataFrame | None = None
    universe: pl.DataFrame | None = None


def store_dataset(
    folder: Path, tables: DatasetTables | None, manifest: DatasetManifest, checksum: str
) -> DatasetManifest:
    """Write a dataset below its bundle's folder, unless it is there, and move the head to it.

    Args:
        folder: Folder of the bundle; made when absent.
        tables: What to write; None for a dataset that is there, to which the name is to move.
        manifest: What it says about itself; the files are added here.
        checksum: Of the source, for the receipt.

    Returns:
        The manifest on disk.

    Raises:
        DatasetError: If the bundle's head is damaged.
        OSError: If nothing can be written; nothing is left of the dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with lease(folder / ".lock"):
            _remove_leftovers(folder)
            before = read_head(folder.parent, folder.name) if _has_head(folder) else None
            if tables is not None and not is_whole(folder / manifest.dataset_id):
                _write_dataset(folder, tables, manifest)
            _move_head(folder, manifest.dataset_id)
            stored = DatasetManifest.load(folder / manifest.dataset_id)
            _write_receipt(folder, manifest, checksum)
    except BaseException:
        with suppress(OSError):
            folder.rmdir()  # goes only when nothing is in it: the first ingest failed
        raise
    if before is not None and before != manifest.dataset_id:
        _log_change(folder, before, manifest.dataset_id)
    return stored


def _has_head(folder: Path) -> bool:
    return (folder / HEAD_FILE).is_file()


def _log_change(folder: Path, before: str, after: str) -> None:
    """Say what the name means otherwise now; bars that are others or gone are worth a warning."""
    try:
        difference = compare_datasets(Dataset.open(folder / before), Dataset.open(folder / after))
    except DatasetError as error:
        _LOG.warning("bundle %s cannot be compared with what it was: %s", folder.name, error)
        return
    is_restated = any(
        table.changed or table.removed for table in (difference.bars, difference.adjustments)
    )
    _LOG.log(
        logging.WARNING if is_restated or difference.settings else logging.INFO,
        "bundle %s was dataset %s, and is %s now: %s",
        folder.name,
        before,
        after,
        "; ".join(dataset_sentences(difference)),
    )


def _remove_leftovers(folder: Path) -> None:
    # Only under the lease: every half-built dataset here belongs to a process that is dead.
    for item in folder.glob(f".*{LEFTOVER}"):
        shutil.rmtree(item)
    remove_stale(folder)


def is_whole(dataset: Path) -> bool:
    """Say whether a dataset has all its files in their sizes; their bytes are not looked at."""
    try:
        stored = DatasetManifest.load(dataset)
        files = stored.files
        return set(files) == {TABLE_FILES[table] for table in stored.content} and all(
            (dataset / name).stat().st_size == entry["size"] for name, entry in files.items()
        )
    except (DatasetError, OSError):
        return False


@contextmanager
def _building(folder: Path, name: str) -> Iterator[Path]:
    made = folder / f".{name}{LEFTOVER}"
    made.mkdir()
    try:
        yield made
        if (folder / name).exists():  # damaged: its content is its name, so this is a repair
            os.replace(folder / name, folder / f".{name}.damaged{LEFTOVER}")
        os.replace(made, folder / name)
        flush_dir(folder)
    finally:
        for left in folder.glob(f".{name}*{LEFTOVER}"):
            shutil.rmtree(left)


def _write_dataset(folder: Path, tables: DatasetTables, manifest: DatasetManifest) -> None:
    with _building(folder, manifest.dataset_id) as made:
        files = write_dataset_files(
            made,
            tables.bars,
            tables.adjustments,
            sessions=tables.sessions,
            universe=tables.universe,
        )
        whole = replace(manifest, files=files)
        (made / MANIFEST_FILE).write_text(whole.to_json(), encoding="utf-8")
        for path in made.iterdir():
            path.chmod(_READ_ONLY)
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        flush_dir(made)


def _move_head(folder: Path, identity: str) -> None:
    path = folder / HEAD_FILE
    history: list[dict[str, str]] = []
    if _has_head(folder):
        if read_head(folder.parent, folder.name) == identity:
            return
        history = _history(path)
    history.append({"dataset_id": identity})
    _write_if_other(path, {"dataset_id": identity, "history": history})


def _history(path: Path) -> list[dict[str, str]]:
    entries = json.loads(path.read_bytes()).get("history")
    if not isinstance(entries, list):
        raise DatasetError(f"{path} has no history; restore it, or remove it to start anew")
    return entries


def _write_receipt(folder: Path, manifest: DatasetManifest, checksum: str) -> None:
    waivers = [
        {"rule": waiver["rule"], "reason": waiver["reason"], "rows": len(waiver["rows"])}
        for waiver in manifest.waivers
    ]
    receipt = {
        "bundle": manifest.bundle,
        "dataset_id": manifest.dataset_id,
        "source_checksum": checksum,
        "sources": [
            {"path": source.path, "sha256": source.sha256, "size": source.size}
            for source in manifest.sources
        ],
        "waivers": waivers,
    }
    for made_of in ("dataset_id", "joined"):
        if made_of in manifest.derived:
            receipt["derived_from"] = manifest.derived[made_of]
    _write_if_other(folder / RECEIPT_FILE, receipt)


def _write_if_other(path: Path, value: Mapping[str, Any]) -> None:
    data = pretty_json(dict(value)).encode()
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data, durable=True)
