import json

import polars as pl
import pytest

from backtrail.batch.closing.linking import link_catalog
from backtrail.batch.history.estimating import BatchEstimate, EarlierRuns, estimate_batch
from backtrail.batch.history.why import preview_batch
from backtrail.cli import main
from tests.unit.batch.support import batch_config, entry, functions, shared_sandbox


def row(seconds, *, symbols=("AAA",), start="2020-01-02", end="2020-02-26", **changes):
    return {
        "strategy": "strategies/sma.py",
        "bundle": "prices",
        "symbols_json": json.dumps(list(symbols)),
        "start_date": start,
        "end_date": end,
        "execute_seconds": seconds,
        **changes,
    }


def request_of(project, **keys):
    (request,) = project.batch(batch={"sma": entry(**keys)}).requests
    return request


def test_a_run_takes_as_long_as_the_median_of_the_runs_like_it(project):
    earlier = EarlierRuns([row(1.0), row(2.0), row(9.0), row(500.0, symbols=["AAA", "BBB"])])
    assert earlier.seconds(request_of(project)) == 2.0
    assert earlier.seconds(request_of(project, params={"slow": 9})) == 2.0, "whatever parameters"
    assert earlier.count(["strategies/sma.py", "strategies/none.py"]) == 4


def test_a_run_of_other_dates_and_symbols_is_stretched_by_their_number(project):
    earlier = EarlierRuns([row(10.0, start="2020-01-01", end="2020-01-10")])
    twice = request_of(project, start="2020-01-03", end="2020-01-22", symbols=["AAA", "BBB"])
    assert earlier.seconds(twice) == pytest.approx(40.0)
    whole = request_of(project, start="2020-01-03", end="2020-01-22", symbols="all")
    assert earlier.seconds(whole) == pytest.approx(20.0), "as many symbols as before"


def test_a_strategy_that_never_ran_has_no_time(project):
    assert EarlierRuns([row(1.0, strategy="strategies/x.py")]).seconds(request_of(project)) is None


@pytest.mark.parametrize(
    ("estimate", "cores", "words"),
    [
        (BatchEstimate({}, 3, 0), 2, ""),
        (BatchEstimate({"a": 1200.0, "b": 1200.0}, 2, 7), 2, "about 20 min of executing on 2 cores"
         ", from 7 earlier runs; starting jobs and rendering pages come on top"),
        (BatchEstimate({"a": 7200.0, "b": 1.0}, 5, 1), 8, "about 2.0 h of executing on 8 cores for "
         "2 of 5 runs, from 1 earlier run; starting jobs and rendering pages come on top"),
    ],
)  # fmt: skip
def test_an_estimate_is_one_line_and_never_shorter_than_its_longest_run(estimate, cores, words):
    assert estimate.words(cores) == words


@pytest.fixture
def linked(project):
    """Three linked runs, a batch with five more of them and one of a strategy that never ran."""
    project.configure(batch_config(batch={"sma": entry(grid={"fast": [2, 3, 4]})}))
    project.run()
    link_catalog(f"sqlite:///{project.root}/c.sqlite", project.store, project.bundles)
    project.write("strategies/other.py", functions())
    more = {
        "sma": entry(grid={"fast": [2, 3, 4, 5, 6]}),
        "twin": entry(params={"fast": 6}),
        "other": entry(strategy="strategies/other.py"),
    }
    project.configure(batch_config(batch=more))
    return project


def test_the_runs_of_a_batch_that_are_new_are_estimated_once_each(linked):
    batch = linked.batch()
    previews = preview_batch(batch, sandbox=shared_sandbox())
    estimate = estimate_batch(linked.store, batch.requests, previews)
    measured = pl.read_parquet(linked.store.runs_table)["execute_seconds"].median()
    assert estimate.seconds == dict.fromkeys(["sma/fast=5", "sma/fast=6"], round(measured, 3))
    assert (estimate.runs, estimate.earlier) == (3, 3)


def test_without_a_table_of_runs_nothing_is_known(linked):
    batch = linked.batch()
    previews = preview_batch(batch, sandbox=shared_sandbox())
    linked.store.runs_table.write_bytes(b"PAR1 broken")
    assert estimate_batch(linked.store, batch.requests, previews).words(2) == ""
    linked.store.runs_table.unlink()
    assert estimate_batch(linked.store, batch.requests, previews).words(2) == ""


def test_the_plan_says_how_long_it_will_take_and_nothing_where_nothing_runs(
    linked, monkeypatch, capsys
):
    monkeypatch.chdir(linked.root)
    assert main(["plan", "--cores", "3", "--configfile", "config.yaml"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "about 1 s of executing on 3 cores for 2 of 3 runs, from 3 earlier runs; starting jobs and "
        "rendering pages come on top"
    )
    assert main(["plan", "--json", "--configfile", "config.yaml"]) == 0
    found = {item["name"]: item["seconds"] for item in json.loads(capsys.readouterr().out)}
    assert {name for name, seconds in found.items() if seconds is not None} == {
        "sma/fast=5", "sma/fast=6",
    }  # fmt: skip
    linked.run()
    assert main(["plan", "--configfile", "config.yaml"]) == 0
    assert "of executing" not in capsys.readouterr().out
