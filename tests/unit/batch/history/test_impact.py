"""Which runs a revision affects: planted revisions, and the exact set that read them."""

import json
import shutil

import pytest

from backtrail.batch import stages
from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.history.impact import open_revision, trace_revision
from backtrail.batch.holdout import open_holdout
from backtrail.cli import main
from backtrail.data.manifest import read_head
from backtrail.errors import DatasetError
from tests.projects import PRICES, write_prices
from tests.unit.batch.support import Project, batch_config, entry, functions

from .revised import (
    BATCH,
    EARLY,
    LATE,
    WEEKS,
    ingest_all,
    make_derived,
    middle,
    read,
    restate,
    seal_search,
    trace,
    with_column,
    write,
)


def verdicts(impact):
    return {run.name: run.verdict for run in impact.runs}


def affected(impact):
    return {run.name for run in impact.of("affected")}


def reasons(impact, name):
    (run,) = (run for run in impact.runs if run.name == name)
    return run.reasons


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A project whose five runs are sealed on the first prices."""
    project = Project.make(tmp_path_factory.mktemp("impact") / "project", batch_config(batch=BATCH))
    _, failed = project.run()
    assert failed == []
    return project


@pytest.fixture
def made(model, tmp_path):
    return Project(shutil.copytree(model.root, tmp_path / "project", symlinks=True))


def test_one_changed_bar_affects_exactly_the_runs_that_read_its_symbol_on_its_day(made):
    (bar,) = (row for row in read(made, "AAA") if row["date"] == "2020-02-10")
    close = middle(made, "AAA", "2020-02-10")
    restate(made, "AAA", "2020-02-10", close=close)
    made.ingest()
    impact = trace(made)
    assert verdicts(impact) == {
        "early": "unaffected",
        "late": "affected",
        "other": "unaffected",
        "pair": "affected",
        "against": "affected",
    }
    assert reasons(impact, "late") == (
        f"1 bar changed (close 1): AAA 2020-02-10 close {bar['close']} -> {close}",
    )
    assert reasons(impact, "early") == (
        "of AAA, what changed lies outside 2020-01-02 to 2020-01-31, which is all it read",
    )
    assert reasons(impact, "other") == ("no bar or adjustment of BBB changed",)
    assert {run.rows for run in impact.of("affected")} == {1}
    plain = json.loads(json.dumps(impact.to_dict()))
    assert plain["counts"] == {"affected": 3, "unaffected": 2, "unjudged": 0}
    assert (plain["before"], plain["after"]) == (impact.before, read_head(made.bundles, "prices"))


@pytest.mark.parametrize(
    ("day", "who"),
    [
        ("2020-01-02", {"early", "pair"}),
        ("2020-01-31", {"early", "pair"}),
        ("2020-02-03", {"late", "pair", "against"}),
        ("2020-02-26", {"late", "pair", "against"}),
    ],
)
def test_the_first_and_the_last_day_of_a_window_count_and_the_next_one_does_not(made, day, who):
    restate(made, "AAA", day, volume=77)
    made.ingest()
    assert affected(trace(made)) == who


def test_bars_that_only_came_after_the_end_affect_nobody(made):
    write_prices(made.root / "prices", sessions=44)
    made.ingest()
    impact = trace(made)
    assert set(verdicts(impact).values()) == {"unaffected"}
    assert len(impact.runs) == 5


def test_a_removed_bar_and_an_added_one_count_as_changed_ones_do(made):
    write(made, "BBB", [row for row in read(made, "BBB") if row["date"] != "2020-01-15"])
    made.ingest()
    impact = trace(made)
    assert affected(impact) == {"other", "pair"}
    assert reasons(impact, "other") == ("1 bar removed: BBB 2020-01-15",)
    one, other = (read_head(made.bundles, "prices"), impact.before)
    before, after = open_revision(made.bundles, "prices", one, other)
    backwards = trace_revision(made.store, made.bundles, before, after)
    assert backwards.runs == (), "no run read the one without the bar"


def test_a_changed_split_affects_who_read_its_day(made):
    waivers = [{"rule": "split_not_in_prices", "reason": "invented"}]
    made.configure(batch_config(bundles={"prices": {**PRICES, "waivers": waivers}}, batch=BATCH))
    with_column(made, "AAA", "split", 1, **{"2020-01-20": 2})
    assert made.run()[1] == []
    with_column(made, "AAA", "split", 1, **{"2020-01-20": 3})
    made.ingest()
    impact = trace(made)
    assert affected(impact) == {"early", "pair"}
    assert reasons(impact, "early") == (
        "1 adjustment changed (value 1): AAA 2020-01-20 split value 2.0 -> 3.0",
    )
    with_column(made, "AAA", "split", 1, **{"2020-01-20": 3, "2020-02-05": 2})
    made.ingest()
    assert trace(made).runs == (), "no run read the dataset before"


def test_an_added_symbol_affects_nobody_and_who_has_all_symbols_is_told(made):
    write_prices(made.root / "prices", symbols=("CCC",), sessions=40)
    made.ingest()
    impact = trace(made)
    assert affected(impact) == set()
    assert len(impact.of("unaffected")) == 5
    assert reasons(impact, "pair")[1:] == (
        "it has every symbol of the older dataset; an entry without `symbols` takes CCC in, too, "
        "and so makes another run",
    )
    assert len(reasons(impact, "other")) == 1


def test_a_removed_symbol_affects_who_read_it_and_says_that_it_cannot_run(made):
    (made.root / "prices/AAA.csv").unlink()
    made.configure(batch_config(batch={"other": BATCH["other"]}))
    made.ingest()
    impact = trace(made)
    assert affected(impact) == {"early", "late", "pair", "against"}
    told = reasons(impact, "against")
    assert told[0].startswith("18 bars removed: AAA 2020-02-03; ")
    assert told[1].startswith("it cannot be run on the newer dataset: bundle 'prices'")


def test_only_the_runs_asked_for_are_judged(made):
    restate(made, "AAA", "2020-02-10", volume=77)
    made.ingest()
    wanted = {run.backtest_id for run in trace(made).runs if run.name in ("late", "other")}
    found = trace(made, among=wanted)
    assert verdicts(found) == {"late": "affected", "other": "unaffected"}
    assert found.left_out == 3


def test_runs_without_a_result_or_with_damaged_records_are_named_as_not_judged(made):
    made.write("strategies/broken.py", functions(initialize="raise ValueError('no')"))
    batch = {**BATCH, "broken": entry(strategy="strategies/broken.py"), "open": entry(**LATE)}
    batch["open"]["params"] = {"fast": 2}
    made.configure(batch_config(batch=batch))
    plan = made.plan()
    ids = {name: run.backtest_id for run in plan.runs for name in run.names}
    with made.executor() as executor:
        stages.capture_code(made.store, ids["broken"])
        with pytest.raises(Exception, match="ValueError"):
            stages.run_backtest(made.store, ids["broken"], executor)
    manifest = made.store.run(ids["other"]).manifest
    manifest.write_bytes(manifest.read_bytes() + b" ")
    restate(made, "AAA", "2020-02-10", volume=77)
    made.ingest()
    found = {run.backtest_id: run for run in trace(made).of("unjudged")}
    assert set(found) == {ids["broken"], ids["open"], ids["other"]}
    assert found[ids["broken"]].reasons == (
        "it failed (ValueError: no): it has no result that could move",
    )
    assert "never finished" in found[ids["open"]].reasons[0]
    assert f"`backtrail verify {ids['other']}`" in found[ids["other"]].reasons[0]


def test_a_strategy_that_reads_prices_by_itself_is_not_called_unaffected(made):
    path = made.root / "prices/AAA.csv"
    made.write("strategies/reader.py", functions(initialize=f"open({str(path)!r}).read()"))
    top = "import subprocess"
    made.write("strategies/starter.py", functions(top=top, initialize="subprocess.run(['true'])"))
    batch = {
        name: entry(strategy=f"strategies/{name}.py", **EARLY) for name in ("reader", "starter")
    }
    made.configure(batch_config(batch={**batch, "early": BATCH["early"]}))
    assert made.run()[1] == []
    restate(made, "AAA", "2020-02-10", volume=77)
    made.ingest()
    impact = trace(made)
    found = verdicts(impact)
    assert [found[name] for name in ("reader", "starter", "early")] == [
        "unjudged",
        "unjudged",
        "unaffected",
    ]
    assert reasons(impact, "reader")[1] == (
        f"its strategy opened {path} itself, so what of it counted is not known"
    )
    assert reasons(impact, "starter")[1] == (
        "its strategy started a program, which may have read prices: true"
    )


def test_a_search_saw_nothing_of_its_holdout_and_a_look_hangs_on_its_search(project):
    search = {"optimize": {"space": {"fast": [2, 3], "slow": [8]}}}
    held = {"holdout": {"start": "2020-02-10", "warm_up": 5}}
    project.configure(batch_config(batch={"search": entry(validate=held, **search)}))
    plan = project.plan()
    backtest_id = plan.runs[0].backtest_id
    seal_search(project, plan)
    look = open_holdout(project.store, project.store.run(backtest_id), project.bundles, Limits())
    first = read_head(project.bundles, "prices")
    restate(project, "AAA", "2020-02-12", volume=77)
    project.ingest()
    impact = trace(project)
    assert impact.affected == (look.backtest_id,)
    assert "2020-01-02 to 2020-02-09, which is all it read" in reasons(impact, "search")[0]
    restate(project, "AAA", "2020-02-12", volume=1029)
    restate(project, "AAA", "2020-01-06", volume=77)
    project.ingest()
    before, after = open_revision(project.bundles, "prices", first)
    impact = trace_revision(project.store, project.bundles, before, after)
    assert affected(impact) == {"search", "search-holdout"}
    assert reasons(impact, "search-holdout") == (
        f"search {backtest_id}, which selected its set, is affected",
    )


@pytest.fixture(scope="module")
def derived_model(tmp_path_factory):
    return make_derived(tmp_path_factory.mktemp("derived") / "project")


@pytest.fixture
def derived(derived_model, tmp_path):
    return Project(shutil.copytree(derived_model.root, tmp_path / "project", symlinks=True))


def test_runs_on_datasets_made_of_the_revised_one_are_affected_through_them(
    derived, monkeypatch, capsys
):
    older = read_head(derived.bundles, "weeks")
    restate(derived, "AAA", "2020-02-10", volume=77)
    ingest_all(derived)
    impact = trace(derived)
    assert verdicts(impact) == {"weekly": "affected", "one": "affected", "two": "unaffected"}
    assert reasons(impact, "weekly")[0].startswith("1 bar changed (volume 1): AAA 2020-02-10 ")
    found = {run.name: (run.bundle, run.after) for run in impact.runs}
    assert found["weekly"] == ("weeks", read_head(derived.bundles, "weeks"))
    assert found["one"] == ("joined", read_head(derived.bundles, "joined"))
    assert impact.bundles == {found["weekly"][1]: "weeks", found["one"][1]: "joined"}
    monkeypatch.chdir(derived.root)
    assert main(["data", "diff", "prices", "--impact", "--configfile", "config.yaml"]) == 1
    assert f"  weekly  (on weeks {older} -> {found['weekly'][1]})\n" in capsys.readouterr().out


def test_a_derived_bundle_that_was_not_made_again_is_said_to_be_missing(derived):
    restate(derived, "AAA", "2020-02-10", volume=77)
    ingest_all(derived, "prices", "weeks")
    impact = trace(derived)
    assert verdicts(impact) == {"weekly": "affected", "one": "unjudged", "two": "unjudged"}
    (told,) = reasons(impact, "one")
    assert told.startswith(f"bundle joined was never made of dataset {impact.after} of prices ")


def test_a_join_whose_other_source_is_new_as_well_is_no_measure_of_this_revision(derived):
    restate(derived, "AAA", "2020-02-10", volume=77)
    write_prices(derived.root / "more", symbols=("DDD",), sessions=41)
    ingest_all(derived)
    assert verdicts(trace(derived)) == {
        "weekly": "affected", "one": "unjudged", "two": "unjudged"
    }  # fmt: skip
    assert verdicts(trace(derived, "more")) == {"one": "unjudged", "two": "unjudged"}


def test_longer_bars_that_come_out_the_same_affect_nobody(derived):
    (bar,) = (row for row in read(derived, "AAA") if row["date"] == "2020-02-11")
    restate(derived, "AAA", "2020-02-11", close=middle(derived, "AAA", "2020-02-11"))
    assert bar["close"] != str(middle(derived, "AAA", "2020-02-11"))
    before = read_head(derived.bundles, "weeks")
    ingest_all(derived)
    assert read_head(derived.bundles, "weeks") == before, "a Tuesday's close is no week's"
    impact = trace(derived)
    assert verdicts(impact) == {"weekly": "unaffected", "one": "affected", "two": "unaffected"}


def test_a_changed_membership_affects_who_reads_its_dates_and_symbols(project):
    members = "symbol,from,to\nAAA,2020-01-02,\nBBB,2020-01-02,{}\n"
    project.write("members.csv", members.format("2020-02-14"))
    bundles = {"prices": {**PRICES, "universe": "members.csv"}}
    batch = {name: BATCH[name] for name in ("early", "other", "pair")}
    batch["first"] = entry(symbols=["BBB"], **EARLY)
    project.configure(batch_config(bundles=bundles, batch=batch))
    assert project.run()[1] == []
    project.write("members.csv", members.format("2020-02-07"))
    project.ingest()
    impact = trace(project)
    assert affected(impact) == {"other", "pair"}
    assert reasons(impact, "other") == ("who of its symbols is in the universe changed",)


def test_another_calendar_affects_everybody(made):
    made.configure(batch_config(bundles={"prices": {**PRICES, "calendar": "24/7"}}, batch=BATCH))
    made.ingest()
    impact = trace(made)
    assert affected(impact) == set(BATCH)
    assert reasons(impact, "early") == (
        "calendar 24/5 -> 24/7",
        "bars a year, for annual metrics: 260 -> 365",
    )


def test_datasets_with_bars_of_another_length_are_refused(derived):
    weeks = {**WEEKS, "adapter": "csv", "path": "weekly", "timeframe": "1w"}
    weeks.pop("source")
    shutil.copytree(derived.root / "prices", derived.root / "weekly")
    derived.configure(batch_config(bundles={"weeks": {**weeks, "timeframe": "1d"}},
                                   batch={"one": entry(bundle="weeks")}))  # fmt: skip
    ingest_all(derived)
    with pytest.raises(DatasetError, match=r"has bars of 1w and .* of 1d: no bar of one is"):
        trace(derived, "weeks")


def test_an_unknown_bundle_and_a_deleted_dataset_are_clear_errors(made):
    restate(made, "AAA", "2020-02-10", volume=77)
    made.ingest()
    first = trace(made).before
    with pytest.raises(DatasetError, match="ingested bundles: prices"):
        open_revision(made.bundles, "absent")
    shutil.rmtree(made.bundles / "prices" / first)
    with pytest.raises(DatasetError, match=f"and had {first}, which was deleted"):
        open_revision(made.bundles, "prices", first)
    with pytest.raises(DatasetError, match="has no dataset before"):
        open_revision(made.bundles, "prices")
