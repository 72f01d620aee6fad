"""What runs again and what does not: identity is content, never a time."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import snakemake

from tests.workflow.project import REPOSITORY, Project, nothing_to_do


def test_first_call_makes_one_sealed_directory_per_distinct_run(project: Project) -> None:
    runs = project.runs()
    assert len(runs) == 4  # sma and sma-grid/fast=5 are one run
    assert "4 runs: 4 new, 0 reused, 0 failed" in project.first_output
    names = sorted(name for run in runs.values() for name in run["labels"]["names"])
    assert names == ["hold", "sma", "sma-grid/fast=3", "sma-grid/fast=5", "sma-grid/fast=8"]
    assert {run["status"] for run in runs.values()} == {"completed"}
    assert {run["grade"] for run in runs.values()} == {"B"}
    assert project.temporary_files() == []
    index = (project.store / "index.html").read_text()
    for run in runs:
        assert f"{run}/results/reports/basic_report.html" in index


def test_second_call_has_nothing_to_do_and_makes_no_directory(project: Project) -> None:
    before = project.checksums()
    assert nothing_to_do(project.snakemake())
    assert project.checksums() == before


def test_touching_strategies_bundles_config_and_scripts_runs_nothing(project: Project) -> None:
    for top in ("strategies", "prices", "config", "bundles"):
        for path in (project.root / top).rglob("*"):
            path.touch()
    (project.root / "scripts").unlink()
    shutil.copytree(REPOSITORY / "scripts", project.root / "scripts")
    for path in (project.root / "scripts").glob("*.py"):
        path.touch()
    assert nothing_to_do(project.snakemake())
    assert len(project.run_ids()) == 4


@pytest.mark.slow
def test_a_source_that_cannot_be_ingested_stops_every_call_until_it_is_mended(
    project: Project,
) -> None:
    source = project.root / "prices" / "AAA.csv"
    sound = source.read_text()
    lines = sound.splitlines()
    lines[5] = lines[5].rpartition(",")[0] + ",many"
    source.write_text("\n".join(lines) + "\n")
    for _ in range(2):  # the second finds what the first has left
        said = project.snakemake(status=1)
        assert "volume = many: not a number" in said
        assert "the source of bundle prices is not the one that was ingested last" in said
    source.write_text(sound)
    assert "4 runs: 0 new, 4 reused, 0 failed" in project.snakemake()
    assert nothing_to_do(project.snakemake())


def test_looking_at_a_fresh_project_creates_nothing(fresh: Project) -> None:
    for arguments in (("-n",), ("--lint",), ("--dag",), ("--rulegraph",), ("--summary",)):
        fresh.snakemake(*arguments, status=None)
        assert not (fresh.root / "backtests").exists(), arguments
        assert not (fresh.root / "bundles").exists(), arguments
    fresh.snakemake("--report", "report.zip", status=None)
    assert not (fresh.root / "backtests").exists()
    assert not (fresh.root / "bundles").exists()


def test_a_constant_three_imports_down_makes_new_runs_of_its_users_alone(project: Project) -> None:
    before = project.checksums()
    old = {name: project.named(name).name for name in ("sma", "hold")}
    project.replace("strategies/lib/constants.py", "1.0", "2.0")

    preview = {item["name"]: item for item in project.backtrail_json("plan")}
    assert preview["hold"]["state"] == "reused"
    assert preview["sma"]["state"] == "new"
    assert preview["sma"]["predecessor"] == old["sma"]
    assert preview["sma"]["reasons"] == [
        "strategies/lib/constants.py changed in line 1, imported by strategies/lib/windows.py, "
        "imported by strategies/lib/means.py, imported by strategies/sma.py"
    ]

    assert "4 runs: 3 new, 1 reused, 0 failed" in project.snakemake()
    assert len(project.run_ids()) == 7
    assert project.named("sma").name != old["sma"]
    assert project.named("hold").name == old["hold"]
    assert project.checksums(*before_ids(before)) == before
    captured = project.named("sma") / "code/strategies/lib/constants.py"
    assert captured.read_text() == "SCALE = 2.0\n"
    assert nothing_to_do(project.snakemake())


def before_ids(checksums: dict[str, str]) -> list[str]:
    return sorted({path.split("/")[0] for path in checksums})


def leave_grid_out(project: Project) -> None:
    """Leave one run of each strategy in the batch; those of the others stay in the store."""
    config = project.config()
    del config["batch"]["sma-grid"]
    project.configure(config)


def test_another_parameter_adds_one_run(project: Project) -> None:
    project.replace("config/config.yaml", "- 8", "- 8\n      - 10")
    preview = project.backtrail_json("plan")
    assert [item["name"] for item in preview if item["state"] == "new"] == ["sma-grid/fast=10"]
    assert "5 runs: 1 new, 4 reused, 0 failed" in project.snakemake()
    assert len(project.run_ids()) == 5


def test_one_changed_price_makes_another_dataset_and_new_runs_of_its_users(
    project: Project,
) -> None:
    leave_grid_out(project)
    config = (project.root / "config/config.yaml").read_text()
    head = json.loads((project.root / "bundles/prices/HEAD.json").read_bytes())["dataset_id"]
    before = project.checksums()
    path = project.root / "prices/AAA.csv"
    lines = path.read_text().splitlines()
    cells = lines[100].split(",")
    cells[4] = cells[1]  # the close of one day becomes its open, which lies between low and high
    assert cells != lines[100].split(",")
    lines[100] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    preview = project.backtrail_json("plan")
    assert {item["state"] for item in preview} == {"new"}
    assert {item["reasons"][0] for item in preview} == {
        "the source of bundle prices is not the one that was ingested last"
    }

    project.snakemake()
    moved = json.loads((project.root / "bundles/prices/HEAD.json").read_bytes())["dataset_id"]
    assert moved != head
    assert (project.root / "bundles/prices" / head / "bars.parquet").exists()
    assert len(project.run_ids()) == 4 + 2
    assert project.checksums(*before_ids(before)) == before
    for name in ("sma", "hold"):
        identity = project.runs()[project.named(name).name]["identity"]
        assert identity["dataset"]["dataset_id"] == moved
    assert (project.root / "config/config.yaml").read_text() == config
    assert nothing_to_do(project.snakemake())


@pytest.mark.slow
def test_a_bundle_that_a_run_does_not_use_does_not_make_it_again(project: Project) -> None:
    """Two bundles with one source each: changing one leaves the runs of the other."""
    shutil.copytree(project.root / "prices", project.root / "other")
    config = project.config()
    config["bundles"]["other"] = {**config["bundles"]["prices"], "path": "other"}
    config["batch"]["hold-other"] = {**config["batch"]["hold"], "bundle": "other"}
    project.configure(config)
    project.snakemake()
    ids = set(project.run_ids())
    text = (project.root / "other/BBB.csv").read_text().splitlines()
    (project.root / "other/BBB.csv").write_text("\n".join(text[:-1]) + "\n")
    assert "1 new" in project.snakemake()
    added = set(project.run_ids()) - ids
    assert [project.runs()[run]["labels"]["names"] for run in added] == [["hold-other"]]


@pytest.fixture
def own_library(project: Project, tmp_path: Path) -> Path:
    """Give the project an interpreter with a copy of the library that a test may change."""
    shutil.copytree(
        REPOSITORY / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "src/backtrail/batch/planning/config.schema.yaml").unlink()
    shutil.copy(
        REPOSITORY / "workflow/schemas/config.schema.yaml",
        tmp_path / "src/backtrail/batch/planning/config.schema.yaml",
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    site = next((tmp_path / "venv/lib").glob("python3*")) / "site-packages"
    installed = Path(snakemake.__file__).parents[1]
    (site / "copy.pth").write_text(f"{tmp_path / 'src'}\n{installed}\n")
    project.python = str(tmp_path / "venv/bin/python")
    return tmp_path / "src/backtrail"


def test_a_comment_in_the_engine_runs_nothing_and_a_statement_runs_everything(
    project: Project, own_library: Path
) -> None:
    module = own_library / "engine/event.py"
    source = module.read_text()
    module.write_text(
        source.replace('"""The event engine', '"""The engine, reworded', 1) + "\n# x\n"
    )
    assert nothing_to_do(project.snakemake())
    module.write_text(source + "\n_CHANGED = 1\n")
    preview = project.backtrail_json("plan")
    assert {item["state"] for item in preview} == {"new"}
    assert all("library's own code changed" in item["reasons"][0] for item in preview)


def test_a_second_batch_file_runs_that_batch_alone(project: Project) -> None:
    config = project.config()
    hold = config["batch"]["hold"]
    config["batch"] = {"hold-early": {**hold, "end": "2020-06-26"}}
    project.configure(config, "config/batches/early.yaml")
    output = project.snakemake("--configfile", "config/batches/early.yaml")
    assert "1 run: 1 new, 0 reused, 0 failed" in output
    assert len(project.run_ids()) == 5
    assert nothing_to_do(project.snakemake())
    assert nothing_to_do(project.snakemake("--configfile", "config/batches/early.yaml"))


def test_forcing_everything_and_editing_scripts_keeps_every_sealed_byte(project: Project) -> None:
    leave_grid_out(project)
    (project.root / "scripts").unlink()
    shutil.copytree(REPOSITORY / "scripts", project.root / "scripts")
    for path in (project.root / "scripts").glob("*.py"):
        path.write_text(path.read_text() + "\n# edited\n")
    before = sealed(project)
    said = project.snakemake("-F")
    assert "2 runs: 0 new, 2 reused, 0 failed" in said
    assert sealed(project) == before


def sealed(project: Project) -> dict[str, str]:
    return {
        path: checksum
        for path, checksum in project.checksums().items()
        if "/results/reports/" not in path
    }


@pytest.mark.slow
def test_result_bytes_do_not_depend_on_cores_or_the_order_of_the_config(
    project: Project, tmp_path: Path
) -> None:
    config = project.config()
    config["batch"] = dict(reversed(config["batch"].items()))
    other = Project.make(tmp_path / "other", config)
    other.snakemake(cores=4)
    mine, theirs = results_by_key(project), results_by_key(other)
    assert mine == theirs
    assert len(mine) == 4
    assert all(len(files) >= 11 for files in mine.values())


def results_by_key(project: Project) -> dict[str, dict[str, str]]:
    return {
        manifest["run_key"]: {
            name: entry["sha256"]
            for name, entry in manifest["inventory"].items()
            if name.startswith(("results/", "code/", "logs/"))
        }
        for manifest in project.runs().values()
    }
