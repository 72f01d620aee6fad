"""Every error a caller can act on; each says what was asked, what was found and what would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backtrail.wording import counted

__all__ = [
    "ArtifactManagerError",
    "BacktrailError",
    "BatchChangedError",
    "BundleLockError",
    "CatalogError",
    "CatalogUnavailableError",
    "CodeCaptureError",
    "ConfigError",
    "DataValidationError",
    "DatasetError",
    "EmptySeriesError",
    "HoldoutError",
    "InvalidNameError",
    "MetadataGenerationError",
    "NoAdmissibleSetError",
    "OrderError",
    "OrderInvariantError",
    "Problem",
    "QueryError",
    "ReportTemplateError",
    "RiskViolationError",
    "RunFailedError",
    "RunNotFoundError",
    "SealError",
    "StorePermissionError",
    "StoreUnavailableError",
    "StrategyError",
    "WindowOverlapError",
]


class BacktrailError(Exception):
    """Base of every error this library raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file the user wrote.

    Attributes:
        where: File, and what inside it: `config/config.yaml: batch.sma-cross.start`.
        found: What stands there.
        remedy: What would do.
    """

    where: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; {self.remedy}"


class _ProblemsError(BacktrailError):
    """An error made of several findings, all reported at once."""

    headline = "problem"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{counted(len(self.problems), self.headline)}:"]
        lines += [f"  - {problem}" for problem in self.problems]
        super().__init__("\n".join(lines))


class ConfigError(_ProblemsError):
    """The batch config cannot be run as it is; `problems` lists every mistake."""

    headline = "mistake"


class DataValidationError(_ProblemsError):
    """Source data broke a rule; nothing was written. `problems` names each bad row."""

    headline = "bad row"


class DatasetError(BacktrailError):
    """A dataset or bundle is missing, damaged or not what was asked for."""


class BundleLockError(DatasetError):
    """A bundle is another dataset than the lock says; nothing was started.

    Attributes:
        mismatches: Dataset id that is locked and the one there is now, by bundle.
    """

    def __init__(self, message: str, mismatches: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(message)
        self.mismatches = dict(mismatches)

    def __reduce__(self) -> tuple[type["BundleLockError"], tuple[str, dict[str, tuple[str, str]]]]:
        return type(self), (str(self), self.mismatches)


class BatchChangedError(BacktrailError):
    """Config or code changed between parsing and planning; nothing was started."""


class StrategyError(BacktrailError):
    """A strategy file does not follow the contract, or its parameters are refused."""


class OrderError(BacktrailError):
    """A strategy asked for an order that cannot exist (unknown symbol, non-finite amount)."""


class RiskViolationError(BacktrailError):
    """A strategy broke a trading control that it had set with `on_error="fail"`."""


class EmptySeriesError(BacktrailError):
    """A statistic was asked of a series without values."""


class OrderInvariantError(BacktrailError):
    """A test by reordering was asked of a statistic that no order of the trades can change."""


class WindowOverlapError(BacktrailError):
    """A window in which something is judged has bars on which it was chosen."""


class HoldoutError(BacktrailError):
    """A holdout cannot be opened: nothing was withheld, or the search is not finished."""


class CodeCaptureError(BacktrailError):
    """The source files of a strategy could not be captured."""


class ArtifactManagerError(BacktrailError):
    """A run directory could not be made, read or written."""


class InvalidNameError(ArtifactManagerError, ValueError):
    """A folder, an id or a file name that a run store does not take."""


class RunNotFoundError(ArtifactManagerError, FileNotFoundError):
    """There is no such run, or it has no such file."""


class StoreUnavailableError(ArtifactManagerError, OSError):
    """The file system refused a folder or a file: permissions, space, a broken disk.

    Attributes:
        path: What could not be made or written.
        errno: The system's number of the reason.
    """

    def __init__(self, message: str, path: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.errno = errno

    def __str__(self) -> str:
        return str(self.args[0])

    def __reduce__(self) -> tuple[type["StoreUnavailableError"], tuple[str, str, int | None]]:
        return type(self), (str(self), self.path, self.errno)


class StorePermissionError(StoreUnavailableError, PermissionError):
    """The file system refused a folder or a file for want of permissions."""


class MetadataGenerationError(BacktrailError):
    """The metadata of a run could not be written."""


class SealError(BacktrailError):
    """A sealed run differs from its manifest."""


class RunFailedError(BacktrailError):
    """One or more runs failed; they are catalogued and the others are finished.

    Attributes:
        backtest_id: The run, where it is a single one.
    """

    backtest_id: str | None = None


class NoAdmissibleSetError(BacktrailError):
    """A search of which no parameter set meets the constraints."""


class ReportTemplateError(BacktrailError):
    """A template of the user's own cannot be rendered, or names what a page does not have."""


class CatalogError(BacktrailError):
    """The catalog database cannot be read or written."""


class QueryError(CatalogError):
    """A question to the catalog that cannot be answered: a wrong condition, an unknown name."""


class CatalogUnavailableError(CatalogError, RuntimeError):
    """A run could not be linked, because its catalog cannot be reached."""
