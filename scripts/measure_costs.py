"""Script of rule `measure_costs`: run the strategy of a run again at other costs."""

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
    """Measure what is left of the result at each cost, and where the profit ends."""
    store = RunStore(Path(job.params.base_dir), Path.cwd())
    with Executor(
        Path(job.params.bundles_dir),
        Limits(job.resources.run_seconds, job.resources.run_memory_mb * 10**6),
        csv_twins=bool(job.resources.csv_twins),
    ) as executor:
        stages.validate_run(store, job.wildcards.backtest_id, "measure_costs", executor)


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
