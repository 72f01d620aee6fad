"""A batch on a real Slurm of one node: the bytes of a local call, its failures, a lost job."""

import subprocess
import time

import pytest

from tests import slurm
from tests.workflow.project import Project, _environment, batch_config, nothing_to_do
from tests.workflow.test_incremental import results_by_key

pytestmark = pytest.mark.slow
TIME_LIMIT = 600  # seconds; each job starts Snakemake twice
RAISING = "def handle_data(context, data):\n    raise RuntimeError('no luck')\n"
WAITING = """\
import time
from pathlib import Path


def handle_data(context, data):
    while not Path({gate!r}).exists():
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def cluster():
    pytest.importorskip(
        "snakemake_executor_plugin_slurm", reason="the extra `slurm` is not installed"
    )
    with slurm.running_cluster() as environment:
        yield environment


def start(project, cluster, *arguments):
    return subprocess.Popen(
        [
            *(project.python, "-m", "snakemake", "--workflow-profile", "profiles/slurm"),
            *("--slurm-status-command", "squeue"),  # the cluster keeps no accounts
            *("--slurm-init-seconds-before-status-checks", "2", *arguments),
        ],
        cwd=project.root,
        env={**_environment(), **cluster},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, status=0):
    output, _ = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == status, output
    return output


def asked_for(cluster):
    """Return rule, minutes and memory of every job that Slurm was given, the oldest first."""
    said = slurm.call(
        ["squeue", "--states=all", "--noheader", "--sort=i", "--format=%k|%l|%m|%D"], cluster
    )
    rows = [line.split("|") for line in said.splitlines()]
    return [(rule.split("_wildcards_")[0], time_, memory) for rule, time_, memory, _ in rows]


@pytest.mark.parametrize(
    ("runs_per_job", "expected"),
    [
        ("auto", ["rule_ingest_bundle", *["rule_run_backtest"] * 4]),
        (3, ["rule_ingest_bundle", *["rule_execute_shard"] * 2, "rule_report_shard"]),
    ],
)
def test_a_batch_edited_while_on_a_cluster_has_the_bytes_of_the_local_one_that_was_planned(
    tmp_path, cluster, finished, runs_per_job, expected
):
    execution = {
        "runs_per_job": runs_per_job,
        "time_limit": "90s",
        "memory_limit": "700MB",
        "artifacts": "standard",
    }
    earlier = len(asked_for(cluster))
    project = Project.make(tmp_path / "project", batch_config(execution=execution))
    process = start(project, cluster)
    while not (plans := list(project.store.glob(".plans/*/plan.json"))) and process.poll() is None:
        time.sleep(0.1)
    # Jobs read strategies when they start, and run what was planned all the same.
    planned = (project.root / "strategies/sma.py").read_text()
    project.write("strategies/sma.py", f"{planned}\nEDITED = True\n")
    output = finish(process)
    assert list(project.store.glob(".plans/*/plan.json")) == plans, "no job plans another batch"
    project.write("strategies/sma.py", planned)
    assert "4 runs: 4 new, 0 reused, 0 failed" in output
    assert results_by_key(project) == results_by_key(finished)
    assert project.temporary_files() == []
    jobs = asked_for(cluster)[earlier:]
    assert [rule for rule, _, _ in jobs] == expected
    runs = {(rule, *asked) for rule, *asked in jobs if rule in expected[1:3]}
    if runs_per_job == "auto":
        assert runs == {("rule_run_backtest", "12:00", "1700M")}
    else:
        assert runs == {
            ("rule_execute_shard", "16:00", "1700M"),
            ("rule_execute_shard", "12:00", "1700M"),
        }
    before = project.checksums()
    assert nothing_to_do(finish(start(project, cluster)))
    assert nothing_to_do(project.snakemake())  # and neither has a call on one machine
    assert project.checksums() == before
    assert "4 intact" in project.backtrail("verify")


def test_a_strategy_that_raises_on_a_cluster_is_catalogued_and_the_others_finish(tmp_path, cluster):
    config = batch_config()
    del config["batch"]["sma-grid"]
    config["batch"]["raising"] = {
        **config["batch"]["hold"],
        "strategy": "strategies/raising.py",
    }
    project = Project.make(tmp_path / "project", config)
    project.write("strategies/raising.py", RAISING)
    output = finish(start(project, cluster), status=1)
    assert "3 runs: 2 new, 0 reused, 1 failed" in output
    assert "RuntimeError: no luck" in output, "the log of the failed job is shown"
    run = project.named("raising")
    assert (run / "_FAILED").exists()
    (row,) = project.backtrail_json("list", "--status", "failed")
    assert row["backtest_id"] == run.name
    # It was executed once: what raises would raise again, and the next call tells so.
    assert project.runs()[run.name]["attempt"] == 1
    finish(start(project, cluster), status=1)
    assert project.runs()[run.name]["attempt"] == 2


def waiting_project(tmp_path, gate):
    """Return a project of which one run waits for a file."""
    config = batch_config()
    del config["batch"]["sma-grid"]
    config["batch"]["waiting"] = {**config["batch"]["hold"], "strategy": "strategies/waiting.py"}
    project = Project.make(tmp_path / "project", config)
    project.write("strategies/waiting.py", WAITING.format(gate=str(gate)))
    return project


def test_a_job_that_slurm_starts_anew_as_after_the_loss_of_a_node_is_finished(tmp_path, cluster):
    gate = tmp_path / "gate"
    project = waiting_project(tmp_path, gate)
    process = start(project, cluster)
    job = wait_for_run(process, cluster, project)
    slurm.call(["scontrol", "requeue", job], cluster)
    gate.touch()
    assert "3 runs: 3 new, 0 reused, 0 failed" in finish(process)
    said = slurm.call(["scontrol", "show", "job", job], cluster)
    assert "Restarts=1" in said
    assert "JobState=COMPLETED" in said
    assert project.temporary_files() == []
    assert "3 intact" in project.backtrail("verify")


def test_a_job_that_is_cancelled_is_made_by_the_next_call(tmp_path, cluster):
    gate = tmp_path / "gate"
    project = waiting_project(tmp_path, gate)
    process = start(project, cluster)
    job = wait_for_run(process, cluster, project)
    slurm.call(["scancel", job], cluster)
    output = finish(process, status=1)
    assert "CANCELLED" in output
    sealed = [path.parent.name for path in project.store.glob("2*/_SUCCESS")]
    assert len(sealed) == 2
    before = project.checksums(*sealed)
    gate.touch()
    output = finish(start(project, cluster))
    assert "3 runs" in output
    assert "0 failed" in output
    assert project.checksums(*sealed) == before
    assert project.temporary_files() == []
    assert "3 intact" in project.backtrail("verify")


def wait_for_run(process, cluster, project):
    """Return the id of the job that executes the waiting strategy, once it does."""
    end = time.monotonic() + TIME_LIMIT
    while time.monotonic() < end and process.poll() is None:
        ids = {run for run, made in project.runs().items() if "waiting" in made["labels"]["names"]}
        said = slurm.call(["squeue", "--states=running", "--noheader", "--format=%i|%k"], cluster)
        for line in said.splitlines():
            job, comment = line.split("|")
            if any(run in comment for run in ids):
                return job
        time.sleep(0.2)
    process.kill()
    pytest.fail(f"the waiting strategy was never executed: {process.communicate()[0]}")
