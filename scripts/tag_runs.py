"""Script of rule `tag_runs`: take down which tags the config asks for."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.plan import Plan
from backtrail.batch.planning.tags import tag_runs
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Tag every run of the plan in the ledger."""
    tag_runs(
        Plan.load(Path(job.input.plan)),
        RunStore(Path(job.params.base_dir)),
        job.params.source,
        json.loads(job.params.tags),
        Path(job.output.receipt),
    )


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
