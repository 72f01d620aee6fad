"""What goes wrong is kept, named and tried again; what is finished is not touched."""

import json
import random
import sqlite3
import time

import polars as pl
import pytest

from tests.workflow.project import Project, batch_config, kill_group, nothing_to_do

BROKEN = {
    "raising": (
        "def handle_data(context, data):\n    print('before')\n    raise RuntimeError('no luck')\n"
    ),
    "endless": "import time\n\ndef handle_data(context, data):\n    time.sleep(600)\n",
    "importing": "import no_such_module_anywhere\n\ndef handle_data(context, data):\n    pass\n",
    "hungry": (
        "import numpy as np\n\ndef handle_data(context, data):\n"
        "    context.hoard = [np.empty(2**24) for _ in range(64)]\n"
    ),
}
EXPECTED = {
    "raising": ("RuntimeError", "no luck"),
    "endless": ("timeout", "the run was stopped after its time limit of 3 s"),
    "importing": ("ModuleNotFoundError", "No module named 'no_such_module_anywhere'"),
    "hungry": ("memory", "the run outgrew its memory limit of 300 MB"),
}


def failing_project(root, **execution):
    config = batch_config(execution={"time_limit": "3s", "memory_limit": "300MB", **execution})
    del config["batch"]["sma-grid"]
    for name in BROKEN:
        config["batch"][name] = {
            "strategy": f"strategies/{name}.py",
            "bundle": "prices",
            "start": "2020-01-02",
            "end": "2020-12-25",
        }
    project = Project.make(root, config)
    for name, source in BROKEN.items():
        project.write(f"strategies/{name}.py", source)
    return project


@pytest.mark.parametrize("runs_per_job", ["auto", pytest.param(3, marks=pytest.mark.slow)])
def test_failing_strategies_are_catalogued_and_retried_and_the_others_finish(
    tmp_path, runs_per_job
):
    project = failing_project(tmp_path / "project", runs_per_job=runs_per_job)
    output = project.snakemake(status=1)
    assert "6 runs: 2 new, 0 reused, 4 failed" in output
    for name, (kind, message) in EXPECTED.items():
        run = project.named(name)
        manifest = json.loads((run / "run.json").read_bytes())
        assert manifest["status"] == "failed"
        said, *hint = manifest["error"]["message"].splitlines()
        assert (manifest["error"]["kind"], said) == (kind, message)
        assert bool(hint) == (name == "importing")
        assert (run / "_FAILED").exists()
        assert not (run / "_SUCCESS").exists()
        assert not list((run / "results").glob("*.parquet"))
        errors = pl.read_parquet(run / "errors/errors.parquet")
        assert errors.select("attempt", "kind").rows() == [(1, kind)]
        assert errors["message"][0] == manifest["error"]["message"]
        assert message in (run / "errors/failed_run.html").read_text().replace("&#39;", "'")
        assert f"failed {name}" in output
    warning = (
        "strategies/importing.py:1 imports 'no_such_module_anywhere', which was found neither in "
        "the project nor among installed packages"
    )
    spec = json.loads((project.named("importing") / "metadata/run_spec.json").read_bytes())
    assert spec["code"]["warnings"] == [warning]
    (log,) = (project.root / "logs/plan_batch").glob("*.log")
    assert f"WARNING {warning}" in log.read_text()
    assert (
        "line 3, in handle_data"
        in project.runs()[project.named("raising").name]["error"]["traceback"]
    )
    assert (project.named("raising") / "logs/stdout.txt").read_text() == "before\n"
    with sqlite3.connect(project.store / "catalog.sqlite") as catalog:
        rows = catalog.execute(
            "SELECT name, status, error_kind FROM backtest_runs_catalog ORDER BY name"
        ).fetchall()
    assert {name: (status, kind) for name, status, kind in rows if status == "failed"} == {
        name: ("failed", kind) for name, (kind, _) in EXPECTED.items()
    }
    assert sum(status == "completed" for _, status, _ in rows) == 2

    sealed = {
        run: checksum
        for run, checksum in project.checksums().items()
        if project.runs()[run.split("/")[0]]["status"] == "completed"
    }
    ids = project.run_ids()
    again = project.snakemake(status=1)
    assert "6 runs: 0 new, 2 reused, 4 failed" in again
    assert project.run_ids() == ids
    assert {
        name: project.runs()[project.named(name).name]["attempt"] for name in BROKEN
    } == dict.fromkeys(BROKEN, 2)
    assert (project.named("raising") / "logs/attempt-1/stdout.txt").read_text() == "before\n"
    after = project.checksums()
    assert {run: after[run] for run in sealed} == sealed

    for name in BROKEN:
        project.write(f"strategies/{name}.py", "def handle_data(context, data):\n    pass\n")
    mended = project.snakemake()
    assert "0 failed" in mended
    assert len(project.run_ids()) > len(ids)
    assert nothing_to_do(project.snakemake())
    assert project.temporary_files() == []


def test_a_deleted_result_is_named_restored_with_the_same_bytes_and_then_nothing_is_to_do(project):
    before = project.checksums()
    run = project.named("sma").name
    names = (
        "results/fills.parquet",
        "results/backtest_results.csv",
        "metadata/code_manifest.json",
        "metadata/backtest_metadata.json",
        "metadata/environment.json",
        "metadata/run_spec.json",
        "code/strategies/lib/windows.py",
        "logs/stdout.txt",
    )
    for name in names:
        (project.store / run / name).unlink()
    found = by_id(project.backtrail_json("verify", status=1))
    assert found[run]["state"] == "damaged"
    assert sorted(found[run]["missing"]) == sorted(names)
    assert [item["state"] for key, item in found.items() if key != run] == ["intact"] * 3

    project.snakemake()
    assert project.checksums() == before
    assert project.backtrail("verify") == "4 intact\n"
    assert nothing_to_do(project.snakemake())


def by_id(found):
    return {item["backtest_id"]: item for item in found["runs"]}


def test_an_altered_result_is_an_error_that_names_it_and_is_not_overwritten(project):
    run = project.named("sma")
    path = run / "results/fills.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    output = project.snakemake(status=1)
    assert f"sealed run {run.name} was altered: results/fills.parquet" in output
    assert path.read_bytes().endswith(b"?")
    found = project.backtrail_json("verify", run.name, status=1)
    assert found["runs"][0]["altered"] == ["results/fills.parquet"]


def test_a_deleted_run_directory_is_made_again_under_the_same_id(project):
    import shutil

    run = project.named("sma")
    results = {k: v for k, v in project.checksums(run.name).items() if "/results/" in k}
    shutil.rmtree(run)
    assert "1 new" in project.snakemake()
    after = project.checksums(run.name)
    assert {k: after[k] for k in results} == results


def test_a_deleted_catalog_is_rebuilt_equal_row_for_row(project):
    before = dump(project)
    assert len(before["backtest_runs_catalog"]) == 4
    assert len(before["backtest_data_links"]) == 4
    assert len(before["trials"]) == 4
    for path in project.store.glob("catalog.sqlite*"):
        path.unlink()
    assert project.backtrail_json("catalog-sync") == {
        "added": 4,
        "failed": 0,
        "removed": 0,
        "total": 4,
        "unreadable": {},
        "updated": 0,
    }
    assert dump(project) == before
    assert project.backtrail_json("catalog-sync")["added"] == 0
    assert project.backtrail_json("catalog-sync", "--rebuild")["added"] == 4
    assert dump(project) == before
    assert nothing_to_do(project.snakemake())


def dump(project):
    with sqlite3.connect(project.store / "catalog.sqlite") as catalog:
        tables = [
            name
            for (name,) in catalog.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            name: sorted(catalog.execute(f"SELECT * FROM {name}").fetchall()) for name in tables
        }


def kill_and_finish(project, moments):
    """Kill the whole group at each moment; a plain call finishes what was begun.

    A moment is a number of finished jobs and the seconds after the last of them. Returns how many
    kills came before the batch was done.
    """
    interrupted = 0
    for number, (jobs, seconds) in enumerate(moments):
        change_batch(project, number)
        sealed = {
            run: project.checksums(run)
            for run in project.run_ids()
            if (project.store / run / "_SUCCESS").exists()
        }
        process = project.start(start_new_session=True)
        wait_for_jobs(process, jobs)
        time.sleep(seconds)
        kill_group(process)
        for run, files in sealed.items():
            assert project.checksums(run) == files
        output = project.snakemake()
        interrupted += not nothing_to_do(output)
        assert "failed" not in output.replace(" 0 failed", "")
        for run, files in sealed.items():
            assert project.checksums(run) == files
        assert project.temporary_files() == []
        assert {run["state"] for run in project.backtrail_json("verify")["runs"]} == {"intact"}
    assert nothing_to_do(project.snakemake())
    return interrupted


def wait_for_jobs(process, jobs):
    """Read what snakemake says until so many jobs have finished."""
    for line in process.stdout:
        jobs -= line.startswith("Finished jobid")
        if jobs <= 0 and "Execute" in line:
            return


def change_batch(project, number):
    """Give the batch two new runs."""
    config = project.config()
    config["batch"]["hold"]["end"] = f"2020-11-{number + 2:02d}"
    config["batch"]["sma-grid"]["grid"] = {"fast": [5], "slow": [21 + number]}
    project.configure(config)


@pytest.mark.slow
def test_a_killed_batch_is_finished_by_the_next_plain_call(project):
    assert kill_and_finish(project, [(4, 0.2)]) == 1


@pytest.mark.slow
def test_a_batch_killed_at_ten_random_moments_is_always_finished(project):
    generator = random.Random(20261121)
    moments = [(generator.randrange(9), generator.uniform(0.0, 0.6)) for _ in range(10)]
    assert kill_and_finish(project, moments) == 10
