"""Script of rule `link_catalog`: bring the catalog level with the run store."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch.closing.linking import link_catalog
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Link every finished run and write the receipt."""
    link_catalog(
        job.params.catalog_url,
        RunStore(Path(job.params.base_dir)),
        Path(job.params.bundles_dir),
        Path(job.output.receipt),
        warn_above=job.params.warn_above,
    )


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
