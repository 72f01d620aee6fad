import json
from pathlib import Path

import polars as pl
import pytest
from batch.support import Project, batch_config, entry

from backtrail import compare_backtests
from backtrail.artifacts.manifest import inspect_run
from backtrail.errors import ArtifactManagerError, SealError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with two runs of one strategy and one that failed."""
    project = Project.make(tmp_path_factory.mktemp("reports") / "project")
    project.write("strategies/bad.py", "raise ValueError('no luck')\n")
    bad = entry(strategy="strategies/bad.py")
    batch = {"sma": entry(), "slow": entry(params={"fast": 4}), "bad": bad}
    project.configure(batch_config(batch=batch))
    project.run()
    return project


@pytest.fixture
def ids(made):
    return {run.read_spec()["labels"]["names"][0]: run.backtest_id for run in made.store.run_dirs()}


def test_report_makes_what_the_config_asks_for_and_prints_where_it_is(call, ids):
    status, out, err = call("report", ids["sma"], ids["slow"])
    assert (status, err) == (0, "")
    pages = [Path(line) for line in out.splitlines()]
    assert [(page.parents[2].name, page.name) for page in pages] == [
        (ids[name], f"{kind}_report.html")
        for name in ("sma", "slow")
        for kind in ("basic", "advanced")
    ]
    for page in pages:
        assert page.parents[2].name in page.read_text()


def test_kind_and_theme_of_the_call_have_more_weight_than_the_config(call, ids):
    status, out, _ = call("report", ids["sma"], "--kind", "advanced", "--theme", "light", "--json")
    (page,) = json.loads(out)[ids["sma"]]
    assert status == 0
    assert page.endswith("advanced_report.html")
    assert 'data-theme="light"' in Path(page).read_text()


def test_a_pdf_stands_beside_the_pages(call, ids, made):
    status, out, err = call("report", ids["slow"], "--kind", "pdf")
    page = Path(out.strip())
    assert (status, err, page.name) == (0, "", "basic_report.pdf")
    assert page.read_bytes().startswith(b"%PDF-")
    record = json.loads((page.parent / "reports.json").read_bytes())
    assert "basic_report.pdf" in [item["name"] for item in record]
    assert not inspect_run(made.store.run(ids["slow"]))


def test_a_failed_run_has_its_page_and_an_unknown_one_an_error(call, ids):
    status, out, _ = call("report", ids["bad"])
    assert (status, Path(out.strip()).name) == (0, "failed_run.html")
    assert "no luck" in Path(out.strip()).read_text()
    status, out, err = call("report", "1999")
    assert (status, out) == (1, "")
    assert "there is no run '1999'" in err


def test_what_the_config_says_wrong_of_reports_is_said(call, ids, made, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("reports: {theme: drak}\n")
    status, _, err = call("report", ids["sma"], "--configfile", str(wrong))
    assert status == 1
    assert "reports.theme" in err
    wrong.write_text("reports: {templates: nowhere}\n")
    status, _, err = call("report", ids["sma"], "--configfile", str(wrong))
    assert status == 1
    assert "nowhere does not exist; make it, name another one, or leave the key out" in err


def summary_of(made, backtest_id):
    path = made.store.run(backtest_id).results / "summary.parquet"
    return dict(pl.read_parquet(path).select("metric", "value").iter_rows())


def test_compare_shows_what_differs_and_all_on_request(call, ids, made):
    status, out, err = call("compare", ids["sma"], ids["slow"])
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["[1]", ids["sma"], "sma"]
    assert ["param_fast", "3", "4"] in lines
    assert not any(line[:1] in (["strategy"], ["dataset_id"]) for line in lines)
    shown = {line[0]: line[1:] for line in lines[3:]}
    before, after = (summary_of(made, ids[name])["total_return"] for name in ("sma", "slow"))
    assert before != after
    assert [float(text.rstrip("%")) for text in shown["total_return"]] == pytest.approx(
        [before * 100, after * 100], abs=0.051
    )
    _, out, _ = call("compare", ids["sma"], ids["slow"], "--json")
    told = json.loads(out)
    assert [row["param_fast"] for row in told["runs"]] == [3, 4]
    assert "param_fast" in told["differing"]
    _, out, _ = call("compare", ids["sma"], ids["slow"], "--all")
    lines = [line.split() for line in out.splitlines()]
    assert ["strategy", "…tegies/sma.py", "…tegies/sma.py"] in lines
    assert ["*", "param_fast", "3", "4"] in lines
    _, out, _ = call("compare", ids["sma"], ids["sma"])
    assert out.splitlines()[1:] == ["name a second run to compare it with, or give --all"]


def test_a_comparison_is_written_whole_as_the_name_of_the_file_ends(call, ids, tmp_path):
    for suffix, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        path = tmp_path / "new" / f"table{suffix}"
        assert call("compare", ids["sma"], ids["bad"], "--out", str(path))[0] == 0
        frame = read(path)
        assert frame["backtest_id"].to_list() == [ids["sma"], ids["bad"]]
        assert frame["status"].to_list() == ["completed", "failed"]
        assert frame["total_return"].null_count() == 1
    status, _, err = call("compare", ids["sma"], "--out", str(tmp_path / "x.txt"))
    assert status == 1
    assert "x.txt ends in none of .csv, .parquet, .json" in err


def test_compare_backtests_has_a_row_per_run_with_the_metrics_of_its_files(ids, made):
    base = made.store.base_dir
    frame = compare_backtests([ids["slow"], ids["sma"]], base_dir=base)
    assert frame["name"].to_list() == ["slow", "sma"]
    assert frame["param_fast"].to_list() == [4, 3]
    assert frame.schema["timestamp"] == pl.Datetime("us", "UTC")
    for row in frame.iter_rows(named=True):
        wanted = summary_of(made, row["backtest_id"])
        assert len(wanted) > 20
        assert {name: row[name] for name in wanted} == wanted


def test_a_frame_goes_in_and_comes_out_with_its_columns_and_order(ids, made):
    given = pl.DataFrame({
        "note": ["b", "a", "b again"],
        "backtest_id": [ids["slow"], ids["sma"], ids["slow"]],
        "sharpe_ratio": [9.0, 9.0, 9.0],
    })  # fmt: skip
    frame = compare_backtests(given, base_dir=made.store.base_dir)
    assert frame.columns[:3] == ["note", "backtest_id", "sharpe_ratio"]
    assert frame["note"].to_list() == ["b", "a", "b again"]
    assert frame["sharpe_ratio"].to_list() == [9.0] * 3
    assert frame["param_fast"].to_list() == [4, 3, 4]
    with pytest.raises(
        ArtifactManagerError, match=r"has the columns note; .* it needs backtest_id"
    ):
        compare_backtests(given.select("note"), base_dir=made.store.base_dir)


def test_nothing_is_compared_with_an_altered_summary(ids, made):
    path = made.store.run(ids["slow"]).results / "summary.parquet"
    before = path.read_bytes()
    try:
        path.write_bytes(before + b" ")
        with pytest.raises(SealError, match=r"summary\.parquet is missing or not the file"):
            compare_backtests([ids["slow"]], base_dir=made.store.base_dir)
    finally:
        path.write_bytes(before)
