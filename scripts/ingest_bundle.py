"""Script of rule `ingest_bundle`: bring a source of prices into bundle storage."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.batch.planning.loading import bundle_config
from backtrail.data.ingest import ingest_bundle
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Fetch, validate and store one bundle."""
    bundle = bundle_config(job.wildcards.bundle, json.loads(job.params.definition))
    ingest_bundle(bundle, root=Path.cwd(), bundles_dir=Path(job.params.bundles_dir))


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
