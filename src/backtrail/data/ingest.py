"""From a bundle's source to an immutable dataset: fetch, normalize, validate, hash, write."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from backtrail.data.bundles import FILE_ADAPTERS, BundleConfig
from backtrail.data.csv_adapter import read_csv_bundle
from backtrail.data.demo import SourceCard, export_missing
from backtrail.data.derived import derive_bundle
from backtrail.data.describing import describe_dataset
from backtrail.data.library_calendars import calendar_over
from backtrail.data.manifest import DatasetManifest
from backtrail.data.membership import read_membership
from backtrail.data.network_adapter import downloaded_prices
from backtrail.data.network_options import NETWORK_ADAPTERS
from backtrail.data.parquet_adapter import read_parquet_bundle
from backtrail.data.parts import ReadPrices, validate_parts
from backtrail.data.problems import BadRowsError
from backtrail.data.raw_prices import RawPrices
from backtrail.data.resampling import resample
from backtrail.data.session_check import (
    check_sessions,
    check_steps,
    waived_sessions,
)
from backtrail.data.sessions import SESSION_MARGIN, Calendar
from backtrail.data.sources import combine_checksums, read_source_card_of, source_path
from backtrail.data.spool import Spool
from backtrail.data.storage import store_dataset
from backtrail.data.synthetic_adapter import compute_prices
from backtrail.errors import DatasetError

__all__ = ["ingest_bundle"]

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
    if bundle.parents:
        return derive_bundle(bundle, root=root, bundles_dir=bundles_dir)
    card = read_source_card_of(bundle, root) if bundle.adapter in FILE_ADAPTERS else None
    folder = bundles_dir / bundle.name
    try:
        membership = read_membership(bundle, root)
        with _fetched(bundle.as_source, root, card, threads, folder) as parts:
            read, calendar = _read(bundle.as_source, parts, bundles_dir)
            read, derived = _made(bundle, calendar, read)
            if report is not None:
                report.unlink(missing_ok=True)
            tables, manifest = describe_dataset(bundle, calendar, read.prices, membership)
            manifest = replace(
                manifest,
                sources=read.sources,
                dialect=read.dialect,
                origin=card.origin if card else None,
                licence=card.licence if card else None,
                synthetic=read.synthetic,
                derived=derived,
            )
            sources = [(source.symbol, source.sha256) for source in read.sources]
            checksum = combine_checksums(
                bundle, sources, universe=None if membership is None else membership.sha256
            )
            return store_dataset(folder, tables, manifest, checksum)
    except BadRowsError as error:
        if report is not None:
            error.write(report)
        raise
    except OSError as error:
        raise DatasetError(
            f"bundle {bundle.name!r} cannot be written to {folder}: {error}; look at free space "
            "and permissions there, and ingest again"
        ) from error


def _read(
    bundle: BundleConfig, parts: Iterable[RawPrices], bundles_dir: Path
) -> tuple[ReadPrices, Calendar]:
    read = validate_parts(
        parts,
        bundle.waivers,
        split_adjusted=bool(bundle.options.get("split_adjusted", False)),
        spool=Spool(bundles_dir, _IN_MEMORY),
    )
    bars = read.prices.bars
    if not bars.height:
        raise DatasetError(f"bundle {bundle.name!r} has no row left; check its waivers")
    days = bars.select(
        pl.col("timestamp").min().dt.date().alias("first"),
        pl.col("timestamp").max().dt.date().alias("last"),
    )
    first, last = days.row(0)
    calendar = calendar_over(bundle.calendar, first - SESSION_MARGIN, last + SESSION_MARGIN)
    check_steps(bundle, bars)
    taken = check_sessions(bundle, calendar, bars)
    waivers = waived_sessions(read.prices.waivers, taken)
    return replace(read, prices=replace(read.prices, waivers=waivers)), calendar


def _made(
    bundle: BundleConfig, calendar: Calendar, read: ReadPrices
) -> tuple[ReadPrices, Mapping[str, Any]]:
    if bundle.resample_from is None:
        return read, {}
    prices, derived = resample(
        read.prices, calendar=calendar, source=bundle.resample_from, target=bundle.timeframe
    )
    return replace(read, prices=prices), derived


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
