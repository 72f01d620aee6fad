from itertools import pairwise

import pytest

from backtrail.batch.execution.outcome import Limits
from backtrail.batch.planning.chunk_names import chunk_name, chunk_range
from backtrail.batch.planning.chunks import chunk_ranges, estimate_search
from backtrail.optimization.parameters import ParameterSet
from backtrail.optimization.search import Search

IDENTITY = {
    "strategy": {"form": "signal"},
    "symbols": ["AAA"],
    "execution": {"fill": "next_open"},
    "commission": {"model": "per_dollar"},
    "slippage": {"model": "none"},
}


def search(first=1000, second=100, *, where=None, samples=None):
    axes = {"a": {"min": 1, "max": first, "step": 1}, "b": {"min": 1, "max": second, "step": 1}}
    space = ParameterSet.from_grid(axes, where=where)
    method = "grid" if samples is None else "random"
    return Search(space, method, samples, "cagr", (), "best", 1)


def estimate(wanted, identity=None, *, bars=5000, limits=None, **options):
    return estimate_search(
        wanted, {**IDENTITY, **(identity or {})}, bars, limits or Limits(), **options
    )


def test_names_of_chunks_are_their_ranges_and_sort_as_they_do():
    names = [chunk_name(first, first + 5) for first in (0, 5, 95, 1000)]
    assert names == sorted(names)
    assert chunk_range(names[2]) == (95, 100)


@pytest.mark.parametrize("size", [1, 7, 100_000, 1_000_000])
def test_chunks_cover_every_place_once(size):
    wanted = search(100, 10)
    found = estimate(wanted, sets_per_job=size)
    chunks = [chunk_range(name) for name in chunk_ranges(wanted, found)]
    assert chunks[0][0] == 0
    assert chunks[-1][1] == 1000
    assert all(before[1] == after[0] for before, after in pairwise(chunks))
    assert max(stop - first for first, stop in chunks) <= size


def test_a_job_is_worth_its_start_and_there_are_at_most_sixty_four():
    assert estimate(search(10, 10)).jobs == 1
    assert 1 < estimate(search(1000, 1000)).jobs <= 64
    # Sets of the event engine take longer, so fewer of them are worth a job.
    events = estimate(search(10, 100), {"strategy": {"form": "class"}})
    assert events.jobs > estimate(search(10, 100)).jobs == 1
    assert not events.is_compiled
    assert estimate(search(10, 100), {"strategy": {"form": "step"}}).is_compiled


def test_what_a_job_holds_fits_into_the_memory_of_a_run():
    small = estimate(search(1000, 1000), limits=Limits(600.0, 300_000_000))
    large = estimate(search(1000, 1000), limits=Limits(600.0, 8_000_000_000))
    assert small.jobs > large.jobs
    assert small.memory_bytes <= 300_000_000


@pytest.mark.parametrize(
    "identity",
    [
        {"execution": {"fill": "same_close"}},
        {"commission": {"model": "per_share"}},
        {"slippage": {"model": "fixed_bps"}},
        {"margin": {"initial": "0.5"}},
        {"instruments": {"AAA": {"lot": "10"}}},
    ],
)
def test_what_the_kernel_has_no_rules_for_is_told_beforehand(identity):
    found = estimate(search(10, 10), identity)
    assert not found.is_compiled
    assert "by the event engine, because the kernel has no rules for this run" in str(found)
    assert estimate(search(10, 10), {"instruments": {"AAA": {"tick": "1"}}}).is_compiled


def test_metrics_that_look_at_trades_are_planned_with_the_event_engine():
    found = estimate(search(10, 100), needs_trades=True)
    assert not found.is_compiled
    assert found.jobs > estimate(search(10, 100)).jobs == 1
    assert found.seconds > 100 * estimate(search(10, 100)).seconds


def test_draws_against_the_benchmark_take_time():
    plain = estimate(search(100, 100))
    drawn = estimate(search(100, 100), {"validate": {"overfitting": {"bootstraps": 1000}}})
    assert drawn.seconds > 5 * plain.seconds
    assert drawn.jobs > plain.jobs


def test_an_earlier_search_is_a_better_measure_than_a_guess():
    found = estimate(search(10, 10), seconds_per_set=6.0)
    assert found.seconds == 600.0
    assert found.jobs > estimate(search(10, 10)).jobs
    assert str(found).endswith("10 min of one core, as the last search took")


@pytest.mark.parametrize(
    ("wanted", "sets", "is_exact"),
    [
        (search(10, 10), 100, True),
        (search(10, 10, where="a < b"), 45, True),
        (search(10, 10, samples=30), 30, True),
        (search(10, 10, samples=3000), 100, False),
    ],
)
def test_sets_are_counted(wanted, sets, is_exact):
    found = estimate(wanted)
    assert (found.sets, found.is_exact) == (sets, is_exact)


def test_sets_of_a_large_space_with_a_condition_are_estimated():
    found = estimate(search(1000, 1000, where="a < b"))
    assert not found.is_exact
    assert found.sets == pytest.approx(499_500, rel=0.03)
    assert str(found).startswith("about ")


def test_the_words_say_sets_jobs_memory_and_time():
    assert str(estimate(search(10, 10), sets_per_job=50)).startswith(
        "100 parameter sets in 2 jobs, 200.1 MB each, 1 s of one core, roughly"
    )
