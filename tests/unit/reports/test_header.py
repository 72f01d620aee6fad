from dataclasses import replace

import pytest

from backtrail.reports.header import Fact, header_of, verdict_words
from backtrail.reports.rundata import read_run

from . import runs


def header(tmp_path, *, dataset=None, grade=None, **changes):
    store = runs.write_small_run(tmp_path, **changes)
    return header_of(read_run(store.run_dir), dataset=dataset, bars=60, grade=grade)


def test_every_assumption_behind_the_numbers_is_stated(tmp_path):
    facts = {fact.name: fact.value for fact in header(tmp_path).facts}
    assert facts == {
        "Strategy": "strategies/sma_cross.py (class form)",
        "Look-ahead": "none: data ends with the bar that is decided on",
        "Parameters": "fast=10, slow=30",
        "Symbols": "SPX",
        "Period": "1999-01-04 to 2018-12-31, 60 bars",
        "Benchmark": "SPX",
        "Starting capital": "100,000",
        "Commission": "0.0005 per dollar traded",
        "Slippage": "none",
        "Orders fill at": "next open",
        "Sized at": "signal close",
        "Shares": "whole",
        "When cash is short": "clip",
        "Engine, ledger": "event, decimal",
        "Seed": "20260101",
        "Bundle": "us-indices",
        "Calendar, timeframe": "XNYS, 1d",
        "Dataset": runs.DATASET_ID,
        "Backtest": runs.BACKTEST_ID,
        "Code": "c0de" * 16,
        "Library": "f1b5" * 16,
    }


def test_a_verdict_is_passed_not_passed_or_none_at_all():
    said = {"summary": "Words."}
    assert verdict_words({"passed": True, "judged": True, **said}) == "Validation passed."
    assert verdict_words({"passed": False, "judged": True, **said}) == "Validation not passed."
    assert verdict_words({"passed": False, **said}) == "Validation not passed."
    assert verdict_words({"passed": False, "judged": False, **said}) == "Checked, and not judged."


def test_a_risk_free_rate_is_an_assumption_where_there_is_one(tmp_path):
    facts = {fact.name: fact.value for fact in header(tmp_path, risk_free_rate="0.0525").facts}
    assert facts["Risk-free rate"] == "5.25% a year; the account's own cash earns nothing"


@pytest.mark.parametrize("form", ["signal", "step"])
def test_a_form_that_gets_whole_columns_says_whether_look_ahead_was_checked(tmp_path, form):
    strategy = {"entry": "strategies/s.py", "form": form, "code_hash": "c0de" * 16}
    asked = {"unchecked": {}, "luck_alone": {"monte_carlo": {}}, "checked": {"bias": {}}}
    said = {
        name: {
            fact.name: fact.value
            for fact in header(tmp_path / name, strategy=strategy, validate=validate).facts
        }["Look-ahead"]
        for name, validate in asked.items()
    }
    assert said["checked"] == "checked, see Validation"
    assert said["unchecked"] == said["luck_alone"]
    assert said["unchecked"].startswith("not checked: ")
    assert "validate: {bias: {}}" in said["unchecked"]


def test_a_raised_grade_replaces_the_sealed_one(tmp_path):
    assert header(tmp_path / "sealed").grade == "B"
    assert header(tmp_path / "raised", grade="A").grade == "A"


def test_fills_on_the_bar_of_the_decision_are_said_aloud(tmp_path):
    (note,) = header(tmp_path, execution={"fill": "same_close"}).notes
    assert "close of the bar they were decided on" in note


def test_the_commit_that_a_run_was_planned_at_is_a_fact(tmp_path):
    store = runs.write_small_run(tmp_path)
    record = read_run(store.run_dir)
    git = {"commit": "ab" * 20, "branch": "main", "dirty": True}
    spec = {**record.spec, "origin": {"git": git}}
    facts = header_of(replace(record, spec=spec), dataset=None, bars=60).facts
    said = f"{'ab' * 20} on main, with changes that are not committed"
    assert Fact("Commit", said, code=True) in facts


def test_packages_and_what_came_from_outside_are_stated(tmp_path):
    store = runs.write_small_run(tmp_path)
    record = read_run(store.run_dir)
    usage = {"packages": {"polars": "1.2", "numpy": "2.0"}}
    record.manifest.update(usage=usage, gaps=["a was read", "b was started"])
    made = header_of(record, dataset=None, bars=60)
    assert made.facts[-1] == Fact("Packages", "numpy 2.0, polars 1.2")
    assert made.gaps == ("a was read", "b was started")
    record.manifest.update(gaps=[f"{number} was read" for number in range(500)])
    gaps = header_of(record, dataset=None, bars=60).gaps
    assert (len(gaps), gaps[7]) == (9, "7 was read")
    assert gaps[8] == "492 more of the kind, listed in run.json under gaps"


def test_several_symbols_and_no_benchmark_are_said_in_words(tmp_path):
    made = header(tmp_path, symbols=["A", "B"], benchmark=None)
    assert "on 2 symbols" in made.lead
    assert {fact.name: fact.value for fact in made.facts}["Benchmark"] == "none"
    assert made.synthetic is None


def test_warnings_are_a_fact_and_the_time_a_run_took_is_on_no_page(tmp_path):
    record = read_run(runs.write_small_run(tmp_path).run_dir)
    before = header_of(record, dataset=None, bars=60).facts
    record.manifest.update(warnings={"capture": 0, "printed": 0}, timings={"total_seconds": 1.75})
    assert header_of(record, dataset=None, bars=60).facts == before
    record.manifest.update(warnings={"capture": 0, "printed": 3})
    added = Fact("Warnings", "3 in logs/stderr.txt")
    assert header_of(record, dataset=None, bars=60).facts == (*before, added)
