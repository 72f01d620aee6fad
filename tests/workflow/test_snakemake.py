"""What users of Snakemake expect: pictures, summaries, reports, and a batch that stays frozen."""

import json
import shutil
import time
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.json_files import json_files, misfits
from tests.workflow.project import REPOSITORY, Project, nothing_to_do


def test_every_json_file_of_a_batch_fits_its_schema(finished):
    found = {path.rpartition("/")[2] for path in json_files(finished.root)}
    assert {"run.json", "plan.json", "catalog.json", "receipt.json"} <= found
    assert misfits(finished.root) == {}


def test_the_workflow_report_shows_every_run_with_its_labels(project):
    project.snakemake("--report", "report.zip")
    assert len(reported(project, "basic_report.html")) == 4
    assert len(reported(project, "index.html")) == 1
    with zipfile.ZipFile(project.root / "report.zip") as report:
        shown = "".join(
            report.read(name).decode(errors="replace")
            for name in report.namelist()
            if name.endswith((".html", ".js")) and "/data/" not in name
        )
    for name in ("hold", "sma", "sma-grid/fast=3", "sma-grid/fast=8", "Backtests", "Comparison"):
        assert name in shown
    assert "A run is decided by its content" in shown
    for caption in ("equity, drawdown, trades and statistics", "Every run of the store"):
        assert caption in shown
    # The text names this batch: its key, its code and its data.
    plan = json.loads(next((project.store / ".plans").glob("*/plan.json")).read_bytes())
    assert f"Batch key: {plan['batch_key']}" in shown
    identity = project.runs()[project.named("sma").name]["identity"]
    assert f"Strategy strategies/sma.py, code {identity['strategy']['code_hash']}" in shown
    assert f"Bundle prices, dataset {identity['dataset']['dataset_id']}" in shown
    assert nothing_to_do(project.snakemake())


def reported(project, name):
    with zipfile.ZipFile(project.root / "report.zip") as report:
        return [item for item in report.namelist() if "data" in item and item.endswith(name)]


@pytest.mark.slow
def test_reports_follow_the_config_and_no_run_is_made_again(project):
    before = {name: value for name, value in project.checksums().items() if "/reports/" not in name}
    project.write("mine/theme.css", "h1 { color: rebeccapurple }")
    reports = {"theme": "dark", "templates": "mine", "kinds": ["basic", "advanced"]}
    project.configure(project.config() | {"reports": reports})
    project.snakemake()
    page = project.named("sma") / "results/reports/advanced_report.html"
    assert 'data-theme="dark"' in page.read_text()
    assert "rebeccapurple" in page.read_text()
    project.snakemake("--report", "report.zip")
    assert len(reported(project, "advanced_report.html")) == 4
    page.unlink()
    project.snakemake()
    assert "rebeccapurple" in page.read_text(), "a missing page is asked for"
    project.write("mine/theme.css", "h1 { color: red }")
    project.snakemake()
    assert "color: red" in page.read_text()
    assert nothing_to_do(project.snakemake())
    after = {name: value for name, value in project.checksums().items() if "/reports/" not in name}
    assert after == before


def test_the_dag_and_the_summary_name_every_rule_and_file(project):
    dag = project.snakemake("--rulegraph")
    for rule in (
        "ingest_bundle",
        "plan_batch",
        "capture_code",
        "run_backtest",
        "seal_run",
        "render_report",
        "link_catalog",
        "render_index",
    ):
        assert rule in dag
    run = project.named("sma").name
    summary = project.snakemake("--summary")
    assert f"backtests/{run}/_SUCCESS" in summary
    assert f"backtests/{run}/results/fills.parquet" in summary


def test_every_job_leaves_a_log_and_a_benchmark(project):
    run = project.named("sma").name
    for rule in ("capture_code", "run_backtest", "seal_run", "render_report"):
        assert (project.root / f"logs/{rule}/{run}.log").exists()
        assert "s\t" in (project.root / f"logs/{rule}/{run}.tsv").read_text()


@pytest.mark.slow
def test_editing_a_strategy_while_its_batch_runs_has_no_effect_on_it(fresh):
    config = fresh.config()
    config["execution"] = {"runs_per_job": 1}
    del config["batch"]["sma-grid"]
    fresh.configure(config)
    process = fresh.start()
    plan = wait_for_plan(fresh)
    fresh.replace("strategies/lib/constants.py", "1.0", "3.0")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    for run in json.loads(plan.read_bytes())["runs"]:
        captured = fresh.store / run["backtest_id"] / "code/strategies/lib/constants.py"
        if "hold" not in run["names"]:
            assert captured.read_text() == "SCALE = 1.0\n"
    assert len(fresh.run_ids()) == 2
    preview = fresh.backtrail_json("plan")
    assert {item["name"]: item["state"] for item in preview} == {"sma": "new", "hold": "reused"}


def wait_for_plan(project: Project) -> Path:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = list(project.store.glob(".plans/*/plan.json"))
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError("no plan was made")


@pytest.mark.slow
def test_a_config_given_by_key_and_value_changes_the_batch(project):
    output = project.snakemake("--config", "seed=7")
    assert "4 runs: 4 new, 0 reused, 0 failed" in output
    assert {run["identity"]["seed"] for run in project.runs().values()} == {7, 20260101}


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "config/batches").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_batch_file_of_the_repository_runs_and_then_has_nothing_to_do(path, tmp_path):
    project = repository_copy(tmp_path / "project")
    name = f"config/batches/{path.name}"
    output = project.snakemake("--configfile", name)
    entries = yaml.safe_load(path.read_text())["batch"]
    names = {run["labels"]["names"][0].split("/")[0] for run in project.runs().values()}
    assert names == set(entries)
    assert " 0 failed" in output
    assert nothing_to_do(project.snakemake("--configfile", name))


def repository_copy(root: Path) -> Project:
    """Return what a clone has, without git: links for code, copies of what a user edits."""
    root.mkdir()
    for name in ("Snakefile", "workflow", "scripts", "profiles", "environment.yml"):
        (root / name).symlink_to(REPOSITORY / name)
    for name in ("config", "strategies", "resources"):
        shutil.copytree(REPOSITORY / name, root / name)
    return Project(root)


@pytest.mark.slow
def test_the_default_batch_runs_twice_and_every_run_is_intact_and_replays(tmp_path):
    project = repository_copy(tmp_path / "project")
    output = project.snakemake()
    runs = project.runs()
    assert f"{len(runs)} runs: {len(runs)} new, 0 reused, 0 failed" in output
    assert len(runs) >= 12
    assert {run["labels"]["bundle"] for run in runs.values()} == {
        "us-indices",
        "synthetic-universe",
        "synthetic-minutes",
    }
    assert {run["identity"]["strategy"]["form"] for run in runs.values()} == {
        "class",
        "function",
        "signal",
    }
    assert {run["state"] for run in project.backtrail_json("verify")["runs"]} == {"intact"}
    assert nothing_to_do(project.snakemake())
    replays = project.backtrail_json("replay", "--all")
    assert {item["backtest_id"]: item["state"] for item in replays} == dict.fromkeys(
        runs, "identical"
    )
    files = [file for item in replays for file in item["files"]]
    for item in replays:
        paths = {file["path"] for file in item["files"]}
        assert {*runs[item["backtest_id"]]["contents"], "logs/stdout.txt"} <= paths
    assert {file["state"] for file in files} == {"identical"}
    assert {item["grade"] for item in project.backtrail_json("list")} == {"A"}
