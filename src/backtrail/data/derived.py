"""A bundle made of another one's dataset: its bars joined to longer ones, once for each content."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from backtrail.data.bundles import BundleConfig
from backtrail.data.datasets import Dataset
from backtrail.data.describing import describe_dataset
from backtrail.data.inventory import find_dataset
from backtrail.data.manifest import MANIFEST_FILE, DatasetManifest, read_receipt
from backtrail.data.membership import Membership, read_membership
from backtrail.data.resampling import RESAMPLING_FORM, resample
from backtrail.data.sources import combine_checksums
from backtrail.data.storage import is_whole, store_dataset
from backtrail.data.validation import ValidatedPrices
from backtrail.errors import DatasetError

__all__ = ["derive_bundle"]


def derive_bundle(bundle: BundleConfig, *, root: Path, bundles_dir: Path) -> DatasetManifest:
    """Make the dataset of a bundle of adapter `bundle`, unless it was made of that dataset before.

    A universe is taken over from the other bundle, where this one names none of its own.

    Args:
        bundle: What to make; its parent is ingested.
        root: Project root, to which a membership file is relative.
        bundles_dir: Central bundle storage.

    Returns:
        The manifest of the dataset on disk.

    Raises:
        BadRowsError: If rows of the membership file break a rule.
        DatasetError: If the parent was never ingested, a bar of it is in no session, no longer bar
            is over, or the dataset cannot be written.
    """
    assert bundle.parent is not None
    source = Dataset.open(find_dataset(bundles_dir, bundle.parent.name, bundle.parent_dataset))
    membership = read_membership(bundle, root) or _membership_of(source)
    derived = {
        "bundle": bundle.parent.name,
        "dataset_id": source.manifest.dataset_id,
        "from": source.manifest.timeframe,
        "form": RESAMPLING_FORM,
        "universe": None if membership is None else membership.sha256,
    }
    folder = bundles_dir / bundle.name
    checksum = _source_checksum(bundle, bundles_dir, membership)
    try:
        for known in _made_before(folder, bundle, derived):
            return store_dataset(folder, None, known, checksum)
        tables, manifest = _describe(bundle, source, membership, derived)
        return store_dataset(folder, tables, manifest, checksum)
    except OSError as error:
        raise DatasetError(
            f"bundle {bundle.name!r} cannot be written to {folder}: {error}; look at free space "
            "and permissions there, and ingest again"
        ) from error


def _describe(
    bundle: BundleConfig,
    source: Dataset,
    membership: Membership | None,
    derived: Mapping[str, Any],
) -> Any:
    calendar = source.calendar()
    prices, facts = resample(
        _prices(source),
        calendar=calendar,
        source=source.manifest.timeframe,
        target=bundle.timeframe,
    )
    tables, manifest = describe_dataset(
        bundle,
        calendar,
        prices,
        membership,
        sessions_from=source.manifest.sessions.get("source"),
    )
    return tables, replace(
        manifest,
        origin=source.manifest.origin,
        licence=source.manifest.licence,
        synthetic=source.manifest.synthetic,
        derived={**facts, **derived},
    )


def _prices(source: Dataset) -> ValidatedPrices:
    symbols = pl.Enum(sorted(source.manifest.symbols))
    return ValidatedPrices(
        bars=source.bars().with_columns(pl.col("symbol").cast(symbols)),
        adjustments=source.adjustments().with_columns(pl.col("symbol").cast(symbols)),
        waivers=(),
        duplicates={"rows": 0, "listed": []},
        left_out=(),
    )


def _membership_of(source: Dataset) -> Membership | None:
    frame, facts = source.universe(), source.manifest.universe
    return None if frame is None else Membership(frame, facts["path"], facts["sha256"])


def _source_checksum(bundle: BundleConfig, bundles_dir: Path, membership: Membership | None) -> str:
    """Return what `sources.source_checksum` gives for the source that the parent was made from."""
    parent = bundle.parent_dataset
    if parent is None:
        assert bundle.parent is not None
        receipt = read_receipt(bundles_dir, bundle.parent.name)
        parent = "" if receipt is None else str(receipt["source_checksum"])
    own = None if bundle.universe is None or membership is None else membership.sha256
    return combine_checksums(bundle, [(None, parent)], universe=own)


def _made_before(
    folder: Path, bundle: BundleConfig, derived: Mapping[str, Any]
) -> Iterator[DatasetManifest]:
    """Yield the datasets of a bundle that were made of the same bars in the same way."""
    for path in sorted(folder.glob(f"[!.]*/{MANIFEST_FILE}")):
        try:
            manifest = DatasetManifest.load(path)
        except DatasetError:
            continue  # damaged; it is made again
        same = {key: manifest.derived.get(key) for key in derived} == derived
        if (
            same
            and (manifest.calendar, manifest.timeframe) == (bundle.calendar, bundle.timeframe)
            and is_whole(path.parent)
        ):
            yield manifest
