"""Script of rule `capture_code`: put the captured sources into a run."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Materialize the code of one run from the object store."""
    stages.capture_code(RunStore(Path(job.params.base_dir), Path.cwd()), job.wildcards.backtest_id)


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
