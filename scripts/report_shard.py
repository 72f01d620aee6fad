"""Script of rule `report_shard`: render the reports of many runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.plan import Plan
from backtrail.batch.stages.shards import report_shard
from backtrail.jobs import job_logging
from backtrail.reports.settings import ReportConfig

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Render what is missing or out of date in one shard."""
    report_shard(
        RunStore(Path(job.params.base_dir)),
        Plan.load(Path(job.input.plan)),
        job.wildcards.shard,
        Path(job.params.bundles_dir),
        Path(job.output.receipt),
        config=ReportConfig(
            theme=job.params.theme,
            templates=Path(job.params.templates) if job.params.templates else None,
        ),
    )


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
