import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pytest

from backtrail.artifacts.manifest import inspect_run, is_sealed, seal
from backtrail.batch import stages
from backtrail.batch.closing.index import render_store_index
from backtrail.batch.closing.linking import link_catalog
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError, CodeCaptureError, RunFailedError, SealError
from backtrail.files import write_json
from backtrail.reports import ReportConfig
from tests.unit.batch.support import Project, batch_config, entry, functions


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("template") / "project")
    assert project.run()[1] == []
    return project


@pytest.fixture
def sealed(template, tmp_path):
    """A project of its own with one sealed run."""
    shutil.copytree(template.root, tmp_path / "copy")
    project = Project(tmp_path / "copy")
    run = project.store.run_dirs()[0]
    for file in run.read_spec()["code"]["files"]:  # copying made two files of each link
        (run.code / file["path"]).unlink()
        os.link(stored(project, run, file["path"]), run.code / file["path"])
    return project, run


def checksums(run):
    return {
        path.relative_to(run.path).as_posix(): sha256_file(path)
        for path in run.path.rglob("*")
        if path.is_file()
    }


def test_a_sealed_run_has_every_file_and_an_inventory_of_them(sealed):
    project, run = sealed
    manifest = run.read_manifest()
    assert (manifest["status"], manifest["grade"], manifest["gaps"]) == ("completed", "B", [])
    assert manifest["attempt"] == 1
    assert manifest["usage"].pop("packages") == {"numpy": version("numpy")}
    assert set(map(len, manifest["usage"].values())) == {0}
    assert sorted(manifest["inventory"]) == sorted(set(checksums(run)) - {"run.json", "_SUCCESS"})
    assert "code/strategies/lib/means.py" in manifest["inventory"]
    assert "results/backtest_results.csv" in manifest["inventory"]
    assert manifest["metrics"]["total_trades"] >= 1
    equity = pl.read_parquet(run.results / "backtest_results.parquet")
    assert equity.height == 40
    assert equity["portfolio_value"][0] == 100_000.0
    assert not inspect_run(run)
    assert (run.code / "strategies/sma.py").read_text() == (
        project.root / "strategies/sma.py"
    ).read_text()
    trials = list((project.store.ledger / "trials").glob("*/*.json"))
    assert [path.stem for path in trials] == [manifest["run_key"]]


def test_results_hold_no_clock_host_or_user(sealed):
    _project, run = sealed
    started = run.read_manifest()["started_at"][:10]
    for path in run.results.rglob("*.json"):
        text = path.read_text()
        assert os.uname().nodename not in text
        assert started not in text


def test_every_stage_leaves_a_sealed_run_as_it_is(sealed):
    project, run = sealed
    before = {name: (run.path / name).stat().st_mtime_ns for name in checksums(run)}
    plan, failed = project.run()
    assert failed == []
    assert plan.runs[0].state == "reused"
    assert {name: (run.path / name).stat().st_mtime_ns for name in checksums(run)} == before


def test_the_captured_copy_is_executed_whatever_happens_to_the_original(project):
    plan = project.plan()
    project.write("strategies/sma.py", "raise SystemExit\n")
    shutil.rmtree(project.root / "strategies/lib")
    _, failed = project.run(plan)
    assert failed == []


@pytest.mark.parametrize(
    "name",
    [
        "code/strategies/lib/means.py",
        "metadata/code_manifest.json",
        "metadata/environment.json",
        "metadata/backtest_metadata.json",
        "results/fills.parquet",
        "results/backtest_results.csv",
        "results/performance-metrics.json",
        "logs/stdout.txt",
    ],
)
def test_each_kind_of_missing_file_is_restored_byte_for_byte(sealed, name):
    project, run = sealed
    before = checksums(run)
    mode = (run.path / name).stat().st_mode
    (run.path / name).unlink()
    with project.executor() as executor:
        stages.restore_run(project.store, run.backtest_id, executor)
    assert checksums(run) == before
    assert (run.path / name).stat().st_mode == mode
    assert (run.path / name).stat().st_mtime_ns <= run.success.stat().st_mtime_ns
    assert not inspect_run(run)


def test_a_run_of_which_everything_but_the_seal_is_gone_is_restored(sealed):
    project, run = sealed
    before = checksums(run)
    for folder in (run.code, run.results, run.logs, run.path / "metadata"):
        shutil.rmtree(folder)
    with project.executor() as executor:
        stages.restore_run(project.store, run.backtest_id, executor)
    assert checksums(run) == before


def test_an_altered_file_stops_every_stage_and_stays(sealed):
    project, run = sealed
    target = run.results / "performance-metrics.json"
    target.write_text("{}")
    with project.executor() as executor:
        for stage in (
            lambda: stages.capture_code(project.store, run.backtest_id),
            lambda: stages.run_backtest(project.store, run.backtest_id, executor),
            lambda: stages.seal_run(project.store, run.backtest_id),
            lambda: stages.restore_run(project.store, run.backtest_id, executor),
            lambda: stages.render_report(project.store, run.backtest_id, project.bundles),
        ):
            with pytest.raises(SealError, match=r"was altered: results/performance-metrics\.json"):
                stage()
    assert target.read_text() == "{}"


def test_a_file_that_cannot_be_made_with_the_same_bytes_is_not_put_back(sealed):
    project, run = sealed
    manifest = run.read_manifest()
    manifest["inventory"]["results/fills.parquet"]["sha256"] = "0" * 64
    seal(run, manifest)
    (run.results / "fills.parquet").unlink()
    with (
        project.executor() as executor,
        pytest.raises(SealError, match=r"was made again with other bytes"),
    ):
        stages.restore_run(project.store, run.backtest_id, executor)
    assert not (run.results / "fills.parquet").exists()


def test_a_lost_manifest_cannot_be_restored_and_says_what_to_do(sealed):
    project, run = sealed
    run.manifest.unlink()
    with project.executor() as executor, pytest.raises(SealError, match=r"has lost its manifest"):
        stages.restore_run(project.store, run.backtest_id, executor)


def test_captured_code_that_was_altered_before_the_run_is_put_back(project):
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    stages.capture_code(project.store, run.backtest_id)
    copy = run.code / "strategies/lib/means.py"
    copy.unlink()
    copy.write_text("def mean(x):\n    return 0.0\n")
    project.run(plan)
    assert is_sealed(run)
    assert "sum(x)" in copy.read_text()


def test_captured_code_that_was_altered_before_the_seal_is_refused(project):
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    stages.capture_code(project.store, run.backtest_id)
    with project.executor() as executor:
        copy = run.code / "strategies/lib/means.py"
        copy.unlink()
        copy.write_text("def mean(x):\n    return 0.0\n")
        stages.run_backtest(project.store, run.backtest_id, executor)
    with pytest.raises(SealError, match=r"strategies/lib/means\.py of run .* was altered before"):
        stages.seal_run(project.store, run.backtest_id)
    assert not is_sealed(run)


@pytest.fixture
def executed(project):
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    stages.capture_code(project.store, run.backtest_id)
    with project.executor() as executor:
        stages.run_backtest(project.store, run.backtest_id, executor)
    return project, run


@pytest.mark.parametrize("name", ["trades.parquet", "performance-metrics.json", "market-data.json"])
def test_a_result_that_was_altered_before_the_seal_is_refused(executed, name):
    project, run = executed
    shutil.copy(run.results / "orders.parquet", run.results / name)
    message = rf"results/{name} of run .* was altered before the seal; delete .*{run.backtest_id} "
    with pytest.raises(SealError, match=message):
        stages.seal_run(project.store, run.backtest_id)
    assert not is_sealed(run)


def test_an_executed_run_that_lost_a_result_is_executed_again_before_its_seal(executed):
    project, run = executed
    before = {path.name: path.read_bytes() for path in run.results.iterdir()}
    (run.results / "trades.parquet").unlink()
    with pytest.raises(SealError, match=r"results/trades\.parquet of run .* was altered before"):
        stages.seal_run(project.store, run.backtest_id)
    with project.executor() as executor:
        stages.run_backtest(project.store, run.backtest_id, executor)
        stages.seal_run(project.store, run.backtest_id)
    assert not inspect_run(run)
    assert {path.name: path.read_bytes() for path in run.results.iterdir()} == before
    assert "written" not in run.read_manifest()


def test_an_executed_run_that_is_whole_is_not_executed_again(executed):
    project, run = executed
    manifest = run.manifest.read_bytes()
    with project.executor() as executor:
        stages.run_backtest(project.store, run.backtest_id, executor)
    assert run.manifest.read_bytes() == manifest


MEANS = "strategies/lib/means.py"


def alter(path, data=b"damaged"):
    """Change a file in place, as an editor does that keeps the inode."""
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(0o444)


def stored(project, run, name=MEANS):
    files = {file["path"]: file["sha256"] for file in run.read_spec()["code"]["files"]}
    return project.store.objects / files[name][:2] / files[name]


@pytest.mark.parametrize("lost", [True, False])
def test_a_planned_run_gets_its_code_when_the_object_was_lost_since(project, lost):
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    thing = stored(project, run)
    thing.unlink() if lost else alter(thing)
    assert project.run(plan)[1] == []
    assert thing.read_bytes() == (project.root / MEANS).read_bytes()
    assert not inspect_run(run)


def test_planning_stores_a_damaged_object_anew(project):
    plan = project.plan()
    thing = stored(project, project.store.run(plan.runs[0].backtest_id))
    alter(thing)
    project.plan()
    assert thing.read_bytes() == (project.root / MEANS).read_bytes()


def test_an_object_is_stored_anew_from_another_run_when_the_project_has_other_code(sealed):
    project, run = sealed
    text = (run.code / MEANS).read_bytes()
    plan = project.plan(seed=9)
    other = project.store.run(next(r.backtest_id for r in plan.runs if r.state == "new"))
    thing = stored(project, run)
    (run.code / MEANS).unlink()
    (run.code / MEANS).write_bytes(text)  # a copy of its own, as after a restore
    alter(thing)
    project.write(MEANS, "def mean(x):\n    return 0.0\n")
    stages.capture_code(project.store, other.backtest_id)
    assert thing.read_bytes() == (other.code / MEANS).read_bytes() == text


def test_code_that_nothing_has_any_more_is_an_error_that_says_where_it_was_looked_for(sealed):
    project, run = sealed
    plan = project.plan(seed=9)
    other = project.store.run(next(r.backtest_id for r in plan.runs if r.state == "new"))
    assert os.path.samefile(run.code / MEANS, stored(project, run))
    alter(stored(project, run))
    project.write(MEANS, "def mean(x):\n    return 0.0\n")
    with pytest.raises(CodeCaptureError) as caught:
        stages.capture_code(project.store, other.backtest_id)
    for place in (
        f"{project.root / MEANS} has",
        f"{run.code / MEANS} has",
        f"{other.code / MEANS} d",
    ):
        assert place in str(caught.value)
    assert not (other.code / MEANS).exists()


def test_a_file_altered_in_place_and_deleted_is_restored_and_its_object_mended(sealed):
    project, run = sealed
    before = checksums(run)
    thing = stored(project, run)
    alter(run.code / MEANS)
    assert thing.read_bytes() == b"damaged", "the copy in the run is a link to the object"
    with project.executor() as executor:
        with pytest.raises(SealError, match=f"was altered: code/{MEANS}"):
            stages.restore_run(project.store, run.backtest_id, executor)
        (run.code / MEANS).unlink()
        stages.restore_run(project.store, run.backtest_id, executor)
    assert checksums(run) == before
    assert thing.read_bytes() == (project.root / MEANS).read_bytes()


def test_mending_an_object_leaves_altered_runs_altered(sealed):
    project, run = sealed
    alter(run.code / MEANS)
    stages.restore_object(project.store, stored(project, run).name)
    assert stored(project, run).read_bytes() == (project.root / MEANS).read_bytes()
    assert (run.code / MEANS).read_bytes() == b"damaged"
    assert inspect_run(run).altered == (f"code/{MEANS}",)


def test_an_object_that_no_run_captured_cannot_be_restored(sealed):
    project, _ = sealed
    with pytest.raises(
        CodeCaptureError, match=f"no run in .* captured a file with sha256 {'0' * 64}"
    ):
        stages.restore_object(project.store, "0" * 64)
    assert not (project.store.objects / "00").exists()


def test_a_csv_twin_is_restored_by_a_batch_that_makes_none(sealed):
    project, run = sealed
    before = checksums(run)
    (run.results / "summary_statistics.csv").unlink()
    with project.executor() as executor:
        executor.csv_twins = False
        stages.restore_run(project.store, run.backtest_id, executor)
    assert checksums(run) == before


def test_a_run_that_was_not_executed_cannot_be_sealed(project):
    plan = project.plan()
    with pytest.raises(SealError, match=r"cannot be sealed: it is not begun; execute it first"):
        stages.seal_run(project.store, plan.runs[0].backtest_id)


FLAKY = functions(
    top="import os\nfrom backtrail.engine.api import order, symbol\n",
    initialize="print('attempt')\nif not os.path.exists({flag!r}):\n    "
    "raise ValueError('not \\udc80 yet')",
)


def test_a_failed_run_keeps_its_reason_and_is_tried_again_under_its_id(project, tmp_path):
    flag = tmp_path / "flag"
    project.write("strategies/sma.py", FLAKY.replace("{flag!r}", repr(str(flag))))
    plan, failed = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    assert failed == [run.backtest_id]
    manifest = run.read_manifest()
    assert (manifest["status"], manifest["grade"], manifest["attempt"]) == ("failed", "D", 1)
    assert manifest["error"]["kind"] == "ValueError"
    assert manifest["error"]["message"] == "not \\udc80 yet"
    assert manifest["error"]["log"] == ["attempt"]
    assert run.failed.read_text().strip() == sha256_file(run.manifest)
    assert not run.results.exists()
    errors = pl.read_parquet(run.errors / "errors.parquet")
    assert errors["kind"].to_list() == ["ValueError"]
    assert "not " in (run.errors / "failed_run.html").read_text()
    assert list((project.store.ledger / "trials").glob("*/*")) == []

    flag.touch()
    again, failed = project.run()
    assert failed == []
    assert again.runs[0].backtest_id == run.backtest_id
    manifest = run.read_manifest()
    assert (manifest["status"], manifest["attempt"], manifest["error"]) == ("completed", 2, None)
    assert not run.failed.exists()
    assert not run.errors.exists()
    assert (run.logs / "attempt-1/stdout.txt").read_text() == "attempt\n"
    assert (run.logs / "stdout.txt").read_text() == "attempt\n"
    assert not any(name.startswith("logs/attempt-") for name in manifest["inventory"])


LATE = functions(top="import sys\n", initialize="if 'late' in sys.path:\n    import late_module")


def test_an_import_found_nowhere_is_told_and_a_guarded_one_is_a_note(project):
    guarded = "try:\n    import gone\nexcept ImportError:\n    gone = None\n"
    project.write("strategies/sma.py", LATE)
    project.write("strategies/calm.py", functions(top=guarded))
    calm = entry(strategy="strategies/calm.py")
    project.configure(batch_config(batch={"sma": entry(), "calm": calm}))
    plan, failed = project.run()
    assert failed == []
    said = "which was found neither in the project nor among installed packages"
    late, calm = (project.store.run(run.backtest_id) for run in plan.runs)
    captured = json.loads(late.code_manifest.read_bytes())
    assert captured["warnings"] == [f"strategies/sma.py:5 imports 'late_module', {said}"]
    captured = json.loads(calm.code_manifest.read_bytes())
    assert captured["warnings"] == []
    assert captured["notes"] == [f"strategies/calm.py:2 imports 'gone', {said}"]
    for run in (late, calm):  # both runs have shown that they needed nothing else
        assert (run.read_manifest()["grade"], run.read_manifest()["gaps"]) == ("B", [])


def test_a_code_manifest_without_notes_is_restored_without_them(sealed):
    project, run = sealed
    spec, former = run.read_spec(), json.loads(run.code_manifest.read_bytes())
    del spec["code"]["notes"], former["notes"]
    manifest = run.read_manifest()
    for path, values in ((run.spec, spec), (run.code_manifest, former)):
        write_json(path, values)
        name = path.relative_to(run.path).as_posix()
        manifest["inventory"][name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
    seal(run, manifest)
    before = checksums(run)
    run.code_manifest.unlink()
    stages.capture_code(project.store, run.backtest_id)
    assert checksums(run) == before


@pytest.mark.parametrize("limit", [{"seconds": 0.3}, {"memory_bytes": 150_000_000}])
def test_a_run_that_outgrows_a_limit_is_a_failed_run(project, limit):
    text = "x = []\nwhile True:\n    x.append(bytes(10**7)) if len(x) < 50 else None"
    project.write("strategies/sma.py", functions(handle_data=text))
    plan, failed = project.run(**limit)
    run = project.store.run(plan.runs[0].backtest_id)
    assert failed == [run.backtest_id]
    assert run.read_manifest()["error"]["kind"] == {"seconds": "timeout"}.get(
        next(iter(limit)), "memory"
    )


def test_equal_runs_in_two_projects_have_equal_results(sealed, tmp_path):
    _, run = sealed
    other = Project.make(tmp_path / "elsewhere" / "project")
    plan, _ = other.run()
    twin = other.store.run(plan.runs[0].backtest_id)
    one, two = run.read_manifest(), twin.read_manifest()
    assert one["run_key"] == two["run_key"]
    assert {k: v for k, v in one["inventory"].items() if k.startswith(("code", "results"))} == {
        k: v for k, v in two["inventory"].items() if k.startswith(("code", "results"))
    }


def test_a_report_is_rendered_outside_the_seal_and_only_when_stale(sealed):
    project, run = sealed
    stages.render_report(project.store, run.backtest_id, project.bundles)
    page = run.reports / "basic_report.html"
    assert run.backtest_id in page.read_text()
    assert not inspect_run(run)
    before = page.stat().st_mtime_ns
    stages.render_report(project.store, run.backtest_id, project.bundles, only_stale=True)
    assert page.stat().st_mtime_ns == before
    page.write_text("edited")
    stages.render_report(project.store, run.backtest_id, project.bundles, only_stale=True)
    assert page.read_text() != "edited"


def test_the_advanced_report_stands_beside_the_basic_one_and_counts_the_trials(sealed):
    project, run = sealed
    both = ReportConfig(kinds=("basic", "advanced"), theme="dark")
    pages = stages.render_report(project.store, run.backtest_id, project.bundles, config=both)
    assert [page.name for page in pages] == ["basic_report.html", "advanced_report.html"]
    text = pages[1].read_text()
    said = "1 parameter set of this strategy file in 1 run on this dataset, when this page was made"
    assert said in text
    assert said in pages[0].read_text()
    assert 'data-theme="dark"' in text
    record = json.loads((run.reports / "reports.json").read_bytes())
    assert [item["name"] for item in record] == ["advanced_report.html", "basic_report.html"]
    assert record[0]["sha256"] == sha256_file(pages[1])
    assert record[0]["trials"] == said
    assert not inspect_run(run)
    before = pages[1].read_bytes()
    stages.render_report(project.store, run.backtest_id, project.bundles)
    kept = json.loads((run.reports / "reports.json").read_bytes())
    assert kept[0] == record[0], "a page that was not asked for keeps its record"
    assert kept[1]["config"]["theme"] == "auto"
    pages[1].write_text("edited")
    assert stages.render_report_again(project.store, run.backtest_id, project.bundles) == (
        run.reports / "basic_report.html",
        pages[1],
    )
    assert pages[1].read_bytes() == before, "as it was chosen, in the dark theme"


def test_looks_of_the_ledger_stand_on_pages_made_later_and_make_earlier_ones_stale(sealed):
    project, run = sealed
    every = ReportConfig(kinds=("basic", "advanced"))
    pages = stages.render_report(project.store, run.backtest_id, project.bundles, config=every)
    assert not any("data-looks" in page.read_text() for page in pages)
    identity = run.read_spec()["identity"]
    dataset = identity["dataset"]["dataset_id"]
    look = {
        "family": identity["strategy"]["entry"],
        "start": identity["start"],
        "end": "2030-01-01",
    }
    for number, family in ((1, look["family"]), (2, look["family"]), (1, "strategies/other.py")):
        record = {**look, "family": family, "look": number, "run_key": "0" * 64}
        name = f"{number}{Path(family).stem}.json"
        write_json(project.store.holdout_looks(dataset) / name, record)
    again = stages.render_report_again(project.store, run.backtest_id, project.bundles)
    assert again == pages
    for page in pages:
        text = page.read_text()
        assert 'data-looks="2" data-contaminated="yes"' in text
        assert "2 looks, seen in 1 run, contaminated" in text, "and the run itself shows them"
    kept = json.loads((run.reports / "reports.json").read_bytes())
    assert [item["holdout"] for item in kept] == ["2 looks, seen in other runs, contaminated"] * 2
    link_catalog(f"sqlite:///{project.root}/catalog.sqlite", project.store, project.bundles)
    render_store_index(project.store, project.bundles)
    assert '"looks":{"0":[2,1,1]}' in project.store.index.read_text()
    assert not inspect_run(run), "the sealed run is as it was"


def test_nothing_is_rendered_from_an_altered_result(sealed):
    project, run = sealed
    trades = run.results / "trades.parquet"
    trades.write_bytes(trades.read_bytes() + b" ")
    with pytest.raises(SealError, match=r"results/trades\.parquet"):
        stages.render_run(project.store, run.backtest_id, project.bundles, config=ReportConfig())
    assert not run.reports.exists()


def test_the_page_of_a_failed_run_is_rendered_anew_and_of_an_unfinished_one_none(project):
    project.write("strategies/sma.py", functions(initialize="raise ValueError('<b>no</b>')"))
    plan, _ = project.run()
    run = project.store.run(plan.runs[0].backtest_id)
    page = run.errors / "failed_run.html"
    page.unlink()
    made = stages.render_run(
        project.store, run.backtest_id, project.bundles, config=ReportConfig(theme="dark")
    )
    assert made == (page,)
    assert 'data-theme="dark"' in page.read_text()
    assert "ValueError" in page.read_text()
    run.failed.unlink()
    with pytest.raises(ArtifactManagerError, match="is not finished and has nothing to report"):
        stages.render_run(project.store, run.backtest_id, project.bundles, config=ReportConfig())


def test_the_error_of_a_failed_run_is_raised_with_everything_to_act_on(project):
    project.write("strategies/sma.py", functions(initialize="print('so far')\n1 / 0"))
    plan = project.plan()
    backtest_id = plan.runs[0].backtest_id
    stages.capture_code(project.store, backtest_id)
    with project.executor() as executor, pytest.raises(RunFailedError) as caught:
        stages.run_backtest(project.store, backtest_id, executor)
    text = str(caught.value)
    assert text.startswith(f"run {backtest_id} (sma) failed: ZeroDivisionError: division by zero\n")
    assert 'File "strategies/sma.py"' in text
    assert text.endswith(f"its logs are in {project.store.run(backtest_id).logs}")


def test_a_run_that_failed_before_it_began_promises_no_logs(project):
    plan = project.plan()
    backtest_id = plan.runs[0].backtest_id
    stages.capture_code(project.store, backtest_id)
    shutil.rmtree(project.bundles / "prices")
    with project.executor() as executor, pytest.raises(RunFailedError) as caught:
        stages.run_backtest(project.store, backtest_id, executor)
    assert not project.store.run(backtest_id).logs.exists()
    assert str(caught.value).endswith("It is catalogued")


def test_the_environment_and_metadata_say_what_the_run_was(sealed):
    _, run = sealed
    metadata = json.loads(run.metadata.read_bytes())
    assert metadata["backtest_id"] == run.backtest_id
    assert metadata["captured_files"] == [
        "strategies/lib/__init__.py",
        "strategies/lib/means.py",
        "strategies/sma.py",
    ]
    assert metadata["data_bundle_info"]["bundle_name"] == "prices"
    assert metadata["parameters"] == {"fast": 3, "slow": 8}
    assert json.loads(run.environment.read_bytes())["packages"]["numpy"]


def test_a_benchmark_outside_the_universe_is_read_as_well(project):
    project.configure(batch_config(batch={"sma": entry(benchmark="BBB")}))
    plan, failed = project.run()
    assert failed == []
    run = project.store.run(plan.runs[0].backtest_id)
    equity = pl.read_parquet(run.results / "backtest_results.parquet")
    prices = (project.root / "prices/BBB.csv").read_text().splitlines()
    first, second = (float(line.split(",")[4]) for line in prices[1:3])
    assert equity["benchmark_returns"][1] == pytest.approx(second / first - 1)
