import pickle
import signal

import pytest

from backtrail.batch.execution.outcome import Limits, read_outcome

LIMITS = Limits(seconds=2.5, memory_bytes=300_000_000)
WHOLE = pickle.dumps({"tables": {}})


def exit_status(code):
    return code << 8


def read(output, status, *, timed_out=False):
    ended = {"status": status, "cpu_seconds": 0.5, "max_rss": 2000}
    return read_outcome(output, ended, 1.25, LIMITS, timed_out=timed_out)


def test_a_whole_answer_of_a_child_that_ended_well_is_its_answer():
    outcome = read(WHOLE, exit_status(0))
    assert (outcome.answer, outcome.kind, outcome.message) == ({"tables": {}}, None, "")
    assert (outcome.seconds, outcome.cpu_seconds, outcome.max_rss_mb) == (1.25, 0.5, 2.048)


@pytest.mark.parametrize(
    ("output", "status", "timed_out", "kind", "message"),
    [
        (WHOLE, signal.SIGKILL, True, "timeout", "stopped after its time limit of 2.5 s"),
        (b"", signal.SIGXCPU, False, "timeout", "stopped after its time limit of 2.5 s"),
        (WHOLE, signal.SIGSEGV, False, "signal", "the run was ended by SIGSEGV"),
        (b"", exit_status(3), False, "exit", "ended its process with code 3"),
        (WHOLE[:-3], exit_status(0), False, "exit", "they are cut off"),
    ],
)
def test_a_child_that_ended_otherwise_has_no_answer(output, status, timed_out, kind, message):
    outcome = read(output, int(status), timed_out=timed_out)
    assert (outcome.answer, outcome.kind) == (None, kind)
    assert message in outcome.message


def test_an_error_that_was_handed_over_is_told_as_it_is():
    error = {"kind": "KeyError", "message": "'x'", "traceback": "line 3"}
    outcome = read(pickle.dumps({"error": error}), exit_status(1))
    assert (outcome.answer, outcome.kind, outcome.message) == (None, "KeyError", "'x'")
    assert outcome.traceback == "line 3"


def test_a_lack_of_memory_names_the_limit():
    error = {"kind": "memory", "message": "Unable to allocate", "traceback": ""}
    outcome = read(pickle.dumps({"error": error}), exit_status(1))
    assert outcome.message == "the run outgrew its memory limit of 300 MB"
