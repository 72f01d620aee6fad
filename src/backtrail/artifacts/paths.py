"""Where the files of a run go, as the strategy that runs may ask for it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from backtrail.errors import ArtifactManagerError

__all__ = [
    "OUTPUT_FOLDERS",
    "RESERVED_RESULTS",
    "RUN_RECORDS",
    "RunPaths",
    "is_result_name",
    "is_twin",
    "reserved_result",
    "result_name",
]

# Folders of a run that a strategy may write to.
OUTPUT_FOLDERS = ("results", "features", "truth", "policy")

# What of a run directory the program alone writes.
RUN_RECORDS = frozenset(
    {
        ".lock",
        ".search",
        "_FAILED",
        "_SUCCESS",
        "code",
        "errors",
        "inputs",
        "logs",
        "metadata",
        "run.json",
    }
)
_TABLES = (
    "backtest_results",
    "orders",
    "fills",
    "positions",
    "trades",
    "corporate_actions",
    "recorded",
    "risk_violations",
    "attribution",
    "summary",
    "optimization_results",
    "frontier",
    "optimization_curves",
)
_JSON_TWIN = "trades.json"
_LONGEST_NAME = 255  # bytes, on every file system in use
# Names in `results/` that the program itself writes.
RESERVED_RESULTS = frozenset(
    {
        *(f"{name}.parquet" for name in _TABLES),
        "backtest_results.csv",
        "summary_statistics.csv",
        "optimization_results.csv",
        "market-data.json",
        "performance-metrics.json",
        "selection.json",
        "strategy-config.json",
        _JSON_TWIN,
    }
)
_RESERVED_FOLDERS = frozenset({"deploy", "reports", "validation"})
# Control characters, the other system's separator, and what a workflow takes for a wildcard.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\{}]")


def is_twin(name: str) -> bool:
    """Say whether a result says again what a table says, and is made only where it is wanted."""
    return name.endswith(".csv") or PurePosixPath(name).name == _JSON_TWIN


def reserved_result(name: str) -> bool:
    """Say whether a path inside `results/` is one that the program writes."""
    return name in RESERVED_RESULTS or PurePosixPath(name).parts[0] in _RESERVED_FOLDERS


def is_result_name(name: str) -> bool:
    """Say whether each part of a path inside `results/` may be part of an artifact's name."""
    return all(map(_is_fit, name.split("/")))


def _is_fit(part: str) -> bool:
    is_named = bool(part) and not part.startswith(".") and not _UNFIT.search(part)
    return is_named and len(os.fsencode(part)) <= _LONGEST_NAME


def result_name(filename: str, subfolder: str | None = None) -> str:
    """Return the path of an artifact inside its folder after checking its parts.

    Args:
        filename: A bare file name.
        subfolder: A relative folder, with forward slashes; None for none.

    Raises:
        ArtifactManagerError: If a part is empty, `.` or `..`, hidden, holds a control character,
            a backslash or a brace, or the file name holds a separator.
    """
    if "/" in filename:
        raise ArtifactManagerError(
            f"file name {filename!r} holds a separator; give the folder apart, as "
            f"subfolder={str(PurePosixPath(filename).parent)!r}"
        )
    parts = [*([] if subfolder is None else str(subfolder).split("/")), filename]
    for part in parts:
        if not _is_fit(part):
            raise ArtifactManagerError(
                f"{'/'.join(parts)!r} cannot be the name of an artifact: {part!r} is empty, too "
                "long, begins with a dot, or holds a backslash, a brace or a control character"
            )
    return "/".join(parts)


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The folders of one run, as its strategy sees them: `self.artifact_manager`.

    Every file that is written to a path from here is listed with its checksum when the run is
    sealed, and comes back when it is lost.

    Attributes:
        backtest_id: The run's id.
        output_dir: The run's directory; another one when the run is repeated.
        is_open: Whether the run is being made: folders are made on demand, and names that the
            program writes are refused. Of a finished run, every name is a place to read from.
    """

    backtest_id: str
    output_dir: Path
    is_open: bool = True

    @property
    def results_dir(self) -> Path:
        """The folder of results."""
        return self.output_dir / "results"

    @property
    def code_dir(self) -> Path:
        """The folder of captured code."""
        return self.output_dir / "code"

    @property
    def metadata_dir(self) -> Path:
        """The folder of metadata."""
        return self.output_dir / "metadata"

    def get_result_path(self, filename: str, subfolder: str | None = None) -> Path:
        """Return where a result file goes.

        Args:
            filename: A bare file name.
            subfolder: A folder inside `results/`.

        Raises:
            ArtifactManagerError: If the name is no name of an artifact, or the program's own.
        """
        return self.get_output_path(
            filename, "results" if subfolder is None else f"results/{subfolder}"
        )

    def get_output_path(self, filename: str, subdirectory: str = "results") -> Path:
        """Return where a file goes in a folder of the run.

        Args:
            filename: A bare file name.
            subdirectory: `results`, `features`, `truth` or `policy`, or a folder inside one.

        Raises:
            ArtifactManagerError: If the name is no name of an artifact, or the program's own, or
                the folder is not one that a strategy may write to.
        """
        name = result_name(filename, subdirectory)
        top, _, inside = name.partition("/")
        if top not in OUTPUT_FOLDERS:
            raise ArtifactManagerError(
                f"a strategy cannot write to {top}/ of its run; "
                f"choose one of {', '.join(OUTPUT_FOLDERS)}"
            )
        path = self.output_dir / name
        if not self.is_open:
            return path
        if top == "results" and reserved_result(inside):
            raise ArtifactManagerError(
                f"{name} is written by backtrail itself; choose another name or a subfolder"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
