from datetime import UTC, datetime

import backtrail
from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.sandbox import Outcome
from backtrail.batch.stages.records import (
    begin_record,
    captured_record,
    failure_record,
    finished_record,
    trial_record,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SPEC = {
    "backtest_id": "20260102_000000_000",
    "run_key": "k",
    "identity": {
        "run_type": "backtest",
        "strategy": {"entry": "strategies/s.py", "code_hash": "c"},
        "dataset": {"dataset_id": "d"},
        "params": {"fast": 3},
        "start": "2020-01-02",
        "end": "2020-12-31",
    },
    "labels": {"names": ["a"], "bundle": "b"},
    "origin": {"git": None},
    "code": {"warnings": ["a.py, line 3: importlib.import_module(name) is not followed"]},
}


def test_a_run_begins_as_running_and_counts_its_attempts():
    first = begin_record(SPEC, None, NOW)
    assert (first["status"], first["attempt"], first["error"]) == ("running", 1, None)
    assert first["started_at"] == "2026-01-02T00:00:00Z"
    assert first["framework_version"] == backtrail.__version__
    assert first["warnings"] == {"capture": 1, "printed": None}
    assert begin_record(SPEC, first, NOW)["attempt"] == 2


def test_a_failure_keeps_the_last_lines_of_both_logs(tmp_path):
    run = RunDir(tmp_path)
    run.logs.mkdir()
    (run.logs / "stdout.txt").write_text("".join(f"line {number}\n" for number in range(100)))
    warned = b"s.py:3: UserWarning: thin\n  warn('thin')\nlib/a.py:12: RuntimeWarning: x: y\n"
    (run.logs / "stderr.txt").write_bytes(warned + b"no Warning: of Python's\nbad \xff byte\n")
    outcome = Outcome(
        None, "timeout", "too long", "", 1.23456789, 0.5, 20.00049, prepare_seconds=0.25
    )
    record = captured_record(SPEC, 0.5, NOW)
    failed = failure_record(record, outcome, None, run, NOW)
    assert failed["error"]["log"][:20] == [f"line {n}" for n in range(80, 100)]
    assert failed["error"]["log"][-1] == "bad \ufffd byte"
    assert failed["warnings"] == {"capture": 1, "printed": 2}
    assert failed["timings"] == {
        "capture_seconds": 0.5,
        "prepare_seconds": 0.25,
        "execute_seconds": 1.234568,
        "cpu_seconds": 0.5,
        "max_rss_mb": 20.0,
        "total_seconds": 1.984568,
    }
    assert (failed["grade"], failed["gaps"]) == (
        "D",
        [
            "the run failed; it has no results",
            "the run was ended before it could tell what it had used",
        ],
    )


def test_what_of_the_stage_was_neither_preparing_nor_executing_was_writing(tmp_path):
    outcome = Outcome({}, None, "", "", 1.25, 0.5, 20.0, prepare_seconds=0.5)
    record = captured_record(SPEC, 0.125, NOW)
    finished = finished_record(record, outcome, {}, {}, {}, RunDir(tmp_path), NOW, seconds=2.0)
    assert finished["timings"] == {
        "capture_seconds": 0.125,
        "prepare_seconds": 0.5,
        "execute_seconds": 1.25,
        "cpu_seconds": 0.5,
        "max_rss_mb": 20.0,
        "write_seconds": 0.25,
    }
    assert finished["warnings"] == {"capture": 1, "printed": None}, "there is no log"


BEGAN = "2026-01-02T03:04:05Z"


def test_a_trial_counts_one_parameter_set_of_a_family():
    record = trial_record(SPEC, started_at=BEGAN)
    assert (record["family"], record["sets"], record["dataset_id"]) == ("strategies/s.py", 1, "d")
    found = (record["bundle"], record["start"], record["end"])
    assert found == ("b", "2020-01-02", "2020-12-31")
    assert (record["started_at"], "withheld" in record) == (BEGAN, False)
    holdout = {"start": "2020-10-01", "warm_up": 0}
    search = {**SPEC, "identity": {**SPEC["identity"], "validate": {"holdout": holdout}}}
    withheld = trial_record(search, started_at=BEGAN)
    assert (withheld["withheld"], withheld["end"]) == ("2020-10-01", "2020-12-31")
    other = {**SPEC, "identity": {**SPEC["identity"], "params": {"fast": 4}}}
    assert trial_record(other, started_at=BEGAN)["sets_sha256"] != record["sets_sha256"]
