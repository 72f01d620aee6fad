"""Notebooks, strategy.yaml and the search for secrets, through Snakemake."""

import json

import pytest

from tests.workflow.project import HOLD, Project, batch_config, nothing_to_do

# Put together here, so that no scanner takes this file for one with a secret.
TOKEN = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0" * 2


def notebook(*sources: str, output: str = "") -> str:
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "# A study"}]
    for source in sources:
        made = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
        cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": made}
        cells.append({**cell, "source": source})
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})


def only(config, *, strategy):
    """Return a config of one run, of another strategy."""
    hold = {**config["batch"]["hold"], "strategy": strategy}
    return {**config, "batch": {"hold": hold}}


def captured(project, name="hold"):
    run = project.named(name)
    manifest = json.loads((run / "metadata/code_manifest.json").read_bytes())
    return run, manifest, [file["path"] for file in manifest["files"]]


@pytest.mark.slow
def test_a_notebook_runs_as_a_strategy_and_is_restored_like_one(tmp_path):
    config = only(batch_config(), strategy="notebooks/study.ipynb")
    project = Project.make(tmp_path / "project", config)
    cells = ("from helper import SHARES", HOLD.replace("100)", "SHARES)"))
    project.write("notebooks/study.ipynb", notebook(*cells))
    project.write("notebooks/helper.py", "SHARES = 100\n")
    assert "1 new" in project.snakemake()
    run, manifest, paths = captured(project)
    assert paths == ["notebooks/helper.py", "notebooks/study_ipynb.py"]
    assert manifest["origin"] == "notebooks/study.ipynb"
    record = project.runs()[run.name]
    assert (record["status"], record["grade"], record["gaps"]) == ("completed", "B", [])
    assert record["identity"]["strategy"]["entry"] == "notebooks/study_ipynb.py"
    assert not (project.root / "notebooks/study_ipynb.py").exists()

    # Executing the notebook again changes its outputs, and no run.
    project.write("notebooks/study.ipynb", notebook(*cells, output="done\n"))
    assert nothing_to_do(project.snakemake())

    before = project.checksums(run.name)
    (run / "code/notebooks/study_ipynb.py").unlink()
    (run / "metadata/code_manifest.json").unlink()
    project.snakemake()
    assert project.checksums(run.name) == before
    project.backtrail("verify")

    project.write("notebooks/study.ipynb", notebook(*cells, "RISK = 1"))
    assert "1 new" in project.snakemake()
    assert len(project.run_ids()) == 2


@pytest.mark.slow
def test_a_strategy_yaml_adds_files_and_a_change_of_one_makes_a_new_run(tmp_path):
    config = only(batch_config(), strategy="strategies/levels.py")
    project = Project.make(tmp_path / "project", config)
    shares = "int(Path(__file__).with_name('levels.txt').read_text())"
    read = f"from pathlib import Path\n\nSHARES = {shares}\n"
    project.write("strategies/levels.py", read + HOLD.replace("100)", "SHARES)"))
    project.write("strategies/levels.txt", "100\n")
    project.write("strategies/strategy.yaml", "files: ['*.txt']\n")
    project.snakemake()
    run, manifest, paths = captured(project)
    assert manifest["capture_mode"] == "strategy_yaml"
    assert paths == [
        "strategies/levels.py",
        "strategies/levels.txt",
        "strategies/strategy.yaml",
    ]
    assert (
        "Using strategy.yaml for code capture"
        in next((project.root / "logs/capture_code").glob("*.log")).read_text()
    )
    assert project.runs()[run.name]["grade"] == "B"
    project.write("strategies/levels.txt", "50\n")
    project.snakemake()
    fills = [project.store / name / "results/fills.parquet" for name in project.run_ids()]
    assert len({path.read_bytes() for path in fills}) == 2


@pytest.mark.slow
def test_a_secret_stops_a_batch_before_its_first_job(tmp_path):
    config = only(batch_config(), strategy="strategies/keys.py")
    project = Project.make(tmp_path / "project", config)
    project.write("strategies/keys.py", f"TOKEN = {TOKEN!r}\n{HOLD}")
    output = project.snakemake(status=1)
    assert "strategies/keys.py:1 holds what looks like a GitHub token" in output
    assert TOKEN not in output
    assert not project.store.exists()
    waiver = {"file": "strategies/keys.py", "reason": "revoked"}
    project.configure({**config, "backtest_output": {"secret_waivers": [waiver]}})
    project.snakemake()
    _, manifest, _ = captured(project)
    assert [item["reason"] for item in manifest["waived_secrets"]] == ["revoked"]
