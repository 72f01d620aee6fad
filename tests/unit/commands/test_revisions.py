import json
import shutil

import pytest

from backtrail import revision_impact
from backtrail.batch.closing.linking import link_catalog
from backtrail.data.manifest import read_head
from backtrail.errors import DatasetError, QueryError
from tests.unit.batch.history.revised import BATCH, middle, restate
from tests.unit.batch.support import Project, batch_config, entry, functions

# Buys before the bar that is restated and sells after it, unless it finds its volume.
TRADES = """
from backtrail.engine.api import order, symbol
if data.current('AAA', 'volume') == 77:
    raise ValueError('volume of 77')
context.bar += 1
if context.bar in (2, 20):
    order(symbol('AAA'), 100 if context.bar == 2 else -100)
"""
RUNS = {name: BATCH[name] for name in ("early", "other")}
RUNS["trades"] = entry(strategy="strategies/trades.py")
RUNS["fewer"] = entry(strategy="strategies/trades.py", capital_base=50_000)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A project with four runs on the older dataset, none on the newer, and its first dataset."""
    config = batch_config(batch=RUNS)
    project = Project.make(tmp_path_factory.mktemp("revisions") / "project", config)
    text = functions(initialize="context.bar = 0", handle_data=TRADES)
    project.write("strategies/trades.py", text)
    assert project.run()[1] == []
    link_catalog(
        f"sqlite:///{project.root}/backtests/catalog.sqlite", project.store, project.bundles
    )
    return project, read_head(project.bundles, "prices")


@pytest.fixture
def made(model, tmp_path):
    return Project(shutil.copytree(model[0].root, tmp_path / "project", symlinks=True))


@pytest.fixture
def revised(made):
    """The project after the open of the day on which the trade is closed was restated."""
    restate(made, "AAA", "2020-01-30", open=middle(made, "AAA", "2020-01-30"))
    made.ingest()
    return made


def ids(project):
    return {
        run.read_spec()["labels"]["names"][0]: run.backtest_id for run in project.store.run_dirs()
    }


def test_impact_lists_every_run_under_its_verdict_with_the_reason(call, revised, model):
    status, out, err = call("data", "diff", "prices", "--impact")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    names, newer = ids(revised), read_head(revised.bundles, "prices")
    assert lines[0] == f"prices  {model[1]} -> {newer}"
    assert lines[3] == f"runs on {newer}: none"
    assert lines[4] == "impact on 4 runs: 3 affected, 1 not affected, 0 cannot be judged"
    assert lines[5] == "affected:"
    assert f"  {names['trades']}  trades" in lines
    assert lines[-3:] == [
        "not affected:",
        f"  {names['other']}  other",
        "    no bar or adjustment of BBB changed",
    ]
    found = json.loads(call("data", "diff", "prices", "--impact", "--json")[1])
    assert found["bars"]["changed"] == 1
    assert found["impact"]["counts"] == {"affected": 3, "unaffected": 1, "unjudged": 0}
    assert {run["name"]: run["verdict"] for run in found["impact"]["runs"]} == {
        "early": "affected",
        "other": "unaffected",
        "trades": "affected",
        "fewer": "affected",
    }
    assert {run["movement"] for run in found["impact"]["runs"]} == {None}


def test_rerun_states_metrics_and_the_first_trade_that_differs(call, revised):
    names = ids(revised)
    status, out, err = call("data", "diff", "prices", "--impact", "--rerun")
    assert status == 1
    assert sorted(line.split()[3] for line in err.splitlines()) == sorted(
        names[name] for name in ("early", "trades", "fewer")
    )
    found = json.loads(call("data", "diff", "prices", "--impact", "--rerun", "--json")[1])
    runs = {run["name"]: run for run in found["impact"]["runs"]}
    fewer, trades = (runs[name]["movement"] for name in ("fewer", "trades"))
    moved = {name: item["metrics"]["total_return"] for name, item in (("f", fewer), ("t", trades))}
    assert moved["f"]["difference"] == pytest.approx(2 * moved["t"]["difference"]), "of half"
    assert trades["trade"]["after"]["exit_price"] != trades["trade"]["before"]["exit_price"]
    order = [run["name"] for run in found["impact"]["runs"]]
    assert order.index("fewer") < order.index("trades"), "the larger move comes first"
    lines = out.splitlines()
    at = lines.index(f"  {names['trades']}  trades")
    assert lines[at + 2] == "    results moved, executed again"
    move = moved["t"]
    assert lines[at + 3] == (
        f"      total_return: {move['before']:.6g} -> {move['after']:.6g}, "
        f"by {move['difference']:+.6g}"
    )
    assert any(line.startswith("      first differing trade at ") for line in lines[at:])


def test_a_failure_is_named_and_the_status_says_so(call, made):
    restate(made, "AAA", "2020-02-10", volume=77)
    made.ingest()
    status, out, _ = call("data", "diff", "prices", "--impact", "--rerun")
    assert status == 1
    assert out.count("    failed: ValueError: volume of 77\n") == 2


def test_where_and_limit_choose_runs(call, revised):
    condition = "name = 'fewer' or name = 'other'"
    status, out, _ = call("data", "diff", "prices", "--impact", "--where", condition)
    assert status == 1
    assert (
        "impact on 2 runs: 1 affected, 1 not affected, 0 cannot be judged; 2 more runs on it that "
        "--where leaves out\n"
    ) in out
    out = call("data", "diff", "prices", "--impact", "--limit", "1")[1]
    assert "affected:\n" in out
    assert "\n  and 2 more runs\n" in out
    found = json.loads(call("data", "diff", "prices", "--impact", "--limit", "0", "--json")[1])
    assert len(found["impact"]["runs"]) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prices", "--rerun"], "--rerun says something of --impact; give that, too"),
        (["prices", "--where", "x > 1"], "--where says something of --impact"),
        (["prices", "--impact", "--metric", "cagr"], "--metric orders the runs of --rerun"),
        (["prices", "--impact", "--rerun", "--metric", "cager"], "no affected run has the metric"),
        (["prices", "--impact", "--where", "nothing > 1"], "no column, metric or parameter"),
        (["absent", "--impact"], "ingested bundles: prices"),
        (["prices", "beef", "--impact"], "has no dataset 'beef'"),
    ],
    ids=lambda value: None if isinstance(value, list) else value,
)
def test_what_cannot_be_meant_is_refused(call, revised, words, said):
    status, out, err = call("data", "diff", *words)
    assert (status, out) == (1, "")
    assert said in err


def test_without_runs_there_is_no_impact_and_that_is_said(call, revised):
    shutil.rmtree(revised.root / "backtests")
    status, out, _ = call("data", "diff", "prices", "--impact", "--rerun")
    assert status == 1
    assert out.endswith(
        "impact: no run that was asked for read the older dataset, or one made of it\n"
    )
    newer = read_head(revised.bundles, "prices")
    assert call("data", "diff", "prices", newer, newer, "--impact")[0] == 0


def test_the_function_asks_the_same_of_the_project_around(revised, model, monkeypatch):
    revised.write("config/config.yaml", (revised.root / "config.yaml").read_text())
    monkeypatch.chdir(revised.root)
    names = ids(revised)
    impact = revision_impact("prices", model[1][:6])
    assert set(impact.affected) == {names[name] for name in ("early", "trades", "fewer")}
    few = revision_impact("prices", where="name = 'fewer'", rerun=True)
    (run,) = few.runs
    assert (run.name, run.movement.state) == ("fewer", "moved")
    assert revision_impact("prices", name="other").affected == ()
    with pytest.raises(DatasetError, match="ingested bundles: prices"):
        revision_impact("absent")
    with pytest.raises(QueryError):
        revision_impact("prices", where="nothing > 1")
