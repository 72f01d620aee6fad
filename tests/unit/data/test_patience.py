import logging
from datetime import UTC, datetime, timedelta

import pytest

from backtrail.data.patience import Patience, answered_at, retry_after

NOW = datetime(2024, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("Sat, 01 Jun 2024 12:00:30 GMT", 30.0),
        ("Sat, 01 Jun 2024 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header, seconds):
    assert retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("header", "moment"),
    [
        ("Sat, 01 Jun 2024 11:59:00 GMT", NOW - timedelta(minutes=1)),
        ("Sat, 01 Jun 2024 12:01:00 GMT", NOW),
        ("nonsense", NOW),
        (None, NOW),
    ],
)
def test_an_answer_is_never_later_than_our_own_clock_says(header, moment):
    assert answered_at(header, NOW) == moment


def test_waits_double_up_to_a_longest_one(caplog):
    patience = Patience(retries=4, first_wait=0.001, longest_wait=0.003)
    with caplog.at_level(logging.WARNING):
        assert [patience.wait(attempt, None, "slow") for attempt in range(1, 6)] == [
            True,
            True,
            True,
            True,
            False,
        ]
    seconds = [record.args[1] for record in caplog.records]
    assert seconds == [0.001, 0.002, 0.003, 0.003]
    assert caplog.messages[0] == "slow; asking again in 0.0 s (1 of 4)"


def test_a_wait_longer_than_the_longest_is_not_begun():
    assert not Patience(retries=4, longest_wait=10).wait(1, 11.0, "banned")
    assert Patience(retries=4, longest_wait=10).wait(1, 0.0, "banned")
