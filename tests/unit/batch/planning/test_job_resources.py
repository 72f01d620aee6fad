import pytest

from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.planning.job_resources import job_megabytes, job_minutes, report_minutes


@pytest.mark.parametrize(
    ("memory_bytes", "megabytes"), [(2 * 10**9, 3000), (800 * 10**6, 1800), (1_500_000, 1002)]
)
def test_a_job_asks_for_the_memory_of_a_run_and_of_the_stages_around_it(memory_bytes, megabytes):
    assert job_megabytes(Limits(60.0, memory_bytes)) == megabytes


@pytest.mark.parametrize(
    ("seconds", "runs", "minutes"),
    [
        (600.0, 1, 20),
        (90.0, 1, 12),
        (5.0, 1, 11),
        (90.0, 3, 16),
        (600.0, 72, 730),
        (600.0, 200, 730),  # no longer than half a day ...
        (86_400.0, 200, 1450),  # ... but one run always fits
    ],
)
def test_a_job_asks_for_the_time_that_its_runs_may_take(seconds, runs, minutes):
    assert job_minutes(Limits(seconds, 10**9), runs) == minutes


@pytest.mark.parametrize(("runs", "minutes"), [(1, 11), (50, 15), (51, 16), (10_000, 1010)])
def test_a_job_of_reports_asks_for_more_time_when_it_has_more_runs(runs, minutes):
    assert report_minutes(runs) == minutes
