"""What a run may use, and how it ended."""

import os
import pickle
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Limits", "Outcome", "StrategyFailedError", "joined_outcome", "read_outcome"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    Attributes:
        seconds: Wall time.
        memory_bytes: Memory on top of what the engine itself maps.
    """

    seconds: float = 600.0
    memory_bytes: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended.

    Attributes:
        answer: What it handed back; None when it failed.
        kind: Exception class, `timeout`, `memory`, `signal`, `exit`, or `internal` for a fault of
            the library; None when it succeeded.
        message: What went wrong, in one line or a few.
        traceback: The user's part of the traceback; empty when there is none.
        seconds: Wall time of the child.
        cpu_seconds: Processor time of the child.
        max_rss_mb: Largest resident memory of the child, in megabytes of 10^6 bytes.
        usage: What the run used from outside, as `merge_usage` returns it; None for a child that
            checked parameters, and for one that was ended before it could tell.
        prepare_seconds: Wall time before the child, mostly of reading its bars; None where
            nobody measured it.
    """

    answer: Mapping[str, Any] | None
    kind: str | None
    message: str
    traceback: str
    seconds: float
    cpu_seconds: float
    max_rss_mb: float
    usage: Mapping[str, Any] | None = None
    prepare_seconds: float | None = None


class StrategyFailedError(Exception):
    """A strategy that raised, outran a limit or ended its process, or whose run lacked its data."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(f"{outcome.kind}: {outcome.message}")


def joined_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """Return how several children ended together, of which the last one's answer counts.

    Times are added up, of memory the largest counts, and what they used is joined.

    Args:
        outcomes: Of children that succeeded, at least one.
    """
    usage: dict[str, Any] = {}
    for outcome in outcomes:
        for name, seen in (outcome.usage or {}).items():
            if isinstance(seen, Mapping):
                usage[name] = {**usage.get(name, {}), **seen}
            else:
                known = usage.get(name, [])
                usage[name] = [*known, *(item for item in seen if item not in known)]
    return Outcome(
        outcomes[-1].answer,
        None,
        "",
        "",
        sum(outcome.seconds for outcome in outcomes),
        sum(outcome.cpu_seconds for outcome in outcomes),
        max(outcome.max_rss_mb for outcome in outcomes),
        usage,
    )


def read_outcome(
    output: bytes, ended: Mapping[str, float], seconds: float, limits: Limits, *, timed_out: bool
) -> Outcome:
    """Return how a child ended, from what it handed back and what the kernel says of it.

    Args:
        output: The pickled answer; empty or cut off when the child could not finish it.
        ended: Its wait status and resource usage, as the zygote reports them.
        seconds: Wall time.
        limits: What it was allowed.
        timed_out: Whether it was killed for its time.
    """
    usage = (seconds, ended["cpu_seconds"], ended["max_rss"] * 1024 / 1e6)
    status = int(ended["status"])
    if timed_out or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        message = f"the run was stopped after its time limit of {limits.seconds:g} s"
        return Outcome(None, "timeout", message, "", *usage)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Outcome(None, "signal", f"the run was ended by {name}", "", *usage)
    if not output:
        message = f"the strategy ended its process with code {os.WEXITSTATUS(status)}"
        return Outcome(None, "exit", message, "", *usage)
    try:
        answer = pickle.loads(output)
    except (EOFError, pickle.UnpicklingError):
        message = "the results of the run could not be handed over; they are cut off"
        return Outcome(None, "exit", message, "", *usage)
    seen = answer.pop("usage", None)
    if "error" in answer:
        error = answer["error"]
        message = error["message"]
        if error["kind"] == "memory":
            message = f"the run outgrew its memory limit of {limits.memory_bytes / 1e6:g} MB"
        return Outcome(None, error["kind"], message, error["traceback"], *usage, seen)
    return Outcome(answer, None, "", "", *usage, seen)
