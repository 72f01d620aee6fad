"""Sixteen processes in sixteen folders share one store: one key, one directory, nothing lost."""

import shutil

import pytest

from tests.workflow.project import Project, batch_config

PROCESSES = 16


def shared_projects(root, configs):
    """Return projects whose store and bundles lie in one place."""
    projects = []
    for number, config in enumerate(configs):
        config["backtest_output"] = {"base_dir": str(root / "store")}
        config["storage"] = {"bundles_dir": str(root / "bundles")}
        projects.append(Project.make(root / f"user-{number:02d}", config))
    return projects


def start_together(projects):
    processes = [project.start(cores=1) for project in projects]
    outputs = [process.communicate(timeout=560)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-3000:]
    return outputs


def seals(store):
    return sorted(path.parent.name for path in store.glob("*/_SUCCESS"))


def one_run(**changes):
    config = batch_config(execution={"runs_per_job": 10})
    hold = {**config["batch"]["hold"], **changes}
    config["batch"] = {"hold": hold, "sma": config["batch"]["sma"]}
    return config


@pytest.mark.slow
def test_sixteen_different_batches_lose_no_run_and_use_no_id_twice(tmp_path):
    configs = [one_run(capital_base=100_000 + number) for number in range(PROCESSES)]
    projects = shared_projects(tmp_path, configs)
    for _ in range(2):
        start_together(projects)
        check_store(tmp_path / "store", projects[0], PROCESSES + 1)


@pytest.mark.slow
def test_sixteen_equal_batches_make_each_run_once(tmp_path):
    projects = shared_projects(tmp_path, [one_run() for _ in range(PROCESSES)])
    for _ in range(2):
        start_together(projects)
        check_store(tmp_path / "store", projects[0], 2)


@pytest.mark.slow
def test_three_equal_batches_started_together_execute_each_run_once(tmp_path):
    projects = shared_projects(tmp_path, [one_run() for _ in range(3)])
    start_together(projects)
    check_store(tmp_path / "store", projects[0], 2)


def check_store(store, project, runs):
    mine = Project(project.root)
    shutil.rmtree(project.root / "backtests", ignore_errors=True)
    manifests = {}
    for path in sorted(store.glob("2*")):
        import json

        manifests[path.name] = json.loads((path / "run.json").read_bytes())
    assert len(manifests) == runs
    assert seals(store) == sorted(manifests)
    keys = [manifest["run_key"] for manifest in manifests.values()]
    assert len(set(keys)) == runs
    assert {manifest["attempt"] for manifest in manifests.values()} == {1}
    assert {manifest["backtest_id"] for manifest in manifests.values()} == set(manifests)
    assert len(list((store / ".keys").glob("??/*"))) == runs
    listed = mine.backtrail_json("list")
    assert sorted(row["backtest_id"] for row in listed) == sorted(manifests)
    assert {run["state"] for run in mine.backtrail_json("verify")["runs"]} == {"intact"}
    leftovers = [path.name for path in store.rglob("*") if "tmp~" in path.name]
    assert leftovers == []
