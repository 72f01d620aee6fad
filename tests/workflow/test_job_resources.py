"""What jobs ask for follows the config, and is no reason to make a run again."""

import csv
import json
from collections import Counter

import pytest

from tests.workflow.project import batch_config, nothing_to_do

LIMITS = {"time_limit": "90s", "memory_limit": "700MB"}


def asked_for(project, rule, job="*"):
    """Return minutes and memory that jobs of a rule asked for, and how many did."""
    asked = Counter()
    for path in (project.root / "logs" / rule).glob(f"{job}.tsv"):
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream, delimiter="\t"):
                resources = json.loads(row["resources"].replace("'", '"'))
                asked[resources["runtime"], resources["mem_mb"]] += 1
    return asked


@pytest.mark.slow
def test_shards_ask_for_the_time_and_memory_that_their_runs_may_take(fresh):
    fresh.configure(batch_config(execution={**LIMITS, "runs_per_job": 3}))
    fresh.snakemake("--benchmark-extended")
    assert asked_for(fresh, "execute_shard") == {(16, 1700): 1, (12, 1700): 1}
    assert asked_for(fresh, "report_shard") == {(11, 1000): 1}


@pytest.mark.slow
def test_other_limits_are_asked_for_by_new_runs_and_make_no_sealed_run_again(project):
    before = project.checksums()
    config = project.config() | {"execution": LIMITS}
    project.configure(config)
    output = project.snakemake("--benchmark-extended")
    assert "4 runs: 0 new, 4 reused, 0 failed" in output
    assert "Running backtest" not in output
    assert project.checksums() == before
    assert nothing_to_do(project.snakemake())
    config["batch"]["sma-grid"]["grid"]["fast"] = [3, 5, 8, 9]
    project.configure(config)
    output = project.snakemake("--benchmark-extended")
    assert output.count("Running backtest") == 1
    (run,) = set(project.run_ids()) - {name.split("/")[0] for name in before}
    assert asked_for(project, "run_backtest", run) == {(12, 1700): 1}
