"""Script of rule `render_index`: make the comparison page of the store."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch.closing.index import render_store_index
from backtrail.jobs import job_logging
from backtrail.reports.settings import ReportConfig

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Render `index.html` from the table of runs."""
    config = ReportConfig(
        theme=job.params.theme,
        templates=Path(job.params.templates) if job.params.templates else None,
    )
    store = RunStore(Path(job.params.base_dir))
    render_store_index(store, Path(job.params.bundles_dir), config=config)


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
