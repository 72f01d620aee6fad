import json
import logging
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from backtrail import run_algorithm
from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.rundir import RunDir
from backtrail.backtest import BacktestArtifactManager, DataCatalog, compare_backtests
from backtrail.batch import stages
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.planning.loading import open_batch
from backtrail.batch.planning.plan import make_plan
from backtrail.data.lock import lock_bundles
from backtrail.data.manifest import read_head
from backtrail.errors import (
    ArtifactManagerError,
    BundleLockError,
    ConfigError,
    RunFailedError,
    StrategyError,
)
from tests.projects import write_prices
from tests.unit.batch.support import batch_config, functions

from .project import WINDOW, ScriptProject, manifest


def run_sma(project, **changes):
    return run_algorithm(project.sma, **{**WINDOW, "symbols": ["AAA"], **changes})


def catalogued(project):
    return DataCatalog(base_dir=project.root / "backtests", bundles_dir=project.root / "bundles")


# The same run as a batch's


def run_batch(project):
    """Take the project's batch through its stages, as Snakemake does; return its only run."""
    plan = make_plan(open_batch([project.root / "config/config.yaml"], root=project.root))
    (planned,) = plan.runs
    with Executor(project.root / "bundles", Limits(), csv_twins=True) as executor:
        stages.capture_code(project.store, planned.backtest_id)
        stages.run_backtest(project.store, planned.backtest_id, executor)
        stages.seal_run(project.store, planned.backtest_id)
    return planned


def test_a_script_finds_the_run_of_a_batch_and_a_batch_that_of_a_script(project, tmp_path):
    shutil.copytree(project.root, tmp_path / "other")
    other = ScriptProject(tmp_path / "other")
    planned = run_batch(project)
    found = run_sma(project)
    assert (found.backtest_id, found.reused) == (planned.backtest_id, True)
    first = run_sma(other)
    assert not first.reused
    again = run_batch(other)
    assert (again.backtest_id, again.state) == (first.backtest_id, "reused")
    assert manifest(first.output_dir)["run_key"] == manifest(found.output_dir)["run_key"]
    assert first.performance.equals(found.performance)


def test_a_call_keeps_to_the_lock_and_reads_a_dataset_that_the_config_names(project):
    lock_bundles(project.root, project.root / "bundles", ["prices"])
    locked = read_head(project.root / "bundles", "prices")
    first = run_sma(project)
    write_prices(project.root / "prices", sessions=41)
    with pytest.raises(BundleLockError, match="2 bars added: AAA 2020-02-27; BBB 2020-02-27"):
        run_sma(project)
    with pytest.raises(BundleLockError):
        run_sma(project, enabled=False)
    config = batch_config()
    config["bundles"]["prices"] = {**config["bundles"]["prices"], "dataset": locked}
    project.configure(config)
    again = run_sma(project)
    assert (again.backtest_id, again.reused) == (first.backtest_id, True)


def test_settings_of_the_projects_config_hold_unless_the_call_says_otherwise(project):
    costly = {"model": "per_dollar", "cost": 0.01}
    project.configure(
        batch_config(defaults={"commission": costly, "benchmark": "BBB", "capital_base": 5000})
    )
    identity = manifest(run_sma(project).output_dir)["identity"]
    assert identity["commission"] == {"model": "per_dollar", "cost": "0.01"}
    assert (identity["benchmark"], identity["capital_base"]) == ("BBB", "5000")
    assert run_batch(project).state == "reused"
    changed = run_sma(
        project, commission={"model": "none"}, benchmark=None, capital_base=Decimal("7000.50")
    )
    identity = manifest(changed.output_dir)["identity"]
    assert identity["commission"]["model"] == "none"
    assert (identity["benchmark"], identity["capital_base"]) == (None, "7000.5")


def test_every_file_of_a_run_lies_where_a_batch_puts_it(project):
    result = run_sma(project)
    run = RunDir(result.output_dir)
    assert not inspect_run(run)
    listed = set(manifest(result.output_dir)["inventory"])
    assert {
        "code/strategies/sma.py",
        "code/strategies/lib/means.py",
        "metadata/run_spec.json",
        "metadata/code_manifest.json",
        "metadata/environment.json",
        "metadata/backtest_metadata.json",
        "results/backtest_results.parquet",
        "results/backtest_results.csv",
        "results/summary_statistics.csv",
        "results/trades.parquet",
    } <= listed
    assert result.output_dir.parent == project.root / "backtests"


# Equal content


def test_the_same_call_again_executes_nothing(project):
    first = run_sma(project)
    before = {path: path.stat().st_mtime_ns for path in first.output_dir.rglob("*")}
    second = run_sma(project)
    assert (second.backtest_id, second.reused) == (first.backtest_id, True)
    assert {path: path.stat().st_mtime_ns for path in second.output_dir.rglob("*")} == before


def test_another_parameter_is_another_run_and_a_default_is_not(project):
    first = run_sma(project)
    assert run_sma(project, params={"fast": 3}).backtest_id == first.backtest_id
    other = run_sma(project, params={"fast": np.int64(4)})
    assert other.backtest_id != first.backtest_id
    assert manifest(other.output_dir)["identity"]["params"] == {"fast": 4, "slow": 8}


def test_a_changed_helper_is_another_run(project):
    """Guards defect 1 of known-defects.md: imported local modules were not captured."""
    first = run_sma(project)
    project.write("strategies/lib/means.py", "def mean(x):\n    return float(max(x))\n")
    second = run_sma(project)
    assert second.backtest_id != first.backtest_id
    kept = (first.output_dir / "code/strategies/lib/means.py").read_text()
    assert "sum(x)" in kept


def test_a_missing_file_of_a_run_is_put_back(project):
    result = run_sma(project)
    path = result.output_dir / "results/trades.parquet"
    before = path.read_bytes()
    path.unlink()
    again = run_sma(project)
    assert again.reused
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "day",
    [
        "2020-01-02",
        "2020-01-02T00:00:00Z",
        date(2020, 1, 2),
        datetime(2020, 1, 2, tzinfo=UTC),
        np.datetime64("2020-01-02").item(),
    ],
)
def test_a_day_may_be_written_in_every_usual_way(project, day):
    result = run_sma(project, start=day)
    assert manifest(result.output_dir)["identity"]["start"] == "2020-01-02"


# Where


def test_nothing_depends_on_the_working_directory(project, tmp_path, monkeypatch):
    """Guards R007 and R234: stray files beside notebooks, folders beside scripts."""
    nested = project.root / "notebooks/january"
    nested.mkdir(parents=True)
    monkeypatch.chdir(nested)
    before = project.files()
    inside = run_sma(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    outside = run_sma(project)
    assert inside.output_dir.parent == project.root / "backtests"
    assert (outside.backtest_id, outside.reused) == (inside.backtest_id, True)
    assert project.files() == before
    assert list(nested.iterdir()) == list(elsewhere.iterdir()) == []


def test_without_marker_files_the_strategys_folder_is_the_project(project, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(project.hold, alone / "hold.py")
    shutil.copytree(project.root / "bundles", alone / "bundles")
    result = run_algorithm(alone / "hold.py", **WINDOW)
    assert result.output_dir.parent == alone / "backtests"
    assert (result.output_dir / "code/hold.py").read_text() == project.hold.read_text()


def test_a_base_directory_may_be_named_by_argument_and_by_config(project, tmp_path):
    absolute = run_sma(project, base_dir=tmp_path / "mine")
    assert absolute.output_dir.parent == tmp_path / "mine"
    relative = run_sma(project, base_dir="store/runs")
    assert relative.output_dir.parent == project.root / "store/runs"
    configured = run_sma(project, config={"backtest_output": {"base_dir": str(tmp_path / "cfg")}})
    assert configured.output_dir.parent == tmp_path / "cfg"
    assert not (project.root / "backtests").exists()
    with pytest.raises(ValueError, match="Invalid base directory"):
        run_sma(project, base_dir="../outside")


def test_scripts_find_the_runs_where_the_projects_config_puts_them(project, monkeypatch):
    sections = {
        "backtest_output": {"base_dir": "runs"},
        "storage": {"catalog_url": "sqlite:///x.db"},
    }
    project.configure(batch_config(**sections))
    monkeypatch.chdir(project.root / "strategies")
    result = run_sma(project)
    assert result.output_dir.parent == project.root / "runs"
    opened = BacktestArtifactManager.from_backtest_id(result.backtest_id)
    assert opened.output_dir == result.output_dir
    assert compare_backtests([result.backtest_id])["strategy"].to_list() == ["strategies/sma.py"]
    with DataCatalog() as catalog:
        assert catalog.link_backtest(result.backtest_id) == ["prices"]
    assert (project.root / "x.db").is_file()
    assert not (project.root / "backtests").exists()


def test_another_config_file_may_be_named(project):
    project.write("config/cheap.yaml", "seed: 5\ndefaults: {capital_base: 777}\nbundles: {}\n")
    shutil.rmtree(project.root / "bundles/other", ignore_errors=True)
    identity = manifest(run_sma(project, config="config/cheap.yaml", bundle="prices").output_dir)[
        "identity"
    ]
    assert (identity["seed"], identity["capital_base"]) == (5, "777")


# The bundle


def test_a_bundle_that_is_defined_and_not_ingested_is_ingested(tmp_path):
    project = ScriptProject.make(tmp_path / "fresh")
    result = run_sma(project)
    assert (project.root / "bundles/prices/HEAD.json").is_file()
    assert result.performance.height == 40


def test_the_bundle_that_was_used_is_named_and_no_other(project):
    """Guards defects 4, 5 of known-defects.md: the wrong bundle in the metadata, no link."""
    project.write(
        "later/AAA.csv", (project.root / "prices/AAA.csv").read_text().replace(",1039", ",999")
    )
    second = {"adapter": "csv", "path": "later", "calendar": "24/5", "timeframe": "1d"}
    bundles = {**batch_config()["bundles"], "later": second}
    project.configure(batch_config(bundles=bundles))
    run_sma(project, bundle="later")
    result = run_sma(project, bundle="prices")
    metadata = result.artifact_manager.load_metadata()
    assert metadata["data_bundle_info"]["bundle_name"] == "prices"
    dataset = metadata["data_bundle_info"]["dataset_ids"]
    assert dataset == [
        json.loads((project.root / "bundles/prices/HEAD.json").read_bytes())["dataset_id"]
    ]
    with catalogued(project) as catalog:
        assert catalog.get_bundles_for_backtest(result.backtest_id) == ["prices"]
        assert catalog.get_datasets_for_backtest(result.backtest_id) == dataset


def test_a_new_source_is_a_new_dataset_and_a_new_run(project):
    """Guards defect 14 of known-defects.md: one call gave other numbers under one name."""
    first = run_sma(project)
    path = project.root / "prices/AAA.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    second = run_sma(project, start="2020-01-03")
    datasets = [manifest(item.output_dir)["identity"]["dataset"] for item in (first, second)]
    assert datasets[0] != datasets[1]


def test_a_source_that_is_gone_leaves_the_dataset_as_it_is(project, caplog):
    shutil.rmtree(project.root / "prices")
    with caplog.at_level(logging.WARNING):
        assert run_sma(project).performance.height == 40
    assert "bundle prices stays at dataset" in caplog.text


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("prcies", "there is no bundle 'prcies' in .*; did you mean 'prices'"),
        ("quandl", "there is no bundle 'quandl' in .*; its bundles are: prices"),
    ],
)
def test_a_bundle_that_is_not_there_is_named(project, named, message):
    with pytest.raises(ConfigError, match=message):
        run_sma(project, bundle=named)


def test_of_several_bundles_none_is_chosen(project):
    shutil.copytree(project.root / "bundles/prices", project.root / "bundles/more")
    with pytest.raises(ConfigError, match="no bundle was named; its bundles are: more, prices"):
        run_sma(project)


# The catalog


def test_a_run_is_in_the_catalog_at_once(project):
    result = run_sma(project)
    with catalogued(project) as catalog:
        assert catalog.get_backtests_using_bundle("prices") == [result.backtest_id]
    frame = pl.read_parquet(project.root / "backtests/runs.parquet")
    assert frame["backtest_id"].to_list() == [result.backtest_id]


def test_a_catalog_that_cannot_be_reached_leaves_the_run_whole(project, caplog):
    storage = {"catalog_url": "sqlite:////proc/nothing/catalog.sqlite"}
    with caplog.at_level(logging.WARNING):
        result = run_sma(project, config={"storage": storage})
    assert "catalog" in caplog.text
    assert not inspect_run(RunDir(result.output_dir))


def test_a_relative_catalog_lies_in_the_project(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project.configure(batch_config(storage={"catalog_url": "sqlite:///mine.sqlite"}))
    result = run_sma(project)
    assert (project.root / "mine.sqlite").is_file()
    assert result.artifact_manager.link_backtest_to_bundles() == ["prices"]
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


# Ids


def test_a_run_may_have_an_id_of_ones_own(project):
    result = run_sma(project, backtest_id="first-try")
    assert result.backtest_id == result.output_dir.name == "first-try"
    assert manifest(result.output_dir)["backtest_id"] == "first-try"
    assert not inspect_run(RunDir(result.output_dir))
    with catalogued(project) as catalog:
        assert catalog.get_backtests_using_bundle("prices") == ["first-try"]


def test_a_batch_reuses_a_run_with_an_id_of_ones_own(project):
    result = run_sma(project, backtest_id="first-try")
    planned = run_batch(project)
    assert (planned.backtest_id, planned.state) == (result.backtest_id, "reused")


def test_equal_content_keeps_the_id_it_has(project, caplog):
    first = run_sma(project)
    with caplog.at_level(logging.WARNING):
        second = run_sma(project, backtest_id="mine")
    assert second.backtest_id == first.backtest_id
    assert "the id mine is not given" in caplog.text
    assert not (first.output_dir.parent / "mine").exists()


def test_an_id_of_another_run_is_refused(project):
    run_sma(project, backtest_id="mine")
    with pytest.raises(ArtifactManagerError, match="the id mine is taken"):
        run_sma(project, backtest_id="mine", params={"fast": 4})
    assert sorted(run.backtest_id for run in project.store.run_dirs()) == ["mine"]


def test_an_id_that_is_no_name_is_refused_before_anything_is_made(project):
    with pytest.raises(ValueError, match="invalid backtest id"):
        run_sma(project, backtest_id="../mine")
    assert not (project.root / "backtests").exists()


# Failing


def test_a_failing_strategy_is_a_run_with_its_reason(project):
    """Guards defect 8 of known-defects.md: a directory without metadata, status or error."""
    strategy = project.write(
        "strategies/bad.py", functions(handle_data="raise ValueError('out of luck')")
    )
    with pytest.raises(RunFailedError, match="ValueError: out of luck") as caught:
        run_algorithm(strategy, **WINDOW)
    run = project.store.run(caught.value.backtest_id)
    assert run.read_manifest()["status"] == "failed"
    assert json.loads(run.metadata.read_bytes())["error"]["message"] == "out of luck"
    frame = pl.read_parquet(project.root / "backtests/runs.parquet")
    assert frame.select("backtest_id", "status", "error_kind").rows() == [
        (run.backtest_id, "failed", "ValueError")
    ]


def test_a_path_written_as_from_the_project_is_told_as_from_here(project, monkeypatch):
    folder = project.root / "notebooks/january"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    with pytest.raises(FileNotFoundError) as missing:
        run_algorithm("strategies/sma.py", **WINDOW)
    assert str(missing.value).endswith("directory: write ../../strategies/sma.py")
    with pytest.raises(FileNotFoundError) as missing:
        run_algorithm("strategies/smaa.py", **WINDOW)
    assert str(missing.value).endswith("strategies/smaa.py)")
    assert run_algorithm("../../strategies/sma.py", **WINDOW).grade == "B"


def test_a_mended_strategy_is_another_run(project):
    strategy = project.write("strategies/bad.py", functions(handle_data="raise ValueError"))
    with pytest.raises(RunFailedError):
        run_algorithm(strategy, **WINDOW)
    project.write("strategies/bad.py", functions())
    assert run_algorithm(strategy, **WINDOW).grade == "B"
    assert len(project.store.run_dirs()) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"start": "2020-02-30"},
            r"start: '2020-02-30' is not a date .*; write it as 2020-12-31",
        ),
        ({"start": datetime(2020, 1, 2, 9, 30, tzinfo=UTC)}, "has a time of day"),
        ({"end": None}, "run_algorithm: end: None is no date"),
        ({"start": "2020-02-26", "end": "2020-01-02"}, "is after end"),
        ({"start": "2010-01-01"}, "run_algorithm: start: 2010-01-01 is before the first bar"),
        ({"symbols": ["XXX"]}, r"run_algorithm: symbols: bundle 'prices' has no symbol 'XXX'"),
        ({"benchmark": "XXX"}, r"run_algorithm: benchmark: .*no symbol 'XXX'"),
        ({"params": {"fats": 3}}, r"run_algorithm: params: .*unknown parameter 'fats'"),
        ({"params": {"fast": 9}}, r"fast=9 must be below slow=8"),
        ({"params": {"fast": object()}}, r"run_algorithm: params\.fast"),
        ({"capital_base": -1}, r"run_algorithm: capital_base"),
        ({"commission": {"model": "per_ton"}}, r"commission\.model.*per_dollar"),
        ({"commission": {"model": "none", "cost": 0.1}}, "name a model or drop the cost"),
        ({"fill": "last"}, r"run_algorithm: fill: .*next_open"),
        (
            {"slippage": {"model": "fixed", "spread": 1, "price_impact": 1}},
            "run_algorithm: slippage: model fixed has the price_impact 1; name a model or drop",
        ),
        ({"margin": {"initial": 0.2, "maintenance": 0.5}}, "0.5 is above initial 0.2"),
        ({"instruments": {"AAA": {"lot": 0.5}}}, "run_algorithm: instruments: AAA has the lot 0.5"),
        ({"config": {"backtest_ouput": {}}}, r"run_algorithm: config\.backtest_ouput"),
        ({"config": {"backtest_output": {"enabled": "no"}}}, "write true or false"),
        ({"config": "config/absent.yaml"}, "there is no such file"),
    ],
)
def test_a_mistake_in_the_call_is_named_before_anything_is_made(project, changes, message):
    with pytest.raises(ConfigError, match=message):
        run_sma(project, **changes)
    assert not (project.root / "backtests").exists()


def test_every_mistake_is_named_at_once(project):
    with pytest.raises(ConfigError) as caught:
        run_sma(project, start="yesterday", capital_base=0, fill="now")
    assert sorted(item.where for item in caught.value.problems) == [
        "run_algorithm: capital_base",
        "run_algorithm: fill",
        "run_algorithm: start",
    ]


def test_a_strategy_file_that_is_none_is_named(project):
    with pytest.raises(FileNotFoundError, match=r"strategy file .*absent\.py does not exist"):
        run_algorithm(project.root / "strategies/absent.py", **WINDOW)
    with pytest.raises(ValueError, match="invalid strategy path"):
        run_algorithm(project.root / "strategies", **WINDOW)
    with pytest.raises(ValueError, match=r"ending in \.py or \.ipynb"):
        run_algorithm(project.root / "config/config.yaml", **WINDOW)


def test_a_file_that_follows_no_form_is_named_and_makes_no_run(project):
    strategy = project.write("strategies/none.py", "x = 1\n")
    with pytest.raises(ConfigError, match=r"run_algorithm: strategy: .*has no entry point"):
        run_algorithm(strategy, **WINDOW)
    assert project.store.run_dirs() == []


def test_a_call_without_a_strategy_or_with_two_is_refused(project):
    with pytest.raises(StrategyError, match="a run needs one strategy, and nothing was passed"):
        run_algorithm(**WINDOW)
    with pytest.raises(StrategyError, match="both strategy_file and handle_data"):
        run_algorithm(project.sma, handle_data=print, **WINDOW)
    with pytest.raises(StrategyError, match="initialize was passed without handle_data"):
        run_algorithm(initialize=print, **WINDOW)


@pytest.mark.parametrize("mode", ["all", "", 3])
def test_an_unknown_capture_mode_is_refused(project, mode):
    with pytest.raises((ValueError, ConfigError)):
        run_sma(project, code_capture_mode=mode)
    assert not (project.root / "backtests").exists()
