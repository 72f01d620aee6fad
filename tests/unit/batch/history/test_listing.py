import json

import pytest

from backtrail.batch.history.listing import (
    counted,
    explain_nothing,
    plan_text,
    runs_table,
    shortened,
)
from backtrail.batch.history.why import PreviewedRun
from backtrail.catalog.filters import RunFilter
from backtrail.catalog.queries import RunQuery
from backtrail.errors import CatalogError


def row(number, **values):
    names = values.pop("names", [f"run-{number}"])
    params = values.pop("params", {"fast": 10, "slow": 50})
    return {
        "backtest_id": f"20260101_000000_{number:03d}",
        "name": names[0],
        "names_json": json.dumps(names),
        "tags_json": json.dumps(values.pop("tags", [])),
        "status": "completed",
        "grade": "B",
        "strategy": "strategies/s.py",
        "bundle": "prices",
        "start_date": "2020-01-01",
        "end_date": "2020-12-31",
        "settings_json": json.dumps(values.pop("settings", {})),
        "params_json": json.dumps(params),
        "run_type": "backtest",
        "sets": 1,
        "dataset_id": "d1",
        "git_commit": None,
        "total_return": 0.1391,
        "sharpe_ratio": 0.114,
        "max_drawdown": -0.3558,
        "total_trades": 68.0,
        "error_kind": None,
        "error_message": None,
        "holdout_looks": 0,
        "holdout_seen": 0,
        "holdout_contaminated": False,
        **values,
    }


FAILED = {
    "status": "failed",
    "grade": "D",
    "error_kind": "ValueError",
    "error_message": "no luck\nat all",
    **dict.fromkeys(("total_return", "sharpe_ratio", "max_drawdown", "total_trades")),
}


def test_a_table_shows_figures_window_parameters_and_why_a_run_failed():
    rows = [
        row(1, names=["sma", "twin", "third"]),
        row(2, params={"mode": "x", "on": True, "k": 0.5}, total_return=12.5, total_trades=1e4),
        row(3, params={}, **FAILED),
    ]
    assert runs_table(rows).splitlines() == [
        "backtest_id          name   status     grade    return  sharpe  drawdown  trades",
        "20260101_000000_001  sma    completed  B         13.9%    0.11    -35.6%      68",
        "                     2020-01-01..2020-12-31  fast=10 slow=50  also twin, third",
        "20260101_000000_002  run-2  completed  B      1,250.0%    0.11    -35.6%  10,000",
        "                     2020-01-01..2020-12-31  mode=x on=true k=0.5",
        "20260101_000000_003  run-3  failed     D",
        "                     2020-01-01..2020-12-31",
        "                     ValueError: no luck",
    ]


def test_a_risk_free_rate_stands_below_the_ratio_that_is_over_it():
    lines = runs_table([row(1), row(2, settings={"risk_free_rate": "0.02"})]).splitlines()
    assert [line.strip() for line in lines[2::2]] == [
        "2020-01-01..2020-12-31  fast=10 slow=50",
        "2020-01-01..2020-12-31  fast=10 slow=50  over 2% a year",
    ]


def test_a_table_fits_100_columns_whatever_it_holds():
    params = {f"parameter_{number}": number for number in range(20)}
    rows = [
        row(1, names=["a" * 90, "b" * 90], params=params, total_return=1e6),
        row(2, names=["short"], **{**FAILED, "error_message": "word " * 60}),
    ]
    lines = runs_table(rows).splitlines()
    assert max(map(len, lines)) == 100
    assert "aaaa…  completed  B " in lines[1]
    assert lines[2].startswith(" " * 21 + "2020-01-01..2020-12-31  parameter_0=0 parameter_1=1 ")
    assert [line[-1] for line in (lines[2], lines[5])] == ["…", "…"]
    columns = [lines[0].index(head) for head in ("status", "grade")]
    assert [lines[3][at:].split()[0] for at in columns] == ["failed", "D"]


def test_a_long_id_leaves_a_table_aligned():
    rows = [row(1, backtest_id="x" * 80, names=["a" * 20]), row(2, **FAILED)]
    lines = runs_table(rows).splitlines()
    assert "  aaaaaaa…  completed  B " in lines[1]
    assert lines[3].split() == ["20260101_000000_002", "run-2", "failed", "D"]
    assert lines[2].strip() == "2020-01-01..2020-12-31  fast=10 slow=50"
    assert len(lines[0]) == len(lines[1])


def test_a_search_says_who_saw_its_holdout_and_a_plain_run_does_not():
    seen = {"holdout_seen": 3, "holdout_contaminated": True}
    of_many = {"run_type": "optimization", "sets": 1200}
    rows = [row(1, **of_many, **seen), row(2, **seen), row(3, run_type="holdout")]
    below = [line.strip() for line in runs_table(rows).splitlines() if line.startswith(" ")]
    plain = "2020-01-01..2020-12-31  fast=10 slow=50"
    said = "holdout not opened, but seen in 3 runs, contaminated"
    assert below == [f"{plain}  selected from 1,200 sets", said, plain, plain]


def test_a_search_that_did_not_end_and_one_of_a_single_set_say_so():
    failed = row(1, run_type="optimization", sets=None, **FAILED)
    checked = row(2, run_type="optimization", sets=1)
    below = [line.strip() for line in runs_table([failed, checked]).splitlines() if "2020" in line]
    plain = "2020-01-01..2020-12-31  fast=10 slow=50"
    assert below == [f"{plain}  a search", plain]


def test_a_text_is_cut_to_its_width():
    assert shortened("12345", 5) == "12345"
    assert shortened("12 456", 4) == "12…"
    assert shortened("", 4) == ""


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"commit": "abc"}, "no run has the commit 'abc'; there is c0ffee"),
        ({"commit": "c0f", "where": "fast = 1"}, None),
        ({"dataset": "dd"}, "no run has the dataset 'dd'; there is d1"),
        ({"strategy": "t.py"}, "no run has the strategy 't.py'; there is strategies/s.py"),
        ({"bundle": "price"}, "no run has the bundle 'price'; there are prices, minutes"),
        ({"name": "twni"}, "no run has the name 'twni'; there are twin, a, b, c, d, e and 1 more;"),
        ({"name": "b"}, None),
        ({"name": "twin", "status": "failed"}, None),
        ({"name": "g", "status": "failed"}, None),
        ({"name": "g/k"}, "no run has the name 'g/k'; there are g/k=1, a, twin"),
    ],
)  # fmt: skip
def test_a_value_that_no_run_has_is_refused_with_those_there_are(wanted, message):
    others = {"names": ["b", "c", "d", "e", "g/k=1"], "bundle": "minutes"}
    rows = [row(1, names=["a", "twin"], git_commit="c0ffee"), row(2, **others)]
    where = wanted.pop("where", None)
    query = RunQuery(RunFilter.of(wanted), where)
    if message is None:
        assert explain_nothing(rows, query) == f"none of 2 runs fits {query.asked()}"
        return
    with pytest.raises(CatalogError) as caught:
        explain_nothing(rows, query)
    assert str(caught.value).startswith(message)


def test_an_empty_catalog_has_no_runs_whatever_is_asked():
    query = RunQuery(RunFilter(name="x"))
    assert explain_nothing([], query) == "the catalog has no runs yet"


def test_what_was_asked_is_said_in_the_words_of_the_command_line():
    wanted = {"status": "failed", "run_type": "holdout", "dirty": True, "since": "2026-01-31"}
    query = RunQuery(RunFilter.of(wanted), "fast = 10")
    said = "--status failed --run-type holdout --dirty --since 2026-01-31 --where 'fast = 10'"
    assert query.asked() == said


def preview(name, state, *reasons, key=None, backtest_id=None):
    return PreviewedRun(name, key or name, state, backtest_id, None, reasons)


def test_a_plan_counts_each_run_once_and_lists_what_is_to_be_done():
    previews = [
        preview("sma", "reused", key="k", backtest_id="1"),
        preview("twin", "reused", "the same run as sma", key="k", backtest_id="1"),
        preview("grid/fast=5", "new", "parameter fast changed: 10 -> 5"),
        preview("bad", "failed", "ValueError: no luck", "attempt 1 failed", backtest_id="2"),
        preview("lost", "restore", "a is missing", "made again", backtest_id="3"),
    ]
    assert plan_text(previews).splitlines() == [
        "4 runs: 1 failed, 1 restore, 1 new, 1 reused",
        "new      grid/fast=5",
        "         parameter fast changed: 10 -> 5",
        "failed   bad          2",
        "         ValueError: no luck",
        "         attempt 1 failed",
        "restore  lost         3",
        "         a is missing",
        "         made again",
    ]
    assert plan_text(previews[:2], with_reused=True).splitlines() == [
        "1 run: 1 reused",
        "reused  sma   1",
        "reused  twin  1",
        "        the same run as sma",
    ]
    assert plan_text(previews[:1]) == "1 run: 1 reused\n"
    warnings = {"sma": ["sma.py:1 does not parse"], "bad": ["no ta"], "lost": ["no ta", "no tb"]}
    warned = plan_text(previews, warnings=warnings).splitlines()
    assert warned[:-2] == plan_text(previews).splitlines()
    assert warned[-2:] == ["warning: no ta", "warning: no tb"]  # each once, of what will be run


def test_of_many_reasons_the_first_and_the_last_are_shown():
    reasons = [f"file {number} is missing" for number in range(20)]
    lines = plan_text([preview("a", "restore", *reasons, "made again")]).splitlines()
    assert [line.strip() for line in lines[2:]] == [
        *reasons[:7],
        "and 13 more, which --json lists",
        "made again",
    ]
    lines = plan_text([preview("a", "restore", *reasons[:8], "made again")]).splitlines()
    assert [line.strip() for line in lines[2:]] == [*reasons[:8], "made again"]


def test_a_count_has_its_noun():
    assert [counted(number, "run") for number in (0, 1, 1000)] == ["0 runs", "1 run", "1,000 runs"]
