from pathlib import Path
from typing import Any

from backtrail.reports import index
from backtrail.reports.index import render_index

from .test_basic import data_of, visible


def row(number: int, **changes: Any) -> dict[str, Any]:
    backtest_id = f"20260301_091500_{number:03d}"
    values = {
        "backtest_id": backtest_id,
        "name": f"run-{number}",
        "strategy": "strategies/sma_cross.py",
        "params": {"fast": number, "slow": 50},
        "bundle": "us-indices",
        "dataset_id": "1e028cbb9c40aa17",
        "status": "completed",
        "grade": "B",
        "run_type": "backtest",
        "start": "1999-01-04",
        "end": "2018-12-31",
        "metrics": {"total_return": number / 10, "sharpe_ratio": 0.123456789, "omega": None},
        "error": None,
        "report": f"{backtest_id}/results/reports/basic_report.html",
        "equity": [["2020-01-31", 1.0], ["2020-02-29", 1.0 + number / 10]],
        "synthetic": False,
    }
    return {**values, **changes}


def failed(number: int, **changes: Any) -> dict[str, Any]:
    reason = "ZeroDivisionError: division by zero"
    return row(
        number, status="failed", grade=None, metrics={}, equity=None, error=reason, **changes
    )


def render(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    out = tmp_path / "index.html"
    assert render_index(rows, out) == out
    return out.read_text(encoding="utf-8")


def test_the_head_counts_runs_failures_strategies_and_bundles(tmp_path):
    rows = [row(1), row(2, bundle="other"), failed(3, strategy="strategies/rsi.py")]
    text = visible(render(tmp_path, rows))
    assert "Runs 3 Finished 2 Failed 1 Strategies 2 Bundles 2" in text
    assert "strategies/sma_cross.py (2)" in text
    assert "failed (1)" in text


def test_every_run_is_in_the_data_newest_first_with_its_reason(tmp_path):
    data = data_of(render(tmp_path, [row(1), failed(2)]))
    columns = data["columns"]
    assert columns["backtest_id"] == ["20260301_091500_002", "20260301_091500_001"]
    assert columns["error"] == ["ZeroDivisionError: division by zero", None]
    assert columns["report"][1] == "20260301_091500_001/results/reports/basic_report.html"
    assert data["metrics"] == {
        "total_return": [None, 0.1],
        "sharpe_ratio": [None, 0.1234568],
        "omega": [None, None],
    }
    assert data["params"] == [{"fast": "2", "slow": "50"}, {"fast": "1", "slow": "50"}]
    assert data["equity"] == [None, [0, [1.0, 1.1]]]
    assert data["axes"] == [["2020-01-31", "2020-02-29"]]


def test_the_order_of_the_rows_does_not_change_a_byte(tmp_path):
    rows = [row(1), failed(2), row(3, equity=[["2019-12-31", 1.0]])]
    assert render(tmp_path, rows) == render(tmp_path, rows[::-1])


def test_values_json_does_not_have_are_shown_as_none(tmp_path):
    rows = [row(1, metrics={"profit_factor": float("inf"), "cagr": float("nan")})]
    assert data_of(render(tmp_path, rows))["metrics"] == {"cagr": [None], "profit_factor": [None]}


def test_beyond_the_limit_only_the_newest_runs_keep_their_curves(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "MAX_EQUITY_CURVES", 2)
    page = render(tmp_path, [row(number) for number in range(4)])
    assert [curve is None for curve in data_of(page)["equity"]] == [False, False, True, True]
    assert "Equity curves are here for the newest 2 runs" in visible(page)


def test_markup_in_names_and_reasons_is_text(tmp_path):
    evil = "</script><script>alert(1)</script>\"'😀"
    page = render(tmp_path, [failed(1, name=evil, strategy=evil) | {"error": evil}])
    assert "<script>alert" not in page
    assert data_of(page)["columns"]["error"] == [evil]


def test_an_empty_store_has_a_page(tmp_path):
    page = render(tmp_path, [])
    assert "The store holds no run yet" in visible(page)


def test_synthetic_runs_are_counted(tmp_path):
    assert "1 of these runs used synthetic data" in visible(
        render(tmp_path, [row(1), row(2, synthetic=True)])
    )
