"""Runs on bundles whose calendar and universe are stored with the dataset."""

import json

import polars as pl
import pytest

from backtrail.batch import stages
from backtrail.batch.execution.outcome import Limits
from backtrail.batch.holdout import open_holdout
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.reports.advanced import render_advanced_report
from tests.extras import needs
from tests.unit.batch.execution.test_searching import SIGNAL, SPACE
from tests.unit.batch.support import Project, batch_config, entry, functions

pytestmark = needs("exchange_calendars", "calendars")

WATCH = functions(
    top="""
        from backtrail.engine.api import date_rules, record, schedule_function, time_rules
    """,
    initialize="""
        context.weeks = 0
        schedule_function(week, date_rules.week_start(), time_rules.market_open())
    """,
    handle_data="record(weeks=context.weeks, members=len(data.universe()))",
)
WATCH += "\n\ndef week(context, data):\n    context.weeks += 1\n"
MINUTES = "timestamp,open,high,low,close,volume\n"


@pytest.fixture
def project(tmp_path):
    project = Project.make(tmp_path / "project")
    project.write("strategies/watch.py", WATCH)
    project.write("members.csv", "symbol,from,to\nAAA,2019-01-02,\nBBB,2019-01-02,2020-01-31\n")
    return project


def run_of(project, bundle, **keys):
    watch = entry(strategy="strategies/watch.py", **keys)
    project.configure(batch_config(bundles={"prices": bundle}, batch={"watch": watch}))
    plan, failed = project.run()
    assert failed == []
    return project.store.run(plan.runs[0].backtest_id)


def metric_assumptions(run):
    summary = pl.read_parquet(run.results / "summary.parquet")
    return dict(summary.select("metric", "assumption").rows())


def test_a_run_on_a_stored_calendar_counts_its_years_and_weeks_by_it(project):
    for path in (project.root / "prices").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if not line.startswith("2020-01-13")))
    bundle = {"adapter": "csv", "path": "prices", "calendar": "XTKS", "timeframe": "1d"}
    run = run_of(project, {**bundle, "universe": "members.csv"}, symbols=["AAA", "BBB"])
    identity = json.loads(run.spec.read_text())["identity"]
    assert identity["dataset"]["session_year"] == {"sessions": 245, "minutes": 300}
    assert metric_assumptions(run)["cagr"] == "245 bars a year"
    recorded = pl.read_parquet(run.results / "recorded.parquet")
    values = {
        name: dict(part.select(pl.col("timestamp").dt.date().cast(pl.String), "value").rows())
        for (name,), part in recorded.partition_by("name", as_dict=True).items()
    }
    # Tokyo is closed on Monday 13 January (Coming of Age Day), so that week begins on Tuesday; a
    # week of weekdays has begun without a bar.
    assert values["weeks"]["2020-01-14"] == 1  # recorded before the scheduled function runs
    assert values["weeks"]["2020-01-15"] == 2
    assert (values["members"]["2020-01-31"], values["members"]["2020-02-03"]) == (2, 1)


def test_a_run_on_a_future_and_its_report_have_the_sessions_of_chicago(project):
    moments = [
        f"2020-01-{day:02}T{hour}:00Z"
        for day in (5, 6, 7, 8, 9)
        for hour in (("23:00",) if day == 5 else ("12:00", "22:59", "23:00"))
    ]
    rows = [f"{at},{10 + i},{11 + i},{9 + i},{10.5 + i},7" for i, at in enumerate(moments)]
    project.write("minutes/ES.csv", MINUTES + "\n".join(rows) + "\n")
    project.write("members.csv", "symbol,from,to\nES,2020-01-08,\n")
    run = run_of(
        project,
        {"adapter": "csv", "path": "minutes", "calendar": "us_futures", "timeframe": "1m",
         "universe": "members.csv"},
        symbols=["ES"], start="2020-01-07", end="2020-01-09", benchmark=None,
    )  # fmt: skip
    equity = pl.read_parquet(run.results / "backtest_results.parquet")
    stamps = equity["timestamp"].dt.strftime("%d %H:%M").to_list()
    assert (stamps[0], stamps[-1], len(stamps)) == ("06 23:00", "09 22:59", 9)
    recorded = pl.read_parquet(run.results / "recorded.parquet").filter(pl.col("name") == "members")
    assert recorded["value"].to_list() == [0, 0, 0, 1, 1, 1, 1, 1, 1]  # from the evening of the 7th
    page = render_advanced_report(
        run.path, bundles_dir=project.bundles, out=project.root / "page.html"
    )
    assert "us_futures, 1m" in page.read_text(encoding="utf-8")


def test_a_window_without_a_session_of_the_future_is_a_mistake_of_the_config(project):
    moments = ["2020-01-05T23:00Z", "2020-01-06T12:00Z"]
    rows = [f"{at},10,11,9,10,7" for at in moments]
    project.write("minutes/ES.csv", MINUTES + "\n".join(rows) + "\n")
    with pytest.raises(Exception, match=r"no bar of 'ES' from 2020-01-05 to 2020-01-05"):
        run_of(
            project,
            {"adapter": "csv", "path": "minutes", "calendar": "us_futures", "timeframe": "1m"},
            symbols=["ES"],
            start="2020-01-05",
            end="2020-01-05",
        )


VALIDATE = {
    "holdout": {"start": "2020-02-10", "warm_up": 10},
    "overfitting": {"blocks": 4, "bootstraps": 100, "against": "cash"},
}


def test_a_search_on_a_stored_calendar_is_validated_and_its_holdout_opened_by_its_years(project):
    bundle = {"adapter": "csv", "path": "prices", "calendar": "XTKS", "timeframe": "1d"}
    bundle["gaps"] = "allow"
    for path in (project.root / "prices").iterdir():
        lines = path.read_text().splitlines(keepends=True)
        closed = ("2020-01-02", "2020-01-03", "2020-01-13", "2020-02-11", "2020-02-24")
        path.write_text("".join(line for line in lines if not line.startswith(closed)))
    project.write("strategies/sma.py", SIGNAL)
    search = entry(optimize={"space": SPACE}, validate=VALIDATE, start="2020-01-06")
    project.configure(batch_config(bundles={"prices": bundle}, batch={"s": search}))
    plan = project.plan()
    (planned,) = plan.runs
    stages.capture_code(project.store, planned.backtest_id)
    run = project.store.run(planned.backtest_id)
    with project.executor() as executor:
        for chunk in plan.searches[planned.backtest_id]:
            stages.evaluate_chunk(project.store, planned.backtest_id, chunk, executor)
        stages.select_parameters(project.store, planned.backtest_id, executor)
        stages.run_backtest(project.store, planned.backtest_id, executor)
        for step in validation_steps(run.read_spec()["identity"]):
            stages.validate_run(project.store, planned.backtest_id, step, executor)
        stages.seal_run(project.store, planned.backtest_id)
    found = json.loads((run.results / "validation/overfitting/overfitting.json").read_bytes())
    assert found["assumptions"][0].startswith("Sharpe ratios are annual, by 245 bars per year")
    bars = found["history"]["bars"]
    assert found["history"]["years"] == bars / 245
    opened = open_holdout(project.store, run, project.bundles, Limits())
    curve = pl.read_parquet(
        project.store.run(opened.backtest_id).results / "backtest_results.parquet"
    ).filter(pl.col("timestamp") >= pl.datetime(2020, 2, 7, time_zone="UTC"))
    change = curve["portfolio_value"][-1] / curve["portfolio_value"][0]
    assert opened.figures["cagr"] == pytest.approx(change ** (245 / (len(curve) - 1)) - 1.0)
