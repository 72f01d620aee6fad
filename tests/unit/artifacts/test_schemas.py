import polars as pl
import pytest

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS, MONEY, QUANTITY, TIMESTAMP


def test_the_artifacts_are_these():
    assert set(ARTIFACT_SCHEMAS) == {
        "backtest_results",
        "orders",
        "fills",
        "positions",
        "trades",
        "corporate_actions",
        "recorded",
        "risk_violations",
        "attribution",
        "summary",
        "errors",
    }


@pytest.mark.parametrize("name", ARTIFACT_SCHEMAS)
def test_times_are_utc_microseconds_and_end_in_at(name):
    for column, dtype in ARTIFACT_SCHEMAS[name].items():
        is_time = column == "timestamp" or column.endswith("_at")
        assert is_time == isinstance(dtype, pl.Datetime), column
        assert not is_time or dtype == TIMESTAMP == pl.Datetime("us", "UTC")


def test_money_and_quantities_are_exact():
    assert pl.Decimal(38, 10) == MONEY
    assert pl.Decimal(38, 9) == QUANTITY
    for table in ("fills", "trades", "positions"):
        for column, dtype in ARTIFACT_SCHEMAS[table].items():
            if column in {
                "price",
                "value",
                "commission",
                "slippage",
                "cash_after",
                "pnl",
                "average_cost",
            }:
                assert dtype == MONEY, column
            if column == "quantity":
                assert dtype == QUANTITY
