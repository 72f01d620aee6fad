"""Asking children of a search or its validation, each on a copy of the captured code."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.outcome import Limits, Outcome, StrategyFailedError

__all__ = ["Pace", "SearchExecutor", "ask_beside"]

_FIRST_PLACES: Final = 16
_MOST_PLACES: Final = 200_000
_FASTEST_GROWTH: Final = 20
_GOAL: Final = 60.0  # seconds of a child


class Pace:
    """How many places a child takes where no plan has cut the space: more as they prove quick.

    Each child stays far within the limits of a run, however long a set takes.

    Args:
        limits: Of one child.

    Attributes:
        size: Places for the next child.
    """

    def __init__(self, limits: Limits) -> None:
        self.size = _FIRST_PLACES
        self._goal = min(_GOAL, limits.seconds / 4.0)

    def took(self, places: int, seconds: float) -> None:
        """Take notice of how long a child took."""
        fitting = int(places * self._goal / max(seconds, 1e-3))
        self.size = max(1, min(fitting, _FASTEST_GROWTH * places, _MOST_PLACES))


class SearchExecutor(Protocol):
    """What a search needs of an executor; see `Executor`."""

    @property
    def limits(self) -> Limits:
        """Time and memory of one child."""
        ...

    def run_child(
        self, spec: Mapping[str, Any], code: Path, target: RunDir, **asked: Any
    ) -> Outcome:
        """Let a child work on a spec."""
        ...

    def execute(
        self,
        spec: Mapping[str, Any],
        code: Path,
        target: RunDir,
        *,
        csv_twins: bool | None = None,
    ) -> tuple[Outcome, dict[str, str]]:
        """Run a spec and write its results."""
        ...


def ask_beside(
    executor: SearchExecutor,
    spec: Mapping[str, Any],
    code: Path,
    asked: Mapping[str, Any],
    *,
    logs: Path | None = None,
) -> tuple[Outcome, dict[str, Any]]:
    """Ask a child that works on a copy of the captured code, so that children do not meet.

    Args:
        executor: Where the child is started.
        spec: The run spec; its identity says which bars the child gets.
        code: Folder of the captured code.
        asked: What the request has beside that of a run.
        logs: Folder that takes what the strategy printed.

    Returns:
        How the child ended, and its answer.

    Raises:
        StrategyFailedError: If it gave none.
    """
    with tempfile.TemporaryDirectory(prefix="backtrail-beside-") as folder:
        scratch = RunDir(Path(folder))
        for file in spec["code"]["files"]:
            copy = scratch.code / file["path"]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(code / file["path"], copy)
        outcome = executor.run_child(spec, scratch.code, scratch, run_key=spec["run_key"], **asked)
        if logs is not None:
            shutil.copytree(scratch.logs, logs, dirs_exist_ok=True)
    if outcome.answer is None:
        raise StrategyFailedError(outcome)
    answer: dict[str, Any] = outcome.answer["tables"]
    return outcome, answer
