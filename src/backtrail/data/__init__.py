"""Whatever prices people have becomes an immutable dataset, known by its content.

Every name here is loaded on its first use: a job that reads a dataset does not pay for what makes
one, and a Snakefile can ask for a checksum without loading Polars.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtrail.data.adjusted import adjusted_bars
    from backtrail.data.arrays import load_bars
    from backtrail.data.bundles import BundleConfig, Waiver
    from backtrail.data.datasets import Dataset
    from backtrail.data.ingest import ingest_bundle
    from backtrail.data.manifest import DatasetManifest, read_head
    from backtrail.data.sources import list_symbols, source_checksum

__all__ = [
    "BundleConfig",
    "Dataset",
    "DatasetManifest",
    "Waiver",
    "adjusted_bars",
    "ingest_bundle",
    "list_symbols",
    "load_bars",
    "read_head",
    "source_checksum",
]

_MODULES = {
    "BundleConfig": "bundles",
    "Dataset": "datasets",
    "DatasetManifest": "manifest",
    "Waiver": "bundles",
    "adjusted_bars": "adjusted",
    "ingest_bundle": "ingest",
    "list_symbols": "sources",
    "load_bars": "arrays",
    "read_head": "manifest",
    "source_checksum": "sources",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        found: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
