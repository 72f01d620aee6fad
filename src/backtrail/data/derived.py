"""A bundle made of the datasets of others, once for each content: longer bars, or more symbols."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from backtrail.data.bundles import BundleConfig
from backtrail.data.datasets import Dataset
from backtrail.data.describing import describe_dataset
from backtrail.data.inventory import find_dataset
from backtrail.data.joining import JOINING_FORM, join, joined_membership, joined_sessions
from backtrail.data.manifest import MANIFEST_FILE, DatasetManifest, read_receipt
from backtrail.data.membership import Membership, read_membership
from backtrail.data.resampling import RESAMPLING_FORM, resample
from backtrail.data.sources import combine_checksums
from backtrail.data.storage import is_whole, store_dataset
from backtrail.data.validation import ValidatedPrices
from backtrail.errors import DatasetError

__all__ = ["derive_bundle"]


def derive_bundle(bundle: BundleConfig, *, root: Path, bundles_dir: Path) -> DatasetManifest:
    """Make the dataset of a bundle of adapter `bundle`, unless it was made of those before.

    A universe is taken over from the other bundles, where this one names none of its own.

    Args:
        bundle: What to make; its parents are ingested.
        root: Project root, to which a membership file is relative.
        bundles_dir: Central bundle storage.

    Returns:
        The manifest of the dataset on disk.

    Raises:
        BadRowsError: If rows of the membership file break a rule.
        DatasetError: If a parent was never ingested, a bar of it is in no session, no longer bar is
            over, two parents have the same symbol, or the dataset cannot be written.
    """
    sources = {
        one.bundle.name: Dataset.open(find_dataset(bundles_dir, one.bundle.name, one.dataset_id))
        for one in bundle.parents
    }
    membership = read_membership(bundle, root) or joined_membership(sources)
    derived = _made_of(sources, membership)
    folder = bundles_dir / bundle.name
    checksum = _source_checksum(bundle, bundles_dir, membership)
    try:
        for known in _made_before(folder, bundle, derived):
            return store_dataset(folder, None, known, checksum)
        describe = _join if len(sources) > 1 else _lengthen
        tables, manifest = describe(bundle, sources, membership, derived)
        return store_dataset(folder, tables, manifest, checksum)
    except OSError as error:
        raise DatasetError(
            f"bundle {bundle.name!r} cannot be written to {folder}: {error}; look at free space "
            "and permissions there, and ingest again"
        ) from error


def _made_of(sources: Mapping[str, Dataset], membership: Membership | None) -> dict[str, Any]:
    """Return what the manifest says of the datasets that another one is made of."""
    universe = None if membership is None else membership.sha256
    ids = {name: source.manifest.dataset_id for name, source in sources.items()}
    if len(sources) > 1:
        return {"joined": ids, "form": JOINING_FORM, "universe": universe}
    ((name, source),) = sources.items()
    return {
        "bundle": name,
        "dataset_id": ids[name],
        "from": source.manifest.timeframe,
        "form": RESAMPLING_FORM,
        "universe": universe,
    }


def _lengthen(
    bundle: BundleConfig,
    sources: Mapping[str, Dataset],
    membership: Membership | None,
    derived: Mapping[str, Any],
) -> Any:
    """Return tables and manifest of longer bars."""
    (source,) = sources.values()
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
    return tables, replace(manifest, **_origin([source]), derived={**facts, **derived})


def _join(
    bundle: BundleConfig,
    sources: Mapping[str, Dataset],
    membership: Membership | None,
    derived: Mapping[str, Any],
) -> Any:
    """Return tables and manifest of the symbols of several datasets."""
    prices = join({name: _prices(source) for name, source in sources.items()})
    calendar, sessions_from = joined_sessions(bundle.calendar, list(sources.values()))
    tables, manifest = describe_dataset(
        bundle, calendar, prices, membership, sessions_from=sessions_from
    )
    return tables, replace(manifest, **_origin(list(sources.values())), derived=derived)


def _origin(sources: Sequence[Dataset]) -> dict[str, Any]:
    """Return where prices are from and under which terms, each said once."""
    manifests = [source.manifest for source in sources]
    origins = dict.fromkeys(one.origin for one in manifests if one.origin)
    licences = dict.fromkeys(one.licence for one in manifests if one.licence)
    return {
        "origin": "; ".join(origins) or None,
        "licence": "; ".join(licences) or None,
        "synthetic": any(one.synthetic for one in manifests),
    }


def _prices(source: Dataset) -> ValidatedPrices:
    symbols = pl.Enum(sorted(source.manifest.symbols))
    return ValidatedPrices(
        bars=source.bars().with_columns(pl.col("symbol").cast(symbols)),
        adjustments=source.adjustments().with_columns(pl.col("symbol").cast(symbols)),
        waivers=(),
        duplicates={"rows": 0, "listed": []},
        left_out=(),
    )


def _source_checksum(bundle: BundleConfig, bundles_dir: Path, membership: Membership | None) -> str:
    """Return what `sources.source_checksum` gives for the sources the parents were made from."""
    contents = []
    for parent in bundle.parents:
        receipt = None if parent.dataset_id else read_receipt(bundles_dir, parent.bundle.name)
        checksum = "" if receipt is None else str(receipt["source_checksum"])
        contents.append((None, parent.dataset_id or checksum))
    own = None if bundle.universe is None or membership is None else membership.sha256
    return combine_checksums(bundle, contents, universe=own)


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
