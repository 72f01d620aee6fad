"""Script of rule `plan_batch`: fix every run of a batch with its key and directory."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.batch.execution.sandbox import Sandbox
from backtrail.batch.planning.loading import open_batch
from backtrail.batch.planning.plan import make_plan
from backtrail.jobs import job_logging

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake, snakemake


def main(job: "Snakemake") -> None:
    """Plan the batch that the Snakefile opened."""
    with Sandbox() as sandbox:
        batch = open_batch(
            [Path(path) for path in job.params.config_files],
            root=Path.cwd(),
            overrides=json.loads(job.params.overrides),
            sandbox=sandbox,
        )
        plan = make_plan(batch, expected_key=job.params.batch_key, sandbox=sandbox)
    for backtest_id, words in plan.estimates.items():
        sys.stderr.write(f"Search {plan.run(backtest_id).names[0]} ({backtest_id}): {words}\n")


if __name__ == "__main__":
    with job_logging(snakemake):
        main(snakemake)
