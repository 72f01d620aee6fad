"""The files a strategy consists of: what capture finds, and what identity and runs are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from backtrail.canonical import sha256_json

__all__ = ["CodeClosure", "SecretWaiver", "SourceFile", "import_roots", "log_capture"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a closure.

    Attributes:
        path: Path relative to the capture root, with forward slashes.
        sha256: Checksum of its bytes.
        imported_by: The files of the closure that import or name it, sorted; empty for the entry
            point.
        size: Bytes.
        modified_at: When it was last changed, ISO 8601 in UTC, ending in `Z`.
        mode: Its permissions in octal digits, as `0644`.
        content: The bytes of a file that was generated and lies nowhere in the project; None for
            every other.
    """

    path: str
    sha256: str
    imported_by: tuple[str, ...]
    size: int
    modified_at: str
    mode: str
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SecretWaiver:
    """A finding of the secret scan that is known and accepted.

    Attributes:
        file: The file, relative to the capture root.
        reason: Why what looks like a secret in it is none.
    """

    file: str
    reason: str


@dataclass(frozen=True, slots=True)
class CodeClosure:
    """The files of one strategy.

    Attributes:
        entry: The strategy file, relative to the capture root. For a notebook it is the file that
            was generated from its code cells.
        files: Every file of the closure, sorted by path.
        warnings: What could not be read, followed or found, one sentence each.
        notes: Modules that were found nowhere, and that the code does without.
        mode: How the files were found: `import_analysis` or `strategy_yaml`; None when they were
            not looked for.
        origin: The notebook that the entry was generated from, relative to the capture root.
        waived: Findings of the secret scan that a waiver covers.
    """

    entry: str
    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    mode: str | None = "import_analysis"
    origin: str | None = None
    waived: tuple[dict[str, Any], ...] = ()

    @property
    def code_hash(self) -> str:
        """Sha256 over (path, bytes) of every file."""
        return sha256_json([[file.path, file.sha256] for file in self.files])

    def as_record(self) -> dict[str, Any]:
        """Return the section `code` of a run spec: everything but the contents."""
        record: dict[str, Any] = {
            "mode": self.mode,
            "origin": self.origin,
            "files": [
                {
                    "path": file.path,
                    "sha256": file.sha256,
                    "size": file.size,
                    "modified_at": file.modified_at,
                    "mode": file.mode,
                    "imported_by": list(file.imported_by),
                }
                for file in self.files
            ],
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }
        if self.waived:
            record["waived_secrets"] = [dict(item) for item in self.waived]
        return record


def import_roots(entry: str) -> tuple[str, ...]:
    """Return where a strategy's imports are looked up: beside the file, then at the root.

    Args:
        entry: The strategy file, relative to the root.

    Returns:
        Folders relative to the root, which is the project when code is captured and the run's
        `code/` when it is executed.
    """
    beside = PurePosixPath(entry).parent.as_posix()
    return (beside,) if beside == "." else (beside, ".")


def log_capture(
    code: Mapping[str, Any],
    *,
    backtest_id: str | None = None,
    output_dir: Path | None = None,
    doubts: bool = True,
) -> None:
    """Log what was captured: files at DEBUG, a `strategy.yaml` and notes at INFO, and warnings.

    Args:
        code: The section `code` of a run spec.
        backtest_id: The run, where it is known.
        output_dir: The run's directory, where it is known.
        doubts: Log warnings and notes.
    """
    import logging  # every child of a run imports this module, and none of them logs

    logger = logging.getLogger(__name__)
    names = [file["path"] for file in code["files"]]
    fields = {
        "backtest_id": backtest_id,
        "output_dir": None if output_dir is None else str(output_dir),
        "captured_files": names,
    }
    if code.get("mode") == "strategy_yaml":
        logger.info("Using strategy.yaml for code capture", extra=fields)
    logger.debug("Captured %d files: %s", len(names), ", ".join(names), extra=fields)
    if doubts:
        for level, kind in ((logging.WARNING, "warnings"), (logging.INFO, "notes")):
            for text in code.get(kind, ()):
                logger.log(level, "%s", text, extra=fields)
