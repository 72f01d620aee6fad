"""From a bundle's source to an immutable dataset: fetch, normalise, validate, hash, write."""

import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from backtrail.canonical import pretty_json
from backtrail.data.bundles import FILE_ADAPTERS, BundleConfig
from backtrail.data.comparison import compare_datasets, dataset_sentences
from backtrail.data.csv_adapter import read_csv_bundle
from backtrail.data.dataset_files import write_dataset_files
from backtrail.data.datasets import Dataset
from backtrail.data.demo import SourceCard, export_missing
from backtrail.data.identity import (
    content_checksums,
    dataset_id,
)
from backtrail.data.manifest import (
    ADJUSTMENTS_FILE,
    BARS_FILE,
    HEAD_FILE,
    LEFTOVER,
    MANIFEST_FILE,
    RECEIPT_FILE,
    DatasetManifest,
    read_head,
)
from backtrail.data.network_adapter import downloaded_prices
from backtrail.data.network_options import NETWORK_ADAPTERS
from backtrail.data.parquet_adapter import read_parquet_bundle
from backtrail.data.parts import ReadPrices, validate_parts
from backtrail.data.problems import BadRowsError
from backtrail.data.raw_prices import RawPrices
from backtrail.data.resampling import resample
from backtrail.data.session_check import (
    check_sessions,
    session_summary,
    symbol_records,
    waived_sessions,
)
from backtrail.data.sources import combine_checksums, read_source_card_of, source_path
from backtrail.data.spool import Spool
from backtrail.data.survival import survival
from backtrail.data.synthetic_adapter import compute_prices
from backtrail.data.validation import ValidatedPrices
from backtrail.errors import DatasetError
from backtrail.files import flush_dir, lease, remove_stale, write_bytes

__all__ = ["ingest_bundle"]

_LOG: Final = logging.getLogger(__name__)
_READ_ONLY: Final = 0o444
_IN_MEMORY: Final = 1 << 30


def ingest_bundle(
    bundle: BundleConfig,
    *,
    root: Path,
    bundles_dir: Path,
    threads: int = 1,
    report: Path | None = None,
) -> DatasetManifest:
    """Make the dataset of a bundle below `bundles_dir` and let the bundle's name mean it.

    Equal content is the same dataset: nothing is written again. Other content becomes another
    dataset beside it. Safe to call from several processes at once.

    Args:
        bundle: What to ingest.
        root: Project root, to which the bundle's path is relative.
        bundles_dir: Central bundle storage; made when absent.
        threads: Files read at the same time.
        report: Where every bad row is written as CSV when rows break rules; removed otherwise.

    Returns:
        The manifest of the dataset: the one on disk, if that content was there before.

    Raises:
        ConfigError: If an option cannot be meant as written.
        BadRowsError: If rows break a rule that is not waived; nothing is written.
        DatasetError: If the source cannot be read, its dialect is unclear, or the dataset cannot
            be written; nothing is left of it.
    """
    card = read_source_card_of(bundle, root) if bundle.adapter in FILE_ADAPTERS else None
    folder = bundles_dir / bundle.name
    try:
        with _fetched(bundle.as_source, root, card, threads, folder) as parts:
            read, derived = _made(bundle, _read(bundle.as_source, parts, bundles_dir))
            if report is not None:
                report.unlink(missing_ok=True)
            content = content_checksums(read.prices.bars, read.prices.adjustments)
            manifest = _manifest(bundle, read, card, content, derived)
            sources = [(source.symbol, source.sha256) for source in read.sources]
            return _store(folder, read.prices, manifest, combine_checksums(bundle, sources))
    except BadRowsError as error:
        if report is not None:
            error.write(report)
        raise
    except OSError as error:
        raise DatasetError(
            f"bundle {bundle.name!r} cannot be written to {folder}: {error}; look at free space "
            "and permissions there, and ingest again"
        ) from error


def _read(bundle: BundleConfig, parts: Iterable[RawPrices], bundles_dir: Path) -> ReadPrices:
    read = validate_parts(
        parts,
        bundle.waivers,
        split_adjusted=bool(bundle.options.get("split_adjusted", False)),
        spool=Spool(bundles_dir, _IN_MEMORY),
    )
    if not read.prices.bars.height:
        raise DatasetError(f"bundle {bundle.name!r} has no row left; check its waivers")
    taken = check_sessions(bundle, read.prices.bars)
    waivers = waived_sessions(read.prices.waivers, taken)
    return replace(read, prices=replace(read.prices, waivers=waivers))


def _made(bundle: BundleConfig, read: ReadPrices) -> tuple[ReadPrices, Mapping[str, Any]]:
    if bundle.resample_from is None:
        return read, {}
    prices, derived = resample(
        read.prices,
        calendar=bundle.calendar,
        source=bundle.resample_from,
        target=bundle.timeframe,
    )
    return replace(read, prices=prices), derived


def _store(
    folder: Path, prices: ValidatedPrices, manifest: DatasetManifest, checksum: str
) -> DatasetManifest:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with lease(folder / ".lock"):
            _remove_leftovers(folder)
            before = read_head(folder.parent, folder.name) if _has_head(folder) else None
            if not _is_whole(folder / manifest.dataset_id):
                _write_dataset(folder, prices, manifest)
            _move_head(folder, manifest.dataset_id)
            _write_receipt(folder, manifest, checksum)
            stored = DatasetManifest.load(folder / manifest.dataset_id)
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


@contextmanager
def _fetched(
    bundle: BundleConfig, root: Path, card: SourceCard | None, threads: int, folder: Path
) -> Iterator[Iterable[RawPrices]]:
    if bundle.adapter in NETWORK_ADAPTERS:
        with downloaded_prices(bundle, folder) as parts:
            yield parts
    elif bundle.adapter == "synthetic":
        yield [compute_prices(bundle)]
    elif bundle.adapter == "parquet":
        yield read_parquet_bundle(bundle, root, threads=threads)
    else:
        if card is not None and source_path(bundle, root).is_dir():
            export_missing(source_path(bundle, root), card)
        yield read_csv_bundle(bundle, root, threads=threads)


def _manifest(
    bundle: BundleConfig,
    read: ReadPrices,
    card: SourceCard | None,
    content: Mapping[str, str],
    derived: Mapping[str, Any],
) -> DatasetManifest:
    prices = read.prices
    kinds = prices.adjustments.group_by("kind").len().sort("kind")
    symbols = symbol_records(prices.bars, bundle.calendar, bundle.timeframe)
    return DatasetManifest(
        dataset_id=dataset_id(content, calendar=bundle.calendar, timeframe=bundle.timeframe),
        bundle=bundle.name,
        calendar=bundle.calendar,
        timeframe=bundle.timeframe,
        symbols=symbols,
        rows=prices.bars.height,
        adjustments={kind: count for kind, count in kinds.iter_rows()},
        content=content,
        files={},
        sources=read.sources,
        dialect=read.dialect,
        waivers=prices.waivers,
        duplicates=prices.duplicates,
        left_out=prices.left_out,
        origin=card.origin if card else None,
        licence=card.licence if card else None,
        synthetic=read.synthetic,
        survival=survival(symbols, prices.adjustments),
        sessions=session_summary(bundle.calendar, symbols),
        derived=derived,
    )


def _remove_leftovers(folder: Path) -> None:
    # Only under the lease: every half-built dataset here belongs to a process that is dead.
    for item in folder.glob(f".*{LEFTOVER}"):
        shutil.rmtree(item)
    remove_stale(folder)


def _is_whole(dataset: Path) -> bool:
    try:
        files = DatasetManifest.load(dataset).files
        return set(files) == {BARS_FILE, ADJUSTMENTS_FILE} and all(
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


def _write_dataset(folder: Path, prices: ValidatedPrices, manifest: DatasetManifest) -> None:
    with _building(folder, manifest.dataset_id) as made:
        files = write_dataset_files(made, prices.bars, prices.adjustments)
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
    _write_if_other(folder / RECEIPT_FILE, receipt)


def _write_if_other(path: Path, value: Mapping[str, Any]) -> None:
    data = pretty_json(dict(value)).encode()
    if not path.is_file() or path.read_bytes() != data:
        write_bytes(path, data, durable=True)
