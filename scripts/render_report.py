"""Script of rule `render_report`: make the pages of a sealed run."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.jobs import job_logging
from backtrail.reports.settings import ReportConfig

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Render the reports of one run."""
    config = ReportConfig(
        kinds=tuple(job.params.kinds),
        theme=job.params.theme,
        sections=tuple(job.params.sections),
        templates=Path(job.params.templates) if job.params.templates else None,
    )
    store, bundles_dir = RunStore(Path(job.params.base_dir)), Path(job.params.bundles_dir)
    stages.render_report(store, job.wildcards.backtest_id, bundles_dir, config=config)


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
