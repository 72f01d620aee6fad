"""Script of rule `ingest_bundle`: bring a source of prices into bundle storage."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.batch.planning.bundles import bundle_config
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Fetch, validate and store one bundle."""
    os.environ["POLARS_MAX_THREADS"] = str(job.threads)  # Polars reads it once, when it is loaded
    from backtrail.data.ingest import ingest_bundle

    bundle = bundle_config(job.wildcards.bundle, json.loads(job.params.definition))
    ingest_bundle(
        bundle,
        root=Path.cwd(),
        bundles_dir=Path(job.params.bundles_dir),
        threads=job.threads,
        report=Path(job.params.report),
    )


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
