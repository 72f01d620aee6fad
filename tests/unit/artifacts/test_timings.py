"""Seconds of the phases of a run, and the warnings it told."""

import pytest

from backtrail.artifacts.timings import (
    known_before_the_seal,
    phase_seconds,
    timing_words,
    warning_words,
    with_total,
)

# As they stand in a file, sorted by name.
SEARCH = {
    "capture_seconds": 0.25, "check_bias_cpu_seconds": 9.0, "check_bias_max_rss_mb": 80.0,
    "check_bias_seconds": 4.0, "chunks": 3, "cpu_seconds": 9.0, "execute_seconds": 1.0,
    "max_rss_mb": 90.0, "prepare_seconds": 0.5, "seal_seconds": 0.125, "search_cpu_seconds": 9.0,
    "search_seconds": 8.0, "write_seconds": 0.125,
}  # fmt: skip


def test_phases_are_wall_time_alone_in_the_order_of_a_run():
    assert list(phase_seconds(SEARCH).items()) == [
        ("capture", 0.25), ("search", 8.0), ("prepare", 0.5), ("execute", 1.0), ("write", 0.125),
        ("check_bias", 4.0), ("seal", 0.125),
    ]  # fmt: skip


def test_the_total_is_the_sum_of_the_phases_and_no_phase_of_itself():
    whole = with_total(SEARCH)
    assert whole == {**SEARCH, "total_seconds": 14.0}
    assert with_total(whole) == whole
    assert known_before_the_seal(whole) == {k: v for k, v in SEARCH.items() if k != "seal_seconds"}


@pytest.mark.parametrize(
    ("timings", "words"),
    [
        ({}, None),
        ({"capture_seconds": 0.25}, "capture 0.25 s so far"),
        (
            {"capture_seconds": 0.25, "execute_seconds": 1.5, "total_seconds": 1.75},
            "1.75 s: capture 0.25, execute 1.50",
        ),
    ],
)
def test_how_long_a_run_took_is_told_as_far_as_it_is_known(timings, words):
    assert timing_words(timings) == words


@pytest.mark.parametrize(
    ("warnings", "words"),
    [
        ({}, None),
        ({"capture": 0, "printed": None}, None),
        ({"capture": 0, "printed": 3}, "3 in logs/stderr.txt"),
        ({"capture": 2, "printed": 1}, "2 of the code capture, 1 in logs/stderr.txt"),
    ],
)
def test_warnings_are_told_where_they_stand(warnings, words):
    assert warning_words(warnings) == words
