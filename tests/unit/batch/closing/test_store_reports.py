import json

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch.closing.store_reports import write_store_reports
from backtrail.reports.settings import STORE_REPORTS
from tests.unit.batch.history.test_verdicts import add_search, write
from tests.workflow.test_validation import fits


@pytest.fixture
def store(tmp_path):
    store = RunStore(tmp_path / "backtests", tmp_path)
    store.base_dir.mkdir()
    return store


def search(store, number, **keys):
    """Add a search to the store, and return its row of the table of runs."""
    run = add_search(store, number, **keys)
    spec = json.loads(run.spec.read_bytes())
    validate = {"overfitting": {}} if number == 1 else {"overfitting": {}, "monte_carlo": {}}
    write(run.spec, {**spec, "identity": {"validate": validate}})
    selection = {
        "sets": 10 * number, "failed": 1, "admissible": 9 * number,
        "in_sample": {"start": "2020-01-02", "end": "2020-12-31"},
        "objective": {"words": "cagr, the greater the better", "value": 0.1},
    }  # fmt: skip
    write(run.selection, selection)
    return row(run.backtest_id, run_type="optimization")


def row(backtest_id, **keys):
    return {
        "backtest_id": backtest_id, "run_type": "backtest", "status": "completed",
        "strategy": "strategies/sma.py", "code_hash": "c" * 64, "bundle": "prices",
        "dataset_id": "d" * 16, "symbols_json": '["AAA"]', "benchmark": None,
        "metrics_json": '{"max_drawdown": -0.2, "cagr": 0.1, "beta": null}', **keys,
    }  # fmt: skip


def told(store, rows):
    write_store_reports(store, rows)
    for name in STORE_REPORTS:
        assert fits(store.base_dir / name, name.removesuffix(".json")) == [], name
    return [json.loads((store.base_dir / name).read_bytes()) for name in STORE_REPORTS]


def test_a_store_without_a_search_says_so(store):
    rows = [row("20260101_000000_001"), row("20260101_000000_002", status="failed")]
    summary, best, risk = told(store, rows)
    assert summary["runs"] == {
        "all": 2, "by_status": {"completed": 1, "failed": 1}, "by_type": {"backtest": 2},
    }  # fmt: skip
    assert summary["searches"]["all"] == 0
    assert summary["ranking"] == best["configurations"] == risk["configurations"] == []


def test_searches_are_counted_and_ranked_with_their_gates_and_risks(store):
    rows = [
        search(store, 1, passed=False, dsr=0.99, failed=("pbo", "spa")),
        search(store, 2, passed=True, dsr=0.96),
        row("20260101_000009_000"),
    ]
    good = store.run(rows[1]["backtest_id"])
    write(good.results / "deploy/strategy-config.json", {})
    drawn = {"observed": -0.2, "p_worse": 0.4, "p_better": 0.6, "quantiles": {"0.05": -0.3}}
    simulated = {
        "reordering": {"max_drawdown": drawn, "ruin": 0.02},
        "parameter_noise": {"kept": 0.9}, "price_noise": None,
    }  # fmt: skip
    write(good.results / "validation/monte-carlo/simulation-results.json", simulated)
    trials = store.trial_path("d" * 16, "a" * 64)
    write(trials, {"dataset_id": "d" * 16, "family": "strategies/sma.py", "sets": 30})
    summary, best, risk = told(store, rows)
    assert summary["searches"] == {
        "all": 2, "validated": 2, "passed": 1,
        "parameter_sets": {"evaluated": 30, "failed": 2, "admissible": 27},
    }  # fmt: skip
    assert summary["stages"] == {"measure_overfitting": 2, "monte_carlo": 1, "judge_run": 2}
    assert summary["gates"]["pbo"] == {"searches": 2, "passed": 1}
    assert [(item["rank"], item["name"]) for item in summary["ranking"]] == [
        (1, "search-2"), (2, "search-1"),
    ]  # fmt: skip
    assert summary["trials"] == [
        {"dataset_id": "d" * 16, "strategy": "strategies/sma.py", "runs": 1, "sets": 30}
    ]
    first, second = best["configurations"]
    assert (first["name"], first["gates_passed"], first["gates"]["dsr"]["figure"]) == (
        "search-2", 4, 0.96,
    )  # fmt: skip
    assert first["deploy"] == f"{good.backtest_id}/results/deploy/strategy-config.json"
    assert second["deploy"] is None
    assert first["objective"]["value"] == 0.1
    safe, bare = risk["configurations"]
    assert safe["reordered"] == {
        "max_drawdown": drawn, "longest_drawdown": None, "lowest_equity": None,
    }  # fmt: skip
    assert (safe["ruin"], safe["kept"]) == (0.02, {"parameter_noise": 0.9, "price_noise": None})
    assert (safe["metrics"]["max_drawdown"], safe["metrics"]["beta"]) == (-0.2, None)
    assert (bare["ruin"], bare["intervals"], bare["bias"]) == (None, [], {})


def test_a_search_that_has_lost_files_is_left_out_and_the_others_stay(store):
    rows = [search(store, n, passed=True, dsr=0.96) for n in (1, 2)]
    store.run(rows[0]["backtest_id"]).selection.unlink()
    summary, best, _ = told(store, rows)
    assert summary["searches"]["all"] == 1
    assert [item["name"] for item in best["configurations"]] == ["search-2"]
