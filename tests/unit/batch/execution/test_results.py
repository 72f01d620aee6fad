import json
from array import array

import pytest

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS
from backtrail.artifacts.tables import content_checksum, read_table
from backtrail.batch.execution.results import write_results
from backtrail.errors import ArtifactManagerError

DAY = 86_400_000_000
SUMMARY = {
    "metric": ["cagr", "beta"],
    "value": [0.25, None],
    "unit": ["fraction", "ratio"],
    "assumption": ["252 bars a year", "undefined: no benchmark"],
}


def tables():
    curve = {name: array("d", [1.5, -0.0]) for name in ARTIFACT_SCHEMAS["backtest_results"]}
    curve |= {"timestamp": array("q", [0, DAY]), "returns": [None, 0.5]}
    return {"backtest_results": curve, "summary": SUMMARY}


def test_tables_are_written_with_the_checksum_of_their_content(tmp_path):
    run = RunDir(tmp_path)
    contents = write_results(tables(), run, csv_twins=False)
    assert list(contents) == ["results/backtest_results.parquet", "results/summary.parquet"]
    curve = read_table(run.results / "backtest_results.parquet", "backtest_results")
    assert curve["cash"].to_list() == [1.5, 0.0]
    assert curve["returns"].to_list() == [None, 0.5]
    assert contents["results/backtest_results.parquet"] == content_checksum(curve)
    assert sorted(path.name for path in run.results.iterdir()) == [
        "backtest_results.parquet", "performance-metrics.json", "summary.parquet",
    ]  # fmt: skip


def test_metrics_stand_in_json_by_name_with_unit_and_assumption(tmp_path):
    write_results(tables(), RunDir(tmp_path), csv_twins=False)
    assert json.loads((tmp_path / "results/performance-metrics.json").read_bytes()) == {
        "cagr": {"value": 0.25, "unit": "fraction", "assumption": "252 bars a year"},
        "beta": {"value": None, "unit": "ratio", "assumption": "undefined: no benchmark"},
    }


def test_twins_say_the_same_as_the_tables(tmp_path):
    write_results(tables(), RunDir(tmp_path), csv_twins=True)
    lines = (tmp_path / "results/summary_statistics.csv").read_text().splitlines()
    assert lines[1:] == [
        "cagr,0.25,fraction,252 bars a year", "beta,,ratio,undefined: no benchmark",
    ]  # fmt: skip
    curve = (tmp_path / "results/backtest_results.csv").read_text().splitlines()
    assert curve[2].startswith("1970-01-02T00:00:00Z,")


def test_nothing_is_written_when_a_table_is_not_as_declared(tmp_path):
    wrong = tables()
    del wrong["backtest_results"]["cash"]
    with pytest.raises(ArtifactManagerError, match="'backtest_results' has the columns"):
        write_results({"summary": SUMMARY, **wrong}, RunDir(tmp_path), csv_twins=True)
    assert not (tmp_path / "results").exists()
