"""Ranking of searches, and what the ledger counts, on a store written by hand."""

import json
from datetime import UTC, datetime

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch.history.verdicts import judged_runs, verdict_lines


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "backtests", tmp_path)


def add_search(store, number, *, passed, dsr, failed=(), **identity):
    """Write what the ranking reads of a sealed search."""
    run = store.run(f"20260101_00000{number}_000")
    names = ("psr", "dsr", "pbo", "spa")
    gates = [
        {
            "name": name, "threshold": 0.5, "passed": name not in failed, "words": "",
            "figure": dsr if name == "dsr" else 0.97,
        }
        for name in names
    ]  # fmt: skip
    verdict = {"passed": passed, "summary": f"words {number}", "gates": gates, "params": {"n": 1}}
    write(run.results / "validation/verdict.json", verdict)
    write(run.selection, {"sets": 10 * number})
    spec = {"run_key": f"{number}" * 64, "labels": {"names": [f"search-{number}"]}}
    write(run.spec, {**spec, "backtest_id": run.backtest_id, "identity": identity})
    run.success.write_text("seal")
    return run


def test_runs_that_pass_come_first_then_more_gates_then_a_higher_deflated_ratio(store):
    add_search(store, 1, passed=False, dsr=0.99, failed=("pbo", "spa"))
    add_search(store, 2, passed=False, dsr=0.80, failed=("spa",))
    add_search(store, 3, passed=True, dsr=0.96)
    add_search(store, 4, passed=False, dsr=0.90, failed=("spa",), risk_free_rate="0.02")
    add_search(store, 5, passed=False, dsr=None, failed=("dsr",))
    found = judged_runs(store)
    assert [run.name for run in found] == [f"search-{n}" for n in (3, 4, 2, 5, 1)]
    assert [run.gates_passed for run in found] == [4, 3, 3, 3, 2]
    lines = list(verdict_lines(found))
    assert lines[1].split() == ["1", "search-3", "30", "0.970", "0.960", "0.970", "0.970", "-",
                                "4/4", "-"]  # fmt: skip
    assert lines[2] == "    20260101_000003_000  words 3"
    assert lines[4] == "    20260101_000004_000  over 2% a year  words 4"
    assert [run.to_dict()["risk_free_rate"] for run in found] == ["0", "0.02", "0", "0", "0"]
    assert lines[7].split()[3:5] == ["0.970", "-"]  # a ratio that could not be computed
    only = judged_runs(store, [store.run("20260101_000001_000")])
    assert [run.name for run in only] == ["search-1"]


def test_runs_without_a_verdict_or_a_seal_are_not_ranked(store):
    add_search(store, 1, passed=True, dsr=0.9).success.unlink()
    plain = store.run("20260101_000009_000")
    write(plain.spec, {"run_key": "9" * 64})
    plain.success.write_text("seal")
    assert judged_runs(store) == []
    (said,) = verdict_lines([])
    assert said.startswith("no sealed search was validated")


def add_look(store, key, *, start="2016-01-04", family="a.py", look=1, parent="1" * 64):
    record = {
        "run_key": key, "parent": parent, "dataset_id": "d", "family": family, "start": start,
        "end": "2018-12-31", "look": look, "opened_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    write(store.holdout_looks("d") / f"{key}.json", record)


def test_looks_count_by_strategy_file_and_dates_that_overlap(store):
    add_look(store, "a" * 64)
    add_look(store, "b" * 64, family="b.py")
    add_look(store, "c" * 64, start="2018-06-01", look=2)
    assert len(store.find_looks("d", "a.py", "2017-01-01", "2017-12-31")) == 1
    assert len(store.find_looks("d", "a.py", "2018-06-01", "2019-12-31")) == 2
    assert store.find_looks("d", "a.py", "2019-01-01", "2019-12-31") == []
    assert store.find_looks("e", "a.py", "2016-01-01", "2019-12-31") == []


def add_look_of(store, key, dataset, **more):
    record = {"run_key": key, "dataset_id": dataset, "family": "a.py", "look": 1}
    write(store.holdout_looks(dataset) / f"{key}.json", {**record, **more})


def test_looks_at_other_datasets_of_the_bundle_count_where_dates_overlap(store):
    dates = {"start": "2018-01-02", "end": "2018-12-31"}
    add_look_of(store, "1" * 64, "former", bundle="prices", **dates)
    add_look_of(store, "2" * 64, "strange", bundle="other", **dates)
    add_look_of(store, "3" * 64, "earlier", bundle="prices", start="2010-01-04", end="2010-12-31")
    add_look_of(store, "4" * 64, "now", **dates)
    found = store.find_looks("now", "a.py", "2018-06-01", "2019-12-31", bundle="prices")
    assert sorted(look["run_key"][0] for look in found) == ["1", "4"]
    assert len(store.find_looks("now", "a.py", "2018-06-01", "2019-12-31")) == 1
    assert store.find_looks("now", "b.py", "2018-06-01", "2019-12-31", bundle="prices") == []


def test_the_holdout_of_a_search_stands_beside_it_with_its_mark(store):
    add_search(store, 1, passed=True, dsr=0.96)
    looked = store.run("20260101_000008_000")
    key = "8" * 64
    store.claim(
        key, lambda claimed: {"backtest_id": claimed, "run_key": key}, None, name=looked.backtest_id
    )
    told = {"look": 2, "contaminated": True, "holdout": {"sharpe_ratio": 0.1234}}
    write(looked.results / "validation/holdout/validation-results.json", told)
    looked.success.write_text("seal")
    add_look(store, key, look=2)
    (found,) = judged_runs(store)
    assert found.holdout["look"] == 2
    assert found.holdout["seen_before"] == 0
    assert list(verdict_lines([found]))[1].split()[-1] == "0.123!"


def test_a_first_look_at_dates_that_a_run_had_shown_has_the_mark_too(store):
    add_search(store, 1, passed=True, dsr=0.96)
    looked = store.run("20260101_000008_000")
    key = "8" * 64
    store.claim(
        key, lambda claimed: {"backtest_id": claimed, "run_key": key}, None, name=looked.backtest_id
    )
    told = {"look": 1, "contaminated": False, "holdout": {"sharpe_ratio": 0.1234}}
    write(looked.results / "validation/holdout/validation-results.json", told)
    looked.success.write_text("seal")
    add_look(store, key)

    def holdout():
        (found,) = judged_runs(store)
        shown = list(verdict_lines([found]))[1].split()[-1]
        return found.holdout["seen_before"], found.holdout["contaminated"], shown

    record = {"run_key": "7" * 64, "dataset_id": "d", "family": "a.py", "run_type": "backtest"}
    dates = {"start": "2010-01-04", "end": "2018-12-31", "sets": 1}
    path = store.trial_path("d", "7" * 64)
    write(path, {**record, **dates, "started_at": "2026-01-01T00:00:01Z"})
    assert holdout() == (0, False, "0.123"), "it came after the look"
    write(path, {**record, **dates, "started_at": "2025-12-31T23:59:59Z"})
    assert holdout() == (1, True, "0.123!")


def add_trials(store, key, sets, *, family="a.py", dataset="d"):
    record = {"run_key": key, "dataset_id": dataset, "family": family, "sets": sets}
    write(store.ledger / "trials" / dataset / f"{key}.json", record)


def test_every_set_of_a_family_on_a_dataset_counts_but_those_of_the_run_itself(store):
    add_trials(store, "a" * 64, 72)
    add_trials(store, "b" * 64, 1)
    add_trials(store, "c" * 64, 500, family="other.py")
    add_trials(store, "e" * 64, 900, dataset="x")
    assert store.count_trials("d", "a.py", "f" * 64) == 73
    assert store.count_trials("d", "a.py", "a" * 64) == 1
    assert store.count_trials("none", "a.py", "a" * 64) == 0


def test_sets_on_other_datasets_of_the_bundle_count_where_dates_overlap(store):
    dates = {"start": "2015-01-02", "end": "2018-12-31"}

    def add(key, dataset, sets, *, family="a.py", **more):
        record = {"run_key": key * 64, "dataset_id": dataset, "family": family, "sets": sets}
        write(store.ledger / "trials" / dataset / f"{key * 64}.json", {**record, **more})

    add("a", "now", 1)  # on the dataset itself every set counts
    add("b", "former", 10, bundle="prices", **dates)
    add("c", "former", 100, bundle="prices", start="2001-01-02", end="2002-12-31")
    add("d", "strange", 1_000, bundle="other", **dates)
    add("e", "former", 10_000, bundle="prices", family="other.py", **dates)

    def count(**more):
        return store.count_trials("now", "a.py", **more)

    window = {"bundle": "prices", "window": ("2018-06-01", "2020-12-31")}
    assert count(**window) == 11
    assert count(bundle="prices") == 111
    assert count() == 1
    assert store.count_trials("now", "a.py", "b" * 64, **window) == 1
    # A script's record says no dates, and one of an older version nothing but the dataset.
    add("f", "former", 100_000)
    assert count(**window) == 100_011, "whose dataset it is, others in its folder say"
    add("0", "nobody", 1_000_000)
    assert count(**window) == 100_011


def test_records_of_older_versions_are_looked_up_by_the_spec_of_their_run(store):
    key = "7" * 64
    identity = {"start": "2015-01-02", "end": "2018-12-31"}

    def spec(claimed):
        return {
            "backtest_id": claimed, "run_key": key, "identity": identity,
            "labels": {"names": ["s"], "bundle": "prices"},
        }  # fmt: skip

    store.claim(key, spec, datetime(2026, 1, 1, tzinfo=UTC))
    add_trials(store, key, 5, dataset="former")
    window = ("2018-06-01", "2020-12-31")
    assert store.count_trials("now", "a.py", bundle="prices", window=window) == 5
    assert store.count_trials("now", "a.py", bundle="other", window=window) == 0
    later = ("2019-06-01", "2020-12-31")
    assert store.count_trials("now", "a.py", bundle="prices", window=later) == 0
    store.key_path(key).write_text("no json")
    assert store.count_trials("now", "a.py", bundle="prices", window=window) == 0
