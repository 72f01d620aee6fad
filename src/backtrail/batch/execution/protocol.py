"""What the stages ask of whatever executes a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from backtrail.artifacts.rundir import RunDir
from backtrail.batch.execution.outcome import Outcome

__all__ = ["RunExecutor"]


class RunExecutor(Protocol):
    """What executes a spec: children of a sandbox, or a script's own process."""

    @property
    def bundles_dir(self) -> Path:
        """Folder of the bundles."""
        ...

    def execute(
        self,
        spec: Mapping[str, Any],
        code: Path,
        target: RunDir,
        *,
        csv_twins: bool | None = None,
    ) -> tuple[Outcome, dict[str, str]]:
        """Run a spec and write its results; see `Executor.execute`."""
        ...
