"""Script of rule `render_report`: make the pages of a sealed run."""

from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Render the report of one run."""
    store = RunStore(Path(job.params.base_dir))
    stages.render_report(store, job.wildcards.backtest_id, Path(job.params.bundles_dir))


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
