import json
import shutil
import subprocess
from datetime import UTC, datetime

import numpy
import pytest

from backtrail.artifacts.manifest import inspect_run
from backtrail.batch import stages
from backtrail.batch.history.showing import run_text
from backtrail.data.manifest import DatasetManifest
from backtrail.errors import RunFailedError
from tests.unit.batch.support import batch_config, entry, functions

SAYS = functions(
    top="import json\nfrom pathlib import Path",
    initialize="""
        metadata = json.loads(Path("../metadata/backtest_metadata.json").read_text())
        print(metadata["status"], metadata["attempt"])
    """,
)


def metadata_of(run):
    return json.loads(run.metadata.read_bytes())


def only_strategy(project, text):
    project.write("strategies/own.py", text)
    project.configure(batch_config(batch={"own": entry(strategy="strategies/own.py")}))
    return project.plan()


def test_metadata_say_running_while_it_runs_and_completed_at_the_seal(project):
    plan, failed = project.run(only_strategy(project, SAYS))
    assert failed == []
    run = project.store.run(plan.runs[0].backtest_id)
    assert (run.logs / "stdout.txt").read_text() == "running 1\n"
    manifest, metadata = run.read_manifest(), metadata_of(run)
    assert metadata["status"] == manifest["status"] == "completed"
    assert metadata["finished_at"] == manifest["finished_at"]
    timings = manifest["timings"]
    phases = [f"{name}_seconds" for name in ("capture", "prepare", "execute", "write", "seal")]
    assert set(timings) == {*phases, "cpu_seconds", "max_rss_mb", "total_seconds"}
    assert all(timings[name] > 0 for name in phases)
    assert timings["total_seconds"] == pytest.approx(sum(timings[name] for name in phases))
    sealed = timings.keys() - {"seal_seconds", "total_seconds"}  # unknown when it was written
    assert metadata["timings"] == {name: timings[name] for name in sealed}
    assert metadata["strategy_entry_point"] == str(project.root / "strategies/own.py")
    assert metadata["captured_files"] == ["strategies/own.py"]
    assert metadata["packages"]["numpy"] == numpy.__version__
    assert metadata["machine"]["threads"]["OMP_NUM_THREADS"] == "1"
    dataset = DatasetManifest.load(
        project.bundles / "prices" / metadata["data_bundle_info"]["dataset_ids"][0]
    )
    assert metadata["data_bundle_info"]["content"] == dataset.content


WARNS = functions(
    top="import importlib\nimport warnings\n\nimportlib.import_module(input.__name__ and 'json')",
    initialize="warnings.warn('thin data')\nwarnings.warn('old data', DeprecationWarning)",
    handle_data="warnings.warn('said once, like all of one line')",
)


def test_the_warnings_that_a_run_told_are_counted_where_they_stand(project):
    plan, failed = project.run(only_strategy(project, WARNS))
    assert failed == []
    run = project.store.run(plan.runs[0].backtest_id)
    listed = json.loads(run.code_manifest.read_bytes())["warnings"]
    assert len(listed) == 1
    printed = (run.logs / "stderr.txt").read_text()
    assert [printed.count(text) for text in ("thin data", "said once")] == [2, 2]  # and its source
    assert run.read_manifest()["warnings"] == {"capture": 1, "printed": 2}
    assert "\n  warnings  1 of the code capture, 2 in logs/stderr.txt\n" in run_text(run)


def test_id_and_timestamp_of_a_run_are_in_the_same_zone(project, monkeypatch):
    """Guards defect 7 of known-defects.md: the id in local time, the timestamp in UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    stamp = metadata_of(run)["timestamp"]
    assert stamp.endswith("Z")
    named = datetime.strptime(f"{run.backtest_id}000", "%Y%m%d_%H%M%S_%f").replace(tzinfo=UTC)
    assert abs((datetime.fromisoformat(stamp) - named).total_seconds()) < 600


def test_a_failed_run_has_metadata_with_the_reason(project):
    """Guards defect 8 of known-defects.md: an exception left an empty metadata folder."""
    failing = functions(handle_data="raise ValueError('out of luck')")
    plan = only_strategy(project, failing)
    run = project.store.run(plan.runs[0].backtest_id)
    _, failed = project.run(plan)
    assert failed == [run.backtest_id]
    metadata = metadata_of(run)
    assert metadata["status"] == "failed"
    assert metadata["error"] == {
        "stage": "run_backtest", "kind": "ValueError", "message": "out of luck",
    }  # fmt: skip
    with project.executor() as executor, pytest.raises(RunFailedError):
        stages.run_backtest(project.store, run.backtest_id, executor)
    assert metadata_of(run)["attempt"] == 2


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, check=True)


def test_commit_branch_and_the_difference_are_kept_with_the_run(project):
    git(project.root, "init", "-q", "-b", "research")
    git(project.root, "add", "strategies")
    git(project.root, "commit", "-q", "-m", "first")
    helper = project.root / "strategies/lib/means.py"
    helper.write_text(helper.read_text() + "# not committed\n")
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    state = metadata_of(run)["git"]
    assert state["branch"] == "research"
    assert len(state["commit"]) == 40
    assert state["dirty"] is True
    assert "+# not committed\n" in run.git_diff.read_text()
    manifest = run.read_manifest()
    assert manifest["git"] == state
    said = f"{state['commit']} on research, with changes that are not committed"
    assert f"\n  commit    {said}\n" in run_text(run)
    assert manifest["inventory"]["metadata/uncommitted.diff"]["sha256"] == state["diff_sha256"]
    assert not inspect_run(run)


def test_the_difference_is_stored_once_and_restored(project):
    git(project.root, "init", "-q")
    git(project.root, "add", "strategies")
    git(project.root, "commit", "-q", "-m", "first")
    project.write("strategies/lib/means.py", "def mean(x):\n    return sum(x) / len(x)\n")
    grid = {"sma": entry(grid={"fast": [2, 3]})}
    project.configure(batch_config(batch=grid))
    plan, _ = project.run()
    first, second = (project.store.run(item.backtest_id) for item in plan.runs)
    assert first.git_diff.samefile(second.git_diff)
    text = first.git_diff.read_text()
    first.git_diff.unlink()
    with project.executor() as executor:
        stages.restore_run(project.store, first.backtest_id, executor)
    assert first.git_diff.read_text() == text


def test_without_a_repository_the_run_says_so(project):
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    assert metadata_of(run)["git"] is None
    assert run.read_manifest()["git"] is None
    assert not run.git_diff.exists()


def test_metadata_are_restored_byte_for_byte_after_the_project_is_gone(project):
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    before = run.metadata.read_bytes()
    shutil.rmtree(project.root / "strategies")
    run.metadata.unlink()
    with project.executor() as executor:
        stages.restore_run(project.store, run.backtest_id, executor)
    assert run.metadata.read_bytes() == before
