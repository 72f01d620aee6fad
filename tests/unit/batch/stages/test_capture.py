"""How a batch captures code: modes, waivers, notebooks, and what the manifest of a run says."""

import json
import logging
import os

import pytest

from backtrail.batch import stages
from backtrail.batch.history.why import preview_batch
from backtrail.batch.planning.plan import make_plan
from backtrail.errors import ConfigError
from tests.unit.batch.support import SMA, batch_config, entry, functions

# Put together here, so that no scanner takes this file for one with a secret.
TOKEN = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0" * 2
BUY = "from backtrail.engine.api import order, symbol\n"


def problems_of(project, config):
    project.configure(config)
    with pytest.raises(ConfigError) as caught:
        project.batch()
    return [str(problem) for problem in caught.value.problems]


def manifest_of(project, plan, index=0):
    run = project.store.run(plan.runs[index].backtest_id)
    return json.loads(run.code_manifest.read_bytes())


def notebook(*sources, output="1\n"):
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "# Study"}]
    for source in sources:
        made = [{"output_type": "stream", "name": "stdout", "text": output}]
        cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": made}
        cells.append({**cell, "source": source})
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})


def of_notebook(**keys):
    return batch_config(batch={"study": entry(strategy="notebooks/study.ipynb", **keys)})


def test_the_manifest_says_how_each_file_was_when_it_was_captured(project):
    os.utime(project.root / "strategies/sma.py", ns=(0, 1_700_000_000_500_000_000))
    (project.root / "strategies/sma.py").chmod(0o600)
    plan = project.plan()
    stages.capture_code(project.store, plan.runs[0].backtest_id)
    manifest = manifest_of(project, plan)
    assert manifest["capture_mode"] == "import_analysis"
    assert manifest["entry"] == "strategies/sma.py"
    assert (manifest["origin"], manifest["warnings"], manifest["notes"]) == (None, [], [])
    assert "waived_secrets" not in manifest
    by_path = {file["path"]: file for file in manifest["files"]}
    assert list(by_path) == [
        "strategies/lib/__init__.py",
        "strategies/lib/means.py",
        "strategies/sma.py",
    ]
    taken = by_path["strategies/sma.py"]
    assert taken["modified_at"] == "2023-11-14T22:13:20.500000Z"
    assert taken["mode"] == "0600"
    assert taken["size"] == len(SMA)
    assert by_path["strategies/lib/means.py"]["imported_by"] == ["strategies/sma.py"]
    # What is shared between runs is read-only, whatever the file was.
    code = project.store.run(plan.runs[0].backtest_id).code
    assert (code / "strategies/sma.py").stat().st_mode & 0o777 == 0o444


def test_a_run_of_an_earlier_version_is_restored_as_it_was(project):
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    spec = run.read_spec()
    former = [
        {key: file[key] for key in ("path", "sha256", "imported_by")}
        for file in spec["code"]["files"]
    ]
    run.spec.unlink()
    run.spec.write_text(json.dumps({**spec, "code": {"files": former, "warnings": ["w"]}}))
    stages.capture_code(project.store, run.backtest_id)
    assert manifest_of(project, plan) == {
        "capture_mode": "import_analysis",
        "code_hash": spec["identity"]["strategy"]["code_hash"],
        "entry": "strategies/sma.py",
        "files": former,
        "warnings": ["w"],
    }


def test_runs_that_differ_in_parameters_share_one_copy_of_their_code(project):
    grid = {"fast": [2, 3, 4], "slow": [8, 9]}
    project.configure(batch_config(batch={"grid": entry(grid=grid)}))
    plan, failed = project.run()
    assert (len(plan.runs), failed) == (6, [])
    objects = [path for path in project.store.objects.rglob("*") if path.is_file()]
    assert len(objects) == 3
    assert {path.stat().st_nlink for path in objects} == {7}


def test_a_strategy_yaml_decides_what_a_batch_captures(project, caplog):
    caplog.set_level(logging.DEBUG, "backtrail.provenance")
    project.write("strategies/strategy.yaml", "files: ['lib/*.py', data/levels.txt, gone.txt]\n")
    project.write("strategies/data/levels.txt", "1 2 3\n")
    plan, failed = project.run()
    assert failed == []
    manifest = manifest_of(project, plan)
    assert manifest["capture_mode"] == "strategy_yaml"
    assert [file["path"] for file in manifest["files"]] == [
        "strategies/data/levels.txt",
        "strategies/lib/__init__.py",
        "strategies/lib/means.py",
        "strategies/sma.py",
        "strategies/strategy.yaml",
    ]
    assert manifest["warnings"] == ["strategies/strategy.yaml names gone.txt, which does not exist"]
    run = project.store.run(plan.runs[0].backtest_id)
    assert (run.code / "strategies/data/levels.txt").read_text() == "1 2 3\n"
    assert json.loads(run.metadata.read_bytes())["code_capture"]["mode"] == "strategy_yaml"
    told = [(r.levelname, r.getMessage(), r.backtest_id) for r in caplog.records]
    using = "Using strategy.yaml for code capture"
    assert ("INFO", using, None) in told
    assert ("INFO", using, run.backtest_id) in told
    warnings = [(text, run_id) for level, text, run_id in told if level == "WARNING"]
    assert warnings == [(manifest["warnings"][0], None)]


def test_a_listed_file_that_changes_makes_another_run(project):
    project.write("strategies/strategy.yaml", "files: ['lib/*.py', levels.txt]\n")
    project.write("strategies/levels.txt", "1\n")
    first = project.plan().runs[0].run_key
    project.write("strategies/unlisted.txt", "1\n")
    assert project.plan().runs[0].run_key == first
    project.write("strategies/levels.txt", "2\n")
    assert project.plan().runs[0].run_key != first


def test_mode_strategy_yaml_looks_in_the_project_folder_too(project):
    project.write("strategy.yaml", "files: ['strategies/**/*.py', notes.md]\n")
    project.write("notes.md", "Why.\n")
    output = {"code_capture_mode": "strategy_yaml"}
    project.configure(batch_config(backtest_output=output))
    plan, failed = project.run()
    assert failed == []
    names = [file["path"] for file in manifest_of(project, plan)["files"]]
    assert names[0] == "notes.md"
    assert names[-1] == "strategy.yaml"
    (project.root / "strategy.yaml").unlink()
    (found,) = problems_of(project, batch_config(backtest_output=output))
    assert found.startswith("config.yaml: batch.sma.strategy: code_capture_mode is strategy_yaml, ")


def test_a_wrong_strategy_yaml_is_a_mistake_of_the_config(project):
    project.write("strategies/strategy.yaml", "files: [../secret.txt]\n")
    (found,) = problems_of(project, batch_config())
    assert "config.yaml: batch.sma.strategy: " in found
    assert "files[0] is '../secret.txt', which leaves the folder of strategy.yaml" in found


def test_a_secret_stops_the_batch_before_anything_is_stored(project):
    project.ingest()
    project.write("strategies/lib/means.py", f"mean = sum\nTOKEN = {TOKEN!r}\n")
    (found,) = problems_of(project, batch_config())
    assert found.startswith("config.yaml: batch.sma.strategy: strategies/lib/means.py:2 holds what")
    assert TOKEN not in found
    assert not project.store.objects.exists()


def test_a_waiver_lets_the_batch_run_and_stands_in_the_manifest(project):
    project.write(
        "strategies/lib/means.py",
        f"TOKEN = {TOKEN!r}\n\n\ndef mean(x):\n    return float(sum(x)) / len(x)\n",
    )
    waivers = [{"file": "strategies/lib/means.py", "reason": "revoked in 2020"}]
    project.configure(batch_config(backtest_output={"secret_waivers": waivers}))
    plan, failed = project.run()
    assert failed == []
    assert manifest_of(project, plan)["waived_secrets"] == [
        {
            "file": "strategies/lib/means.py",
            "line": 1,
            "kind": "a GitHub token",
            "reason": "revoked in 2020",
        }
    ]
    found = problems_of(project, batch_config(backtest_output={"secret_waivers": [{"file": "x"}]}))
    assert any("secret_waivers[0]: the key 'reason' is missing" in text for text in found)


def test_a_data_file_that_is_missing_is_a_mistake_with_its_line(project):
    project.write("strategies/lib/means.py", "import os\n\nx = os.data_file('levels.csv')\n")
    (found,) = problems_of(project, batch_config())
    assert "strategies/lib/means.py:3 names the data file 'levels.csv', which is not in" in found


def test_a_notebook_is_a_strategy_and_its_outputs_do_not_count(project):
    cells = ("%matplotlib inline\n" + BUY, functions(handle_data="order(symbol('AAA'), 1)"))
    project.write("notebooks/study.ipynb", notebook(*cells))
    project.configure(of_notebook())
    plan, failed = project.run()
    assert failed == []
    run = project.store.run(plan.runs[0].backtest_id)
    spec = run.read_spec()
    assert spec["identity"]["strategy"]["entry"] == "notebooks/study_ipynb.py"
    assert spec["identity"]["strategy"]["form"] == "function"
    manifest = manifest_of(project, plan)
    assert manifest["origin"] == "notebooks/study.ipynb"
    assert manifest["warnings"] == [
        "notebooks/study.ipynb, code cell 1, line 1: '%matplotlib inline' is no Python and is "
        "left out"
    ]
    code = (run.code / "notebooks/study_ipynb.py").read_text()
    assert "# %matplotlib inline" in code
    assert [path.name for path in run.code.rglob("*.*")] == ["study_ipynb.py"]
    assert sorted(path.name for path in (project.root / "notebooks").iterdir()) == ["study.ipynb"]
    project.write("notebooks/study.ipynb", notebook(*cells, output="another\n"))
    (again,) = project.plan().runs
    assert (again.backtest_id, again.state) == (run.backtest_id, "reused")
    project.write("notebooks/study.ipynb", notebook(*cells, "x = 1\n"))
    (changed,) = preview_batch(project.batch())
    assert changed.state == "new"
    assert changed.reasons == ("notebooks/study_ipynb.py changed",)


def test_parameters_of_a_notebook_are_checked_before_its_batch(project):
    project.write("notebooks/study.ipynb", notebook(SMA))
    project.write("notebooks/lib/means.py", "def mean(x):\n    return float(sum(x)) / len(x)\n")
    (found,) = problems_of(project, of_notebook(params={"fast": 9}))
    assert "fast=9: strategy Sma refuses its parameters: fast=9 must be below slow=8" in found
    project.configure(of_notebook(params={"fast": 4}))
    plan, failed = project.run()
    assert failed == []
    spec = project.store.run(plan.runs[0].backtest_id).read_spec()
    assert spec["identity"]["params"] == {"fast": 4, "slow": 8}


def test_the_same_code_as_file_and_as_notebook_gives_the_same_results(project):
    project.write("notebooks/study.ipynb", notebook(SMA))
    project.write("notebooks/lib/means.py", "def mean(x):\n    return float(sum(x)) / len(x)\n")
    both = {"sma": entry(), "study": entry(strategy="notebooks/study.ipynb")}
    project.configure(batch_config(batch=both))
    plan, failed = project.run()
    assert failed == []
    one, other = (
        json.loads(project.store.run(run.backtest_id).manifest.read_bytes()) for run in plan.runs
    )
    assert one["contents"] == other["contents"]
    assert one["run_key"] != other["run_key"]


def test_a_notebook_whose_object_is_lost_is_stored_anew_by_the_next_plan(project):
    project.write("notebooks/study.ipynb", notebook(BUY + functions()))
    project.configure(of_notebook())
    plan = project.plan()
    (sha256,) = (
        f["sha256"]
        for f in project.store.run(plan.runs[0].backtest_id).read_spec()["code"]["files"]
    )
    stored = project.store.objects / sha256[:2] / sha256
    stored.unlink()
    make_plan(project.batch())
    stages.capture_code(project.store, plan.runs[0].backtest_id)
    assert BUY.encode() in stored.read_bytes()
