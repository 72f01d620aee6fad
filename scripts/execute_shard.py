"""Script of rule `execute_shard`: take many runs through capture, execution and seal."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.planning.plan import Plan
from backtrail.batch.stages.shards import execute_shard
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Execute the runs of one shard."""
    with Executor(
        Path(job.params.bundles_dir),
        Limits(job.resources.run_seconds, job.resources.run_memory_mb * 10**6),
        csv_twins=bool(job.resources.csv_twins),
    ) as executor:
        execute_shard(
            RunStore(Path(job.params.base_dir), Path.cwd()),
            Plan.load(Path(job.input.plan)),
            job.wildcards.shard,
            executor,
            Path(job.output.receipt),
        )


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
