"""What a strategy sets for itself, in a run of its own: captured, executed, sealed, reported."""

import json

import polars as pl

from batch.support import Project, batch_config, entry

SETTING = """
from backtrail.engine.api import *


def initialize(context):
    set_commission(commission.PerShare(cost=0.5, min_trade_cost=2))
    set_benchmark("BBB")
    set_max_position_size(max_shares=5, on_error="reject")
    schedule_function(buy, date_rules.month_start(1), time_rules.market_open())


def before_trading_start(context, data):
    context.prepared = True


def handle_data(context, data):
    assert context.prepared


def buy(context, data):
    order("AAA", 3, limit_price=1e6)
"""


def test_a_run_that_sets_its_own_costs_and_schedule_is_sealed_with_its_grade_and_says_so(tmp_path):
    own = entry(strategy="strategies/setting.py", symbols=["AAA", "BBB"])
    project = Project.make(tmp_path / "project", batch_config(batch={"setting": own}))
    project.write("strategies/setting.py", SETTING)
    plan, failed = project.run()
    assert failed == []
    run = project.store.run(plan.runs[0].backtest_id)
    manifest = run.read_manifest()
    # The calendar's table is read while the strategy runs; it is part of the library.
    assert (manifest["status"], manifest["grade"], manifest["gaps"]) == ("completed", "B", [])
    orders = pl.read_parquet(run.results / "orders.parquet")
    assert orders["style"].to_list() == ["limit", "limit"]
    # The calendar 24/5 has a session on 2020-01-01, a Wednesday, of which there is no bar.
    assert [str(moment.date()) for moment in orders["created_at"]] == ["2020-01-02", "2020-02-04"]
    assert orders["status"].to_list() == ["filled", "rejected"]
    violations = pl.read_parquet(run.results / "risk_violations.parquet")
    assert violations["rule"].to_list() == ["max_position_size"]
    summary = json.loads((run.results / "performance-metrics.json").read_bytes())
    assert summary["total_commission"]["value"] == 2.0
    said = summary["total_commission"]["assumption"]
    assert said == "all fills, per_share cost 0.5 min_trade_cost 2, set by the strategy"
    from backtrail.reports.basic import render_basic_report

    page = tmp_path / "page.html"
    render_basic_report(run.path, bundles_dir=project.store.base_dir.parent / "bundles", out=page)
    text = page.read_text()
    assert "per_share cost 0.5 min_trade_cost 2, set by the strategy" in text
    assert "BBB, set by the strategy" in text
