"""Script of rule `restore_object`: store a shared code file anew."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Store one object from the project's file or from a run's copy."""
    store = RunStore(Path(job.params.base_dir), Path.cwd())
    stages.restore_object(store, job.wildcards.sha256)


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
