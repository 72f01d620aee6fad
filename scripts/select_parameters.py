"""Script of rule `select_parameters`: judge every set of a search and select one."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.sandbox import Limits
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Select the parameters of one search."""
    store = RunStore(Path(job.params.base_dir), Path.cwd())
    with Executor(
        Path(job.params.bundles_dir),
        Limits(job.resources.run_seconds, job.resources.run_memory_mb * 10**6),
        csv_twins=bool(job.resources.csv_twins),
    ) as executor:
        stages.select_parameters(store, job.wildcards.backtest_id, executor)


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
