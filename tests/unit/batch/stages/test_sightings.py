"""Who saw withheld dates: exact counts for runs in planted orders, on ledgers and on real runs."""

import json
from dataclasses import replace

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.backtest import record_trials
from backtrail.batch import stages
from backtrail.batch.closing.index import render_store_index
from backtrail.batch.closing.linking import link_catalog
from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.history.showing import run_text
from backtrail.batch.holdout import open_holdout
from backtrail.batch.stages.sightings import FamilyRecords, StoreLooks
from backtrail.batch.stages.trials import TrialCounts
from backtrail.batch.tending.archiving import archive_runs
from backtrail.batch.tending.deleting import delete_runs
from backtrail.batch.tending.importing import import_archive
from backtrail.files import write_json
from backtrail.reports.looks import HoldoutLooks
from tests.unit.batch.stages.test_searching import SIGNAL, finish, plan_search
from tests.unit.batch.support import Project, batch_config, entry
from tests.unit.batch.tending.support import NOW, copy_project

FAMILY = "strategies/s.py"


class Ledger:
    """A ledger written by hand: one strategy file on one bundle, a record a day."""

    def __init__(self, store):
        self.store = store
        self.days = 0

    def add(self, name, start, end, *, dataset="now", family=FAMILY, bundle="prices", **more):
        self.days += 1
        record = {
            "run_key": name, "dataset_id": dataset, "bundle": bundle, "start": start, "end": end,
            "started_at": f"2026-01-{self.days:02d}T00:00:00Z", "family": family, "sets": 1,
            "run_type": "backtest", "code_hash": "c", "sets_sha256": f"set of {name}", **more,
        }  # fmt: skip
        write_json(self.store.trial_path(dataset, name), record)
        return self

    def search(self, name, start, withheld, end, **more):
        kept = {"run_type": "optimization", "sets": 8, "withheld": withheld}
        return self.add(name, start, end, **{**kept, **more})

    def look(self, name, parent, start, end, *, number=1, dataset="now", **more):
        """Add the record of a look, which is taken before its run begins."""
        self.add(name, "2019-06-03", end, dataset=dataset, run_type="holdout", **more)
        record = {
            "run_key": name, "parent": parent, "dataset_id": dataset, "bundle": "prices",
            "family": FAMILY, "start": start, "end": end, "look": number,
            "opened_at": f"2026-01-{self.days:02d}T00:00:00Z",
        }  # fmt: skip
        write_json(self.store.holdout_looks(dataset) / f"{name}.json", record)
        return self

    def of(self, name, start="2010-01-04", *, dataset="now", bundle="prices"):
        path = self.store.trial_path(dataset, name)
        began = json.loads(path.read_bytes()).get("started_at")
        records = FamilyRecords(self.store, dataset, FAMILY, bundle)
        return records.looks(start, run_key=name, began=began)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(RunStore(tmp_path / "backtests", tmp_path))


def test_runs_over_the_withheld_dates_count_before_and_after_and_others_do_not(ledger):
    ledger.add("before", "2010-01-04", "2020-12-31")
    ledger.add("inside", "2010-01-04", "2019-12-31")  # the last day before the holdout
    ledger.search("search", "2010-01-04", "2020-01-01", "2020-12-31")
    ledger.add("touching", "2010-01-04", "2020-01-01")  # its first day
    ledger.add("whole", "2010-01-04", "2020-12-31", run_type="optimization", sets=72)
    ledger.add("other", "2010-01-04", "2020-12-31", family="strategies/t.py")
    ledger.add("market", "2010-01-04", "2020-12-31", dataset="x", bundle="other")
    assert ledger.of("search") == HoldoutLooks(0, contaminated=True, seen=3, before=1)
    assert ledger.of("search").words == "not opened, but seen in 3 runs, contaminated"
    assert ledger.of("search").state == "not opened, but seen in other runs, contaminated"
    told = ledger.of("inside")
    assert (told.seen, told.contaminated) == (3, True), "every page of the file has it"
    records = FamilyRecords(ledger.store, "now", "strategies/t.py", "prices")
    assert records.looks("2010-01-04") == HoldoutLooks()


def test_a_search_that_nothing_else_shows_is_not_looked_at_and_a_first_look_is_clean(ledger):
    ledger.add("inside", "2010-01-04", "2019-12-31")
    ledger.search("search", "2010-01-04", "2020-01-02", "2020-12-31")
    ledger.search("again", "2010-01-04", "2020-01-02", "2020-12-31")
    ledger.search("earlier", "2010-01-04", "2019-01-02", "2020-12-31")
    assert ledger.of("search") == HoldoutLooks()
    assert ledger.of("search").words == "not looked at"
    ledger.look("look", "search", "2020-01-02", "2020-12-31")
    assert ledger.of("search") == HoldoutLooks(1)
    assert ledger.of("look") == HoldoutLooks(1)


def test_a_search_that_withholds_less_shows_what_another_one_withholds_more(ledger):
    ledger.search("more", "2010-01-04", "2019-01-02", "2020-12-31")
    ledger.search("less", "2010-01-04", "2020-01-02", "2020-12-31")
    assert ledger.of("more") == HoldoutLooks(0, contaminated=True, seen=1)
    assert ledger.of("less") == HoldoutLooks(), "its own dates were seen by nobody"
    # The account of a look begins before its holdout, in dates that another search withholds.
    ledger.look("look", "less", "2020-01-02", "2020-12-31")
    assert ledger.of("more") == HoldoutLooks(1, contaminated=True, seen=1), "a look is no run more"
    assert ledger.of("less") == HoldoutLooks(1)


def test_the_set_that_was_looked_at_may_be_run_again_but_not_before_nor_changed(ledger):
    chosen = {"sets_sha256": "chosen"}
    ledger.search("search", "2010-01-04", "2020-01-02", "2020-12-31")
    ledger.look("look", "search", "2020-01-02", "2020-12-31", **chosen)
    ledger.add("after", "2010-01-04", "2020-12-31", **chosen)
    assert ledger.of("search") == HoldoutLooks(1)
    ledger.add("code", "2010-01-04", "2020-12-31", code_hash="d", **chosen)
    ledger.add("params", "2010-01-04", "2020-12-31")
    ledger.add("longer", "2010-01-04", "2021-12-31", **chosen)  # its holdout ends with 2020
    told = ledger.of("search")
    assert (told.seen, told.before) == (2, 0)
    assert told.words == "1 look, seen in 2 runs, contaminated"
    ledger.search("next", "2010-01-04", "2020-01-02", "2021-12-31")
    assert ledger.of("next").seen == 3, "2021 was in no look"


def test_the_set_that_was_looked_at_counts_when_its_run_came_first(ledger):
    chosen = {"sets_sha256": "chosen"}
    ledger.add("first", "2010-01-04", "2020-12-31", **chosen)
    ledger.search("search", "2010-01-04", "2020-01-02", "2020-12-31")
    ledger.look("look", "search", "2020-01-02", "2020-12-31", **chosen)
    assert ledger.of("look") == HoldoutLooks(1, contaminated=True, seen=1, before=1)
    path = ledger.store.holdout_looks("now") / "look.json"
    assert TrialCounts(ledger.store).seen_before(json.loads(path.read_bytes())) == 1


def test_other_datasets_of_the_bundle_and_scripts_count_and_unknown_times_are_before(ledger):
    ledger.add("former", "2010-01-04", "2020-06-30", dataset="then")
    ledger.search("search", "2010-01-04", "2020-01-02", "2020-12-31")
    assert ledger.of("search") == HoldoutLooks(0, contaminated=True, seen=1, before=1)
    script = {"run_key": "script", "dataset_id": "now", "family": FAMILY, "run_type": "script"}
    dated = {"sets": 5, "sets_sha256": "s", "code_hash": "c", "start": "2010-01-04"}
    write_json(ledger.store.trial_path("now", "script"), {**script, **dated, "end": "2019-12-31"})
    assert ledger.of("search").seen == 1
    write_json(ledger.store.trial_path("now", "script"), {**script, "sets": 5})
    told = ledger.of("search")
    assert (told.seen, told.before) == (2, 2), "a script that says no dates tried all of them"


def test_records_of_an_older_version_are_completed_by_the_specs_of_their_runs(ledger):
    holdout = {"holdout": {"start": "2020-01-02", "warm_up": 0}}
    identity = {"start": "2010-01-04", "end": "2020-12-31", "validate": holdout}
    spec = {"backtest_id": "old", "run_key": "5" * 64, "identity": identity}
    ledger.store.claim("5" * 64, lambda _: {**spec, "labels": {"bundle": "prices"}}, NOW)
    ledger.search("5" * 64, "2010-01-04", "2020-01-02", "2020-12-31")
    path = ledger.store.trial_path("now", "5" * 64)
    known = json.loads(path.read_bytes())
    write_json(path, {k: v for k, v in known.items() if k not in ("withheld", "started_at")})
    assert ledger.of("5" * 64) == HoldoutLooks(), "it withheld them, and shows nothing of them"
    ledger.add("plain", "2010-01-04", "2020-12-31")
    assert ledger.of("5" * 64).seen == 1
    ledger.store.key_path("5" * 64).unlink()
    records = FamilyRecords(ledger.store, "now", FAMILY, "prices")
    assert records.looks("2010-01-04", run_key="5" * 64) == HoldoutLooks(), "nobody knows it"
    ledger.look("look", "5" * 64, "2020-01-02", "2020-12-31")
    records = FamilyRecords(ledger.store, "now", FAMILY, "prices")
    told = records.looks("2010-01-04", run_key="5" * 64)
    assert (told.count, told.seen) == (1, 1), "the look says what its search withheld"


def test_rows_of_a_store_are_told_the_same_and_plain_stores_ask_nothing(ledger, monkeypatch):
    ledger.add("a", "2010-01-04", "2020-12-31")
    row = {
        "strategy": FAMILY, "dataset_id": "now", "bundle": "prices", "start_date": "2010-01-04",
        "run_key": "a", "started_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    assert StoreLooks(ledger.store).of(row) == HoldoutLooks()
    ledger.search("search", "2010-01-04", "2020-01-02", "2020-12-31")
    looks = StoreLooks(ledger.store)
    assert looks.of(row) == HoldoutLooks(0, contaminated=True, seen=1)
    mine = {**row, "run_key": "search", "started_at": "2026-01-01T00:00:00.5Z"}
    assert looks.of(mine) == replace(looks.of(row), before=1)
    assert looks.of({**row, "start_date": "2021-01-04"}) == HoldoutLooks(), "it begins later"
    assert looks.of({**row, "strategy": "strategies/t.py"}) == HoldoutLooks()


HOLDOUT = {"holdout": {"start": "2020-02-10", "warm_up": 5}}


def run_plain(project, **keys):
    """Run the strategy as it is, with what an entry says; return its directory."""
    project.configure(batch_config(batch={"p": entry(**keys)}))
    plan, failed = project.run()
    assert not failed
    return project.store.run(plan.runs[0].backtest_id)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A run of all dates, a search that withholds some, a run before them, a run after it."""
    project = Project.make(tmp_path_factory.mktemp("planted") / "project")
    project.write("strategies/sma.py", SIGNAL)
    first = run_plain(project, params={"fast": 2, "slow": 8})
    backtest_id, chunks = plan_search(project, validate=HOLDOUT)
    search = finish(project, backtest_id, chunks)
    run_plain(project, end="2020-02-07")
    later = run_plain(project, params={"fast": 3, "slow": 8}, start="2020-01-03")
    return project, first, search, later


def test_pages_the_look_and_the_comparison_page_tell_the_same_of_real_runs(planted, tmp_path):
    project = copy_project(planted[0], tmp_path / "project")
    store, search = project.store, project.store.run(planted[2].backtest_id)
    said = "Holdout: not opened, but seen in 2 runs, contaminated<"
    (page,) = stages.render_report(store, search.backtest_id, project.bundles)
    text = page.read_text()
    assert 'data-looks="0" data-contaminated="yes" data-seen="2"' in text
    assert said in text
    assert "2020-02-10 to 2020-02-26, withheld; not opened, but seen in 2 runs" in text
    assert "2 runs of strategies/sma.py that are no looks show dates of this holdout" in text
    assert "and 1 of them began before this search" in text
    shown = "from 2020-02-10 on, withheld from the search; not opened, but seen in 2 runs"
    assert shown in run_text(search)
    (plain,) = stages.render_report(store, planted[1].backtest_id, project.bundles)
    text = plain.read_text()
    assert said in text
    assert "2 runs of strategies/sma.py show dates that a search of it withheld" in text
    opened = open_holdout(store, search, project.bundles, Limits())
    assert (opened.look, opened.seen_before, opened.contaminated) == (1, 2, True)
    sealed = store.run(opened.backtest_id).results / "validation/holdout/validation-results.json"
    assert json.loads(sealed.read_bytes())["contaminated"] is False, "it was the first look"
    link_catalog(f"sqlite:///{project.root}/catalog.sqlite", store, project.bundles)
    render_store_index(store, project.bundles)
    index = store.index.read_text()
    assert '"looks":{"0":[1,1,2],"1":[1,1,2],"2":[1,1,2],"3":[1,1,2],"4":[1,1,2]}' in index
    assert store.run(opened.backtest_id).reports.exists()
    text = (store.run(opened.backtest_id).reports / "basic_report.html").read_text()
    assert "show dates of this holdout, and all of them began before this look" in text


def test_a_deletion_takes_no_sighting_back_and_an_archive_carries_them(planted, tmp_path):
    project = copy_project(planted[0], tmp_path / "project")
    _, first, search, later = planted
    file, other = tmp_path / "runs.tar", Project(tmp_path / "other")
    chosen = [project.store.run(run.backtest_id) for run in (search, first)]
    archive_runs(project.store, chosen, project.bundles, file)
    delete_runs(project.store, [first.backtest_id, later.backtest_id], now=NOW)
    told = TrialCounts(project.store).looks(project.store.run(search.backtest_id))
    assert told == HoldoutLooks(0, contaminated=True, seen=2, before=1)
    import_archive(other.store, other.bundles, file)
    told = TrialCounts(other.store).looks(other.store.run(search.backtest_id))
    assert told == HoldoutLooks(0, contaminated=True, seen=1, before=1)


def test_the_selected_set_run_after_the_look_is_no_sighting_and_a_run_more_no_stale_page(
    project,
):
    backtest_id, chunks = plan_search(project, validate=HOLDOUT)
    search = finish(project, backtest_id, chunks)
    opened = open_holdout(project.store, search, project.bundles, Limits())
    assert (opened.seen_before, opened.contaminated) == (0, False)
    run_plain(project, params=search.read_selection()["params"])
    counts = TrialCounts(project.store)
    assert counts.looks(search) == HoldoutLooks(1)
    (page,) = stages.render_report(project.store, backtest_id, project.bundles)
    assert "Holdout: 1 look<" in page.read_text()
    for fast, is_stale in ((3, True), (2, False)):
        run_plain(project, params={"fast": fast, "slow": 9})
        before = page.read_bytes()
        stages.render_report(project.store, backtest_id, project.bundles, only_stale=True)
        assert (page.read_bytes() != before) is is_stale
    assert "Holdout: 1 look, seen in 1 run, contaminated<" in page.read_text(), "when it was made"
    assert "since this search began, 1 run of strategies/sma.py showed dates" in page.read_text()
    assert TrialCounts(project.store).looks(search).seen == 2


def test_a_script_says_which_dates_it_tried(planted, tmp_path, monkeypatch):
    project = copy_project(planted[0], tmp_path / "project")
    (project.root / "Snakefile").touch()
    monkeypatch.chdir(project.root)
    search = project.store.run(planted[2].backtest_id)
    counted = {
        "strategy": "strategies/sma.py", "base_dir": project.store.base_dir,
        "dataset_id": search.read_spec()["identity"]["dataset"]["dataset_id"],
    }  # fmt: skip
    record_trials([{"fast": 7}], start="2020-01-02", end="2020-02-07", **counted)
    assert TrialCounts(project.store).looks(search).seen == 2
    record_trials([{"fast": 7}], start="2020-01-02", end="2020-02-10", **counted)
    assert TrialCounts(project.store).looks(search).seen == 3
    for wrong, said in (
        ({"start": "2020-01-02"}, "go together"),
        ({"start": "2020-02-02", "end": "2020-01-02"}, "is after end"),
        ({"start": "soon", "end": "2020-01-02"}, "'soon' is no date"),
    ):
        with pytest.raises(ValueError, match=said):
            record_trials([{"fast": 7}], **wrong, **counted)
