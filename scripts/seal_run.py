"""Script of rule `seal_run`: write a run's manifest and its seal."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Seal one run."""
    stages.seal_run(RunStore(Path(job.params.base_dir), Path.cwd()), job.wildcards.backtest_id)


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
