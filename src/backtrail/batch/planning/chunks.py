"""How a search is cut into jobs, and what it is expected to take; nothing of it enters an identity.

The figures are rough on purpose: they say whether a job is worth its start, and what a user has to
expect before the first of them begins.
"""

import importlib.util
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from backtrail.batch.execution.outcome import Limits
from backtrail.batch.planning.chunk_names import chunk_name
from backtrail.batch.planning.limits import show_bytes
from backtrail.optimization.search import Search
from backtrail.wording import counted

__all__ = ["SearchEstimate", "chunk_ranges", "estimate_search", "time_words"]

_MOST_JOBS: Final = 64
_WORTH_A_START: Final = 2.5  # seconds of work; starting a job and loading the kernel takes as much
_BYTES_PER_SET: Final = 1_500  # parameters, metrics and row of a set, while its job runs
_BYTES_OF_KERNEL: Final = 200_000_000
_BYTES_OF_RETURNS: Final = 250_000_000  # of some sets, for the tests against the benchmark
_LOOKED_AT: Final = 20_000  # combinations, to see how many the condition lets pass
# Seconds per set and bar, and per set: by the kernel, and by the event engine.
_COMPILED: Final = (6e-9, 3e-5)
_EVENTS: Final = (5e-6, 2e-3)
_RESAMPLED: Final = 2.6e-10  # seconds per set, bar and draw of the tests against the benchmark


@dataclass(frozen=True, slots=True)
class SearchEstimate:
    """What a search is expected to take.

    Attributes:
        sets: Parameter sets, as far as the condition was looked at.
        is_exact: Whether all of them were counted.
        jobs: Jobs that evaluate them.
        memory_bytes: Largest memory of one job, roughly.
        seconds: Processor time, roughly, or as an earlier search of this name took per set.
        is_measured: Whether the time rests on an earlier search.
        is_compiled: Whether the sets go through the compiled account, as far as can be told.
    """

    sets: int
    is_exact: bool
    jobs: int
    memory_bytes: int
    seconds: float
    is_measured: bool
    is_compiled: bool

    def __str__(self) -> str:
        about = "" if self.is_exact else "about "
        how = "as the last search took" if self.is_measured else "roughly"
        text = (
            f"{about}{counted(self.sets, 'parameter set')} in {counted(self.jobs, 'job')}, "
            f"{show_bytes(self.memory_bytes)} each, {time_words(self.seconds)} of one core, {how}"
        )
        if not self.is_compiled:
            text += "; by the event engine, because the kernel has no rules for this run"
        elif importlib.util.find_spec("numba") is None:
            text += "; Numba is not installed: some hundred times longer without backtrail[sweep]"
        return text


def time_words(seconds: float) -> str:
    """Return a rough time for people, in seconds, minutes or hours."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def chunk_ranges(search: Search, estimate: SearchEstimate) -> tuple[str, ...]:
    """Return the names of the chunks that a search is cut into, in order."""
    draws = search.draws
    size = -(-draws // estimate.jobs)
    return tuple(chunk_name(first, min(first + size, draws)) for first in range(0, draws, size))


def estimate_search(
    search: Search,
    identity: Mapping[str, Any],
    bars: int,
    limits: Limits,
    *,
    sets_per_job: int | str = "auto",
    seconds_per_set: float | None = None,
    needs_trades: bool = False,
) -> SearchEstimate:
    """Return what a search is expected to take, and how many jobs it is worth.

    Args:
        search: The search.
        identity: Of its run.
        bars: Length of its history, in-sample.
        limits: Of one job.
        sets_per_job: As the config says.
        seconds_per_set: As an earlier search took; None when there was none.
        needs_trades: Whether a metric of the strategy's own looks at trades, which the compiled
            account does not keep.
    """
    sets, is_exact = _count_sets(search)
    is_compiled = not needs_trades and _goes_through_kernel(identity)
    per_bar, per_set = _COMPILED if is_compiled else _EVENTS
    draws = identity.get("validate", {}).get("overfitting", {}).get("bootstraps", 0)
    guess = per_set + (per_bar * len(identity["symbols"]) + _RESAMPLED * draws) * bars
    seconds = guess if seconds_per_set is None else seconds_per_set
    passing = sets / max(search.draws, 1)
    least = max(1, int(_WORTH_A_START / (seconds * passing)))
    fixed = _BYTES_OF_KERNEL + (_BYTES_OF_RETURNS if draws else 0)
    room = max(limits.memory_bytes - fixed, limits.memory_bytes // 4)
    most = max(1, room // (2 * _BYTES_PER_SET))
    size = min(max(-(-search.draws // _MOST_JOBS), least), most)
    if sets_per_job != "auto":
        size = int(sets_per_job)
    jobs = max(1, -(-search.draws // size))
    used = fixed + _BYTES_PER_SET * min(size, search.draws)
    return SearchEstimate(
        sets,
        is_exact,
        jobs,
        used,
        seconds * sets,
        is_measured=seconds_per_set is not None,
        is_compiled=is_compiled,
    )


def _count_sets(search: Search) -> tuple[int, bool]:
    if search.samples is not None:
        return search.draws, search.draws == search.samples and not search.space.where
    if not search.space.where:
        return search.space.size, True
    size = search.space.size
    if size <= _LOOKED_AT:
        return sum(1 for _ in search.space.generate_combinations()), True
    looked = random.Random(0).sample(range(size), _LOOKED_AT)
    passing = sum(search.space.holds(search.space.combination(number)) for number in looked)
    return max(1, round(size * passing / len(looked))), False


def _goes_through_kernel(identity: Mapping[str, Any]) -> bool:
    """Say whether the compiled account has rules for a run; its bars may still have gaps."""
    return (
        identity["strategy"]["form"] in ("signal", "step")
        and identity["execution"]["fill"] != "same_close"
        and identity["commission"]["model"] in ("none", "per_dollar")
        and identity["slippage"]["model"] == "none"
        and not identity.get("margin")
        and not any("lot" in item for item in identity.get("instruments", {}).values())
    )
