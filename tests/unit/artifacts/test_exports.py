"""Configuration, data and trades as JSON, and the schemas they are published under."""

import json
from decimal import Decimal

import pytest
from batch.support import Project

from backtrail.artifacts.exports import market_data, trade_list
from tests.json_files import faults

FILES = ("strategy-config", "market-data", "trades", "performance-metrics")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("exports") / "project")
    plan, failed = project.run()
    assert failed == []
    return project.store.run(plan.runs[0].backtest_id)


def read(run, name):
    return json.loads((run.results / f"{name}.json").read_bytes())


@pytest.mark.parametrize("name", FILES)
def test_the_files_of_a_run_fit_their_published_schemas(run, name):
    found = read(run, name)
    assert found
    assert faults(name, found) == []
    assert faults(name, [{"x": 1}] if name == "trades" else {"x": 1})


def test_the_configuration_is_that_of_the_run_spec(run):
    identity = run.read_spec()["identity"]
    found = read(run, "strategy-config")
    for name in ("params", "start", "execution", "commission", "slippage", "strategy", "symbols"):
        assert found[name] == identity[name]
    assert (found["margin"], found["instruments"]) == ({}, {})
    assert read(run, "market-data")["dataset_id"] == identity["dataset"]["dataset_id"]


def test_trades_are_the_rows_of_the_table(run):
    import polars as pl

    table = pl.read_parquet(run.results / "trades.parquet")
    found = read(run, "trades")
    assert len(found) == table.height > 0
    for row, listed in zip(table.to_dicts(), found, strict=True):
        assert Decimal(listed["pnl"]) == row["pnl"]
        assert listed["entry_at"] == row["entry_at"].isoformat().replace("+00:00", "Z")
        assert (listed["mae"], listed["is_open"]) == (row["mae"], row["is_open"])


def test_numbers_are_written_out_and_what_is_missing_is_null():
    (row,) = trade_list(
        {"exit_at": [None], "entry_at": [1_500_000], "pnl": [Decimal("1E+3")], "mae": [-0.5]}
    )
    assert row == {
        "exit_at": None, "entry_at": "1970-01-01T00:00:01.500000Z", "pnl": "1000", "mae": -0.5,
    }  # fmt: skip


def test_market_data_says_which_bars_were_seen():
    identity = {
        "dataset": {"dataset_id": "a" * 16}, "symbols": ["A"], "start": "2020-01-01",
        "end": "2020-12-31",
    }  # fmt: skip
    found = market_data(identity, [0, 86_400_000_000])
    assert (found["bars"], found["last_bar_at"]) == (2, "1970-01-02T00:00:00Z")
