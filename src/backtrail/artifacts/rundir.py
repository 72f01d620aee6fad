"""The directory of one run: where everything in it lies, and what its records say."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtrail.errors import ArtifactManagerError
from backtrail.files import lease, remove_stale

__all__ = ["LOCK", "RunDir", "read_record"]

LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class RunDir:
    """The directory of one run and the files with a fixed place in it."""

    path: Path

    @property
    def backtest_id(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def code(self) -> Path:
        """Captured sources."""
        return self.path / "code"

    @property
    def results(self) -> Path:
        """Tables and statistics."""
        return self.path / "results"

    @property
    def inputs(self) -> Path:
        """What the run used from outside."""
        return self.path / "inputs"

    @property
    def reports(self) -> Path:
        """Pages; derived, outside the seal."""
        return self.results / "reports"

    @property
    def logs(self) -> Path:
        """What the strategy printed."""
        return self.path / "logs"

    @property
    def errors(self) -> Path:
        """What went wrong; only in failed runs."""
        return self.path / "errors"

    @property
    def spec(self) -> Path:
        """The run spec."""
        return self.path / "metadata" / "run_spec.json"

    @property
    def code_manifest(self) -> Path:
        """The list of captured files."""
        return self.path / "metadata" / "code_manifest.json"

    @property
    def environment(self) -> Path:
        """Interpreter, packages and platform that executed the run."""
        return self.path / "metadata" / "environment.json"

    @property
    def metadata(self) -> Path:
        """The summary of provenance in the form of the seed documents."""
        return self.path / "metadata" / "backtest_metadata.json"

    @property
    def git_diff(self) -> Path:
        """What the project's repository had not committed when the run was claimed."""
        return self.path / "metadata" / "uncommitted.diff"

    @property
    def working(self) -> Path:
        """Working files of a search run; the seal removes them."""
        return self.path / ".search"

    @property
    def selection(self) -> Path:
        """The set that a search run selected."""
        return self.results / "selection.json"

    @property
    def exports(self) -> Path:
        """Tables written for other tools after the seal; derived."""
        return self.results / "exports"

    @property
    def manifest(self) -> Path:
        """`run.json`."""
        return self.path / "run.json"

    @property
    def success(self) -> Path:
        """The seal; it holds the sha256 of the manifest."""
        return self.path / "_SUCCESS"

    @property
    def failed(self) -> Path:
        """The mark of a failed run."""
        return self.path / "_FAILED"

    def read_spec(self) -> dict[str, Any]:
        """Return the run spec.

        Raises:
            ArtifactManagerError: If it is missing or unreadable.
        """
        return read_record(self.spec)

    def read_manifest(self) -> dict[str, Any] | None:
        """Return `run.json`, or None while the run has not begun."""
        return read_record(self.manifest) if self.manifest.exists() else None

    def read_selection(self) -> dict[str, Any]:
        """Return what a search run selected.

        Raises:
            ArtifactManagerError: If it is missing or unreadable.
        """
        return read_record(self.selection)

    @contextmanager
    def lease(self) -> Iterator[None]:
        """Hold the run for this process; leftovers of killed processes are removed first."""
        try:
            with lease(self.path / LOCK):
                remove_stale(self.path, recursive=True)
                yield
        except FileNotFoundError as error:
            if self.path.is_dir():
                raise
            raise ArtifactManagerError(f"run directory {self.path} does not exist") from error


def read_record(path: Path) -> dict[str, Any]:
    """Return a JSON file of a run.

    Raises:
        ArtifactManagerError: If it is missing or unreadable.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtifactManagerError(f"{path} is missing") from None
    except ValueError as error:
        raise ArtifactManagerError(f"{path} is not valid JSON ({error})") from None
    return values
