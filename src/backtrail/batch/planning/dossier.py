"""What names a batch in the Snakemake report: a dossier without it could be of any batch."""

from typing import Any

from backtrail.batch.planning.loading import Batch
from backtrail.data.manifest import read_receipt

__all__ = ["batch_identity"]


def batch_identity(batch: Batch) -> dict[str, Any]:
    """Return what a batch is, for the text of its dossier.

    Args:
        batch: A batch whose config has been read.

    Returns:
        `config` (its files), `batch_key`, `seed`, `entries` (names), and lists of pairs:
        `strategies` with the hash of their code, `bundles` with the dataset each was ingested to,
        None before that.

    Raises:
        DatasetError: If the receipt of a bundle is damaged.
    """
    receipts = {name: read_receipt(batch.places.bundles, name) for name in batch.used_bundles}
    return {
        "config": batch.source,
        "batch_key": batch.batch_key,
        "seed": batch.config["seed"],
        "entries": list(batch.config["batch"]),
        "strategies": [(name, found.code_hash) for name, found in sorted(batch.closures.items())],
        "bundles": [
            (name, None if receipt is None else receipt["dataset_id"])
            for name, receipt in receipts.items()
        ],
    }
