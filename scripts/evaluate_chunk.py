"""Script of rule `evaluate_chunk`: evaluate some parameter sets of a search."""

import sys
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
    """Evaluate one chunk from the captured code."""
    store = RunStore(Path(job.params.base_dir), Path.cwd())
    with Executor(
        Path(job.params.bundles_dir),
        Limits(job.resources.run_seconds, job.resources.run_memory_mb * 10**6),
        csv_twins=bool(job.resources.csv_twins),
    ) as executor:
        chunk = job.wildcards.chunk
        progress = stages.evaluate_chunk(store, job.wildcards.backtest_id, chunk, executor)
    sys.stderr.write(f"{progress}\n")


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
