from xml.etree import ElementTree

import polars as pl
import pytest

from backtrail import run_algorithm
from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.rundir import RunDir
from backtrail.backtest import BacktestArtifactManager, BacktestResult
from backtrail.batch.history.verifying import verify_runs
from backtrail.errors import ArtifactManagerError, RunNotFoundError, SealError

from .project import WINDOW


@pytest.fixture(scope="module")
def finished(ingested, tmp_path_factory):
    import shutil

    from .project import ScriptProject

    root = tmp_path_factory.mktemp("result") / "project"
    shutil.copytree(ingested.root, root)
    project = ScriptProject(root)
    return project, run_algorithm(project.sma, **WINDOW, symbols=["AAA"])


@pytest.fixture
def result(finished):
    return finished[1]


def test_a_result_says_what_came_out_and_where_it_lies(result):
    assert result.backtest_id == result.output_dir.name
    assert result.artifact_manager.backtest_id == result.backtest_id
    assert (result.grade, result.gaps, result.reused) == ("B", (), False)
    assert result.metrics["total_trades"] == float(result.trades.height) == 3.0
    text = repr(result)
    for part in (result.backtest_id, "grade B", "total_trades=3", str(result.output_dir)):
        assert part in text


def test_a_notebook_shows_the_curve_and_figures_with_their_assumptions(result):
    page = result._repr_html_()
    root = ElementTree.fromstring(page.replace("<br>", "<br/>"))
    cells = [[cell.text for cell in row] for row in root.iter("tr")]
    told = {row["metric"]: row for row in result.summary.iter_rows(named=True)}
    growth = result.performance["portfolio_value"][-1] / 100_000 - 1
    assert cells[0] == ["Total return", f"{growth * 100:.2f}%", "compounded over all bars"]
    assert ["Trades", "3", told["total_trades"]["assumption"]] in cells
    assert root.find("b").text == f"{result.backtest_id}, grade B"
    assert root.find("small").text == str(result.output_dir)
    (svg,) = (node for node in root.iter() if node.tag.endswith("svg"))
    lines = [node for node in svg if node.tag.endswith("polyline")]
    assert len(lines) == 2  # drawdown and equity; there is no benchmark
    assert len(lines[-1].get("points").split()) == result.performance.height


def test_a_run_that_is_not_kept_is_shown_too_and_its_words_are_no_markup(project):
    result = run_algorithm(project.hold, **WINDOW, enabled=False, benchmark="AAA")
    page = result._repr_html_()
    assert "<b>not kept</b><br><small></small>" in page
    assert page.count("<polyline") == 3
    evil = result.summary.with_columns(assumption=pl.lit("<script>alert(1)</script>"))
    marked = BacktestResult(
        metrics={}, tables={"summary": evil, "backtest_results": result.performance}
    )
    assert "<script" not in marked._repr_html_()


def test_tables_are_frames_with_their_declared_columns(result):
    assert result.performance.columns == [
        "timestamp", "portfolio_value", "cash", "positions_value", "gross_exposure",
        "net_exposure", "returns", "drawdown", "benchmark_returns",
    ]  # fmt: skip
    assert result.performance.height == 40
    assert result.performance["portfolio_value"][0] == 100_000.0
    assert result.fills["reason"].unique().to_list() == ["order"]
    assert result.orders.filter(status="filled").height == result.fills.height == 7
    assert result.positions.height == 7
    assert result.recorded.height == 0
    assert result.summary.filter(metric="total_trades")["value"].to_list() == [3.0]
    assert result.table("corporate_actions").height == 0


def test_a_table_that_does_not_exist_is_named_with_those_that_do(result):
    with pytest.raises(FileNotFoundError, match=r"no table 'trade'; its tables are .*, trades"):
        result.table("trade")
    for write in (result.to_csv, result.to_parquet):
        with pytest.raises(RunNotFoundError, match=r"^run \S+ has no table 'trade'; its tables"):
            write(table="trade")


def test_exports_lie_outside_the_seal(finished):
    project, result = finished
    exports = result.output_dir / "results/exports"
    assert result.to_csv() == exports / "backtest_results.csv"
    assert result.to_csv("trades.csv", table="trades") == exports / "trades.csv"
    assert result.to_parquet("deep/mine.parquet", table="fills") == exports / "deep/mine.parquet"
    assert pl.read_csv(exports / "trades.csv").height == 3
    assert pl.read_parquet(exports / "deep/mine.parquet").equals(result.fills)
    assert not inspect_run(RunDir(result.output_dir))
    (verified,) = verify_runs(project.store, [RunDir(result.output_dir)]).runs
    assert verified.state == "intact"


def test_an_absolute_export_goes_where_it_says(result, tmp_path):
    path = result.to_csv(tmp_path / "sub" / "mine.csv")
    assert path == tmp_path / "sub" / "mine.csv"
    frame = pl.read_csv(path)
    assert frame["timestamp"][0] == "2020-01-02T00:00:00Z"
    assert frame["portfolio_value"].to_list() == result.performance["portfolio_value"].to_list()


@pytest.mark.parametrize("path", ["../x.csv", "a/../../x.csv", ".hidden", "a/.hidden/x.csv", ""])
def test_an_export_that_leads_out_of_the_run_is_refused(result, path):
    with pytest.raises(ValueError, match="cannot be the name of an artifact"):
        result.to_csv(path)


def test_an_export_that_cannot_be_written_says_why(result, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"cannot write .*/file/x\.csv: File exists"):
        result.to_csv(tmp_path / "file" / "x.csv")
    with pytest.raises(ArtifactManagerError, match="a file is in its place"):
        result.to_parquet(tmp_path / "file" / "x.parquet")


def test_a_result_is_read_again_from_its_directory(finished):
    project, result = finished
    manager = BacktestArtifactManager.from_backtest_id(
        result.backtest_id, project.root / "backtests"
    )
    again = BacktestResult.of_run(manager, bundles_dir=project.root / "bundles")
    assert again.metrics == result.metrics
    assert again.trades.equals(result.trades)


def test_a_run_that_is_not_finished_has_no_result(tmp_path):
    manager = BacktestArtifactManager(tmp_path)
    with pytest.raises(ArtifactManagerError, match="is not finished"):
        BacktestResult.of_run(manager, bundles_dir=tmp_path)


def test_the_report_of_a_run_is_rendered_when_it_is_asked_for(result):
    page = result.output_dir / "results/reports/basic_report.html"
    assert not page.exists()
    assert result.render_report() == page
    assert result.backtest_id in page.read_text()
    made = page.stat().st_mtime_ns
    result.render_report()
    assert page.stat().st_mtime_ns == made
    assert not inspect_run(RunDir(result.output_dir))


def test_an_altered_run_gives_no_report_and_no_second_result(project):
    result = run_algorithm(project.sma, **WINDOW, symbols=["AAA"])
    path = result.output_dir / "results/fills.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(SealError, match=r"was altered: results/fills\.parquet"):
        run_algorithm(project.sma, **WINDOW, symbols=["AAA"])
    with pytest.raises(SealError, match="was altered"):
        result.render_report()


def test_a_sealed_run_is_read_through_its_manager_and_not_written(result):
    manager = result.artifact_manager
    assert manager.is_sealed
    path = manager.get_result_path("backtest_results.parquet")
    assert pl.read_parquet(path).equals(result.performance)
    assert path in manager.list_result_files()
    assert manager.load_metadata()["status"] == "completed"
    for work in (manager.generate_metadata, lambda: manager.save_metadata({})):
        with pytest.raises(ArtifactManagerError, match="is sealed, and its files are its own"):
            work()
    manager.get_result_path("mine.csv", subfolder="absent")
    assert not (manager.results_dir / "absent").exists()
