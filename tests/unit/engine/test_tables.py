"""The tables of a result against the declared artifact schemas."""

from decimal import Decimal

import numpy as np
import polars as pl
import pytest

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS
from backtrail.artifacts.tables import build_table
from backtrail.engine import run_event
from backtrail.metrics import summarize_tables

from .support import config, listed, make_bars, scripted

WRITTEN_ELSEWHERE = {"summary", "errors", "attribution"}


@pytest.fixture(params=["decimal", "float64"])
def tables(request):
    def trade(self, context, data):
        self.order("A", 3)
        self.order("B", 10**9)
        self.record(x=1.5)

    bars = make_bars(
        {"A": [10, 11.123456789012, 6, 7], "B": [1, float("nan"), float("nan"), 2]},
        splits={("A", 2): 1.5},
        dividends={("A", 3): 0.25},
        delisted={"A": 3},
    )
    engine_config = config(cost="0.0017", ledger=request.param, cash_policy="reject")
    return run_event(scripted({0: trade}), bars, engine_config, benchmark="B").tables


def test_tables_and_columns_are_exactly_the_declared_ones(tables):
    assert set(tables) == set(ARTIFACT_SCHEMAS) - WRITTEN_ELSEWHERE
    for name, table in tables.items():
        assert list(table) == list(ARTIFACT_SCHEMAS[name]), name
        assert len({len(values) for values in table.values()}) == 1, name


def test_every_table_becomes_a_frame_of_its_schema(tables):
    for name, table in tables.items():
        schema = ARTIFACT_SCHEMAS[name]
        frame = build_table(name, table)
        assert frame.schema == pl.Schema(schema)
        for column, values in table.items():
            missing = [value is None for value in listed(values)]
            assert frame[column].is_null().to_list() == missing, (name, column)
            if name == "backtest_results":
                assert isinstance(values, np.ndarray), column


def test_tables_without_any_event_keep_their_columns():
    empty = run_event(scripted({}), make_bars({"A": [1, 2]}), config()).tables
    for name, table in empty.items():
        assert list(table) == list(ARTIFACT_SCHEMAS[name])
        assert name == "backtest_results" or all(values == [] for values in table.values())


def test_money_has_ten_places_and_quantities_nine(tables):
    fill = {column: values[0] for column, values in tables["fills"].items()}
    assert str(fill["price"]) == "11.1234567890"
    assert str(fill["quantity"]) == "3.000000000"
    assert fill["commission"] == Decimal("0.0567296296")
    assert fill["value"] == Decimal("33.3703703670")


def test_summary_of_the_tables_counts_their_trades(tables):
    found = {row.metric: row.value for row in summarize_tables(tables, periods_per_year=252)}
    assert found["total_trades"] == 1.0
    assert found["exposure"] == 0.5
    assert found["turnover"] > 0
