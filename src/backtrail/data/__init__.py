"""Whatever prices people have becomes an immutable dataset, known by its content.

The names here are light to import; `ingest_bundle`, `Dataset` and `load_bars` bring Polars along
and are loaded on first use, so that a Snakefile can ask for a checksum without paying for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from backtrail.data.bundles import BundleConfig, Waiver
from backtrail.data.manifest import DatasetManifest, read_head
from backtrail.data.sources import list_symbols, source_checksum

if TYPE_CHECKING:
    from backtrail.data.arrays import load_bars
    from backtrail.data.datasets import Dataset
    from backtrail.data.ingest import ingest_bundle

__all__ = [
    "BundleConfig",
    "Dataset",
    "DatasetManifest",
    "Waiver",
    "ingest_bundle",
    "list_symbols",
    "load_bars",
    "read_head",
    "source_checksum",
]

_HEAVY = {
    "Dataset": "backtrail.data.datasets",
    "ingest_bundle": "backtrail.data.ingest",
    "load_bars": "backtrail.data.arrays",
}


def __getattr__(name: str) -> object:
    if name in _HEAVY:
        found: object = getattr(import_module(_HEAVY[name]), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
