import subprocess
import sys
import textwrap

import pytest

from backtrail.jobs import failed_attempts

SCRIPT = """
import logging, sys
from types import SimpleNamespace
from backtrail.errors import ConfigError, DatasetError, Problem
from backtrail.jobs import job_logging

with job_logging(SimpleNamespace(log=[{log!r}] if {log!r} else [])):
    logging.getLogger("backtrail.x").info("one of %d", 3)
    print("said")
    {body}
"""


def run(log, body):
    script = textwrap.dedent(SCRIPT).format(log=str(log) if log else "", body=body)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


def test_a_job_logs_into_the_file_of_its_rule(tmp_path):
    log = tmp_path / "logs" / "rule" / "a.log"
    result = run(log, "pass")
    assert (result.returncode, result.stdout, result.stderr) == (0, "said\n", "")
    assert log.read_text().endswith(" INFO one of 3\n")
    run(log, "pass")
    assert log.read_text().count("one of 3") == 1, "a job begins a new log"


def test_a_job_without_a_log_file_logs_to_standard_error():
    assert run(None, "pass").stderr.endswith(" INFO one of 3\n")


@pytest.mark.parametrize("has_log", [True, False])
def test_an_error_of_ours_is_shown_without_a_traceback(tmp_path, has_log):
    log = tmp_path / "a.log" if has_log else None
    result = run(log, "raise ConfigError([Problem('c.yaml: seed', 'it is -1', 'write 1')])")
    message = "ConfigError: 1 mistake:\n  - c.yaml: seed: it is -1; write 1\n"
    assert result.returncode == 1
    assert result.stderr.endswith(message)
    assert "Traceback" not in result.stderr
    if log:
        assert log.read_text().endswith(message)


def test_any_other_error_keeps_its_traceback_in_both_places(tmp_path):
    log = tmp_path / "a.log"
    result = run(log, "1 / 0")
    assert result.returncode == 1
    for text in (result.stderr, log.read_text()):
        assert "Traceback (most recent call last)" in text
        assert "ZeroDivisionError: division by zero" in text


def test_a_full_disk_is_told_in_a_sentence_and_its_traceback_is_in_the_log(tmp_path):
    log = tmp_path / "a.log"
    result = run(log, "open('/dev/full', 'wb', buffering=0).write(b'x')")
    message = (
        "StoreUnavailableError: cannot write a file: No space left on device; make room, or name "
        "another disk\n"
    )
    assert (result.returncode, result.stderr) == (1, message)
    assert log.read_text().endswith(message)
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_file_that_is_not_there_is_a_mistake_of_ours_and_keeps_its_traceback(tmp_path):
    result = run(tmp_path / "a.log", "open('/no/such/file')")
    assert result.returncode == 1
    assert "Traceback (most recent call last)" in result.stderr


COUNTED = """
import sys
from types import SimpleNamespace
from backtrail.errors import DatasetError
from backtrail.jobs import failed_attempts, job_logging

failures = failed_attempts({log!r})
with job_logging(SimpleNamespace(log=[{log!r}], params=SimpleNamespace(failures=failures))):
    {body}
"""


def attempt(log, body):
    script = textwrap.dedent(COUNTED).format(log=str(log), body=body)
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    return failed_attempts(str(log))


def test_attempts_that_fail_are_counted_and_the_count_outlasts_a_success(tmp_path):
    log = tmp_path / "logs" / "rule" / "a.b.log"
    assert failed_attempts(str(log)) == 0
    assert attempt(log, "pass") == 0
    assert [path.name for path in log.parent.iterdir()] == ["a.b.log"]
    assert attempt(log, "raise DatasetError('bad')") == 1
    assert attempt(log, "import os; os.kill(os.getpid(), 9)") == 2
    assert attempt(log, "pass") == 2
    assert attempt(log, "raise KeyError") == 3
