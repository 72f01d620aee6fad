import json

import polars as pl
import pytest

from backtrail.batch.history.diffing import diff_runs
from backtrail.canonical import pretty_json
from tests.unit.batch.support import batch_config, entry, functions

ORDERS = """
import backtrail.engine.api as api
if context.bar in {plan}:
    api.order(api.symbol('AAA'), {plan}[context.bar])
context.bar += 1
"""


def plan_of(orders):
    return functions(initialize="context.bar = 1", handle_data=ORDERS.format(plan=orders))


def differ(project, first=0, second=1):
    runs = project.store.run_dirs()
    return diff_runs(project.store, runs[first], runs[second], project.bundles)


def test_a_run_does_not_differ_from_itself(project):
    project.run()
    found = differ(project, 0, 0)
    assert not found
    plain = found.to_dict()
    assert plain["equal"] is True
    assert plain.pop("before") == plain.pop("after")
    assert not any(plain.pop("results").values())
    assert {key: value for key, value in plain.items() if value} == {"equal": True}


def test_code_is_shown_as_a_unified_diff_and_new_files_whole(project):
    project.run()
    text = (project.root / "strategies/sma.py").read_text()
    project.write("strategies/sma.py", text.replace("from lib.means", "from lib.averages"))
    project.write("strategies/lib/averages.py", "def mean(x):\n    return float(sum(x)) / len(x)\n")
    project.run()
    one, two = (run.backtest_id for run in project.store.run_dirs())
    found = differ(project)
    assert [(item.path, item.kind) for item in found.code] == [
        ("strategies/lib/averages.py", "added"),
        ("strategies/lib/means.py", "removed"),
        ("strategies/sma.py", "changed"),
    ]
    assert found.code[0].diff == (
        "--- /dev/null",
        f"+++ {two}/strategies/lib/averages.py",
        "@@ -0,0 +1,2 @@",
        "+def mean(x):",
        "+    return float(sum(x)) / len(x)",
    )
    assert found.code[1].diff[:2] == (f"--- {one}/strategies/lib/means.py", "+++ /dev/null")
    changed = [line for line in found.code[2].diff if line[0] in "+-"][2:]
    assert changed == ["-from lib.means import mean", "+from lib.averages import mean"]
    assert (found.data, found.values, bool(found.results)) == (None, (), False), (
        "the same numbers come out"
    )
    assert found


def test_data_are_compared_by_row_and_settings_by_value(project):
    project.run()
    path = project.root / "prices/AAA.csv"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[:-1], rows[-1].replace(",1039", ",999")]) + "\n")
    project.configure(batch_config(batch={"sma": entry(params={"fast": 2})}, seed=4))
    project.run()
    found = differ(project)
    assert (found.data.bars.changed, found.data.bars.columns) == (1, {"volume": 1})
    assert found.data.bars.first_changed[0]["changes"] == {"volume": (1039.0, 999.0)}
    assert [str(value) for value in found.values] == [
        "parameter fast changed: 3 -> 2",
        "seed changed: 20260101 -> 4",
    ]
    assert found.code == ()
    plain = json.loads(pretty_json(found.to_dict()))
    assert plain["data"]["bars"]["first_changed"][0]["timestamp"] == "2020-02-26"


@pytest.fixture
def planned(project):
    """Run two order plans, bar to amount, one after the other."""

    def planned(first, second):
        for orders in (first, second):
            project.write("strategies/sma.py", plan_of(orders))
            project.run()
        return differ(project).results

    return planned


def test_decisions_part_at_the_first_order_that_was_decided_otherwise(project, planned):
    results = planned({2: 10, 5: -10, 8: 20, 9: -20}, {2: 10, 5: -10, 8: 30, 9: -30})
    bars = pl.read_parquet(project.store.run_dirs()[0].results / "backtest_results.parquet")
    eighth = bars["timestamp"][7].date().isoformat()
    parting = results.decision
    assert (parting.table, parting.row, parting.bar, parting.at) == ("orders", 3, 8, eighth)
    assert parting.columns == ("amount",)
    assert (parting.before["amount"], parting.after["amount"]) == (20.0, 30.0)
    assert (results.trade.row, results.trade.bar) == (2, 9), "filled at the next open"
    assert results.trade.before["quantity"] == "20"
    assert results.trade.after["quantity"] == "30"
    assert "pnl" in results.trade.columns
    assert results.equity.row == 9
    assert results.tables["orders"] == (4, 4)
    assert "recorded" not in results.tables
    assert results.status is None
    assert set(results.metrics) >= {"total_return", "expectancy"}


def test_an_order_that_one_run_has_earlier_is_where_decisions_part(planned):
    results = planned({5: 10, 8: -10}, {3: 10, 8: -10})
    assert (results.decision.row, results.decision.bar) == (1, 3)
    assert results.decision.columns == ("created_at",)


def test_an_order_that_only_one_run_has_is_shown_beside_nothing(planned):
    results = planned({3: 10, 8: -10}, {3: 10, 8: -10, 12: 5})
    parting = results.decision
    assert (parting.row, parting.bar, parting.before) == (3, 12, None)
    assert parting.after["amount"] == 5.0
    assert results.tables["orders"] == (2, 3)


def test_equal_decisions_that_were_filled_otherwise_are_told_apart(project):
    project.write("strategies/sma.py", plan_of({2: 10, 5: -10}))
    project.run()
    costs = {"commission": {"model": "per_dollar", "cost": 0.01}, "fill": "next_close"}
    project.configure(batch_config(defaults=costs))
    project.run()
    found = differ(project)
    assert found.results.decision is None
    assert found.results.order is None, "orders say nothing of prices"
    assert (found.results.trade.row, found.results.trade.before["commission"]) == (1, "0")
    assert {str(value) for value in found.values} == {
        'commission cost changed: "0" -> "0.01"',
        'commission model changed: "none" -> "per_dollar"',
        'execution fill changed: "next_open" -> "next_close"',
    }


def test_a_failed_run_is_compared_as_far_as_it_goes(project):
    project.run()
    project.write("strategies/sma.py", "raise ValueError('no luck')\n")
    project.run()
    found = differ(project)
    assert found.results.status == ("completed", "failed: ValueError: no luck")
    assert found.results.tables["fills"][1] is None
    assert found.results.metrics["total_trades"][1] is None
    assert (found.results.decision, found.results.trade, found.results.equity) == (None, None, None)
    assert not differ(project, 1, 1)


def test_a_dataset_that_is_gone_is_said_and_the_rest_is_compared(project):
    project.run()
    path = project.root / "prices/AAA.csv"
    path.write_text(path.read_text().replace(",1000", ",1001"))
    project.run()
    first = project.store.run_dirs()[0].read_spec()["identity"]["dataset"]["dataset_id"]
    (project.bundles / "prices" / first).rename(project.root / "away")
    found = differ(project)
    assert found.data is None
    assert found.data_note.startswith(f"dataset {first} -> ")
    assert "cannot be compared: no dataset" in found.data_note


def test_environments_and_files_of_a_strategys_own_are_compared(project):
    project.run()
    project.configure(batch_config(seed=9))
    project.run()
    first, second = project.store.run_dirs()
    for run, text in ((first, "1"), (second, "2")):
        manifest = json.loads(run.manifest.read_bytes())
        entry_of = {"sha256": text * 64, "size": 1}
        manifest["inventory"] |= {"results/own/a.csv": entry_of, "results/own/b.parquet": entry_of}
        run.manifest.write_text(json.dumps(manifest))
    environment = json.loads(second.environment.read_bytes())
    environment["packages"]["polars"] = "0.9"
    second.environment.write_text(json.dumps(environment))
    found = differ(project)
    assert found.environment == (f"polars {pl.__version__} -> 0.9",)
    assert found.results.files == ("results/own/a.csv", "results/own/b.parquet")
    assert (found.results.metrics, found.results.tables) == ({}, {})
