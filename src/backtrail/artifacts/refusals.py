"""What the file system refused, and what would do."""

import errno
from pathlib import Path

from backtrail.errors import StorePermissionError, StoreUnavailableError

__all__ = ["refused", "unavailable"]


def unavailable(action: str, path: Path, error: OSError) -> StoreUnavailableError:
    """Return the error that says what the file system refused, and why.

    Args:
        action: What was tried, as `make the run directory`.
        path: On what.
        error: What the system said.
    """
    kind = StorePermissionError if isinstance(error, PermissionError) else StoreUnavailableError
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "check the disk it lies on")
    return kind(f"cannot {action} {path}: {reason}; {remedy}", str(path), error.errno)


_REMEDIES = {
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "a file is in its place: name a folder"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room, or name another disk"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "give this user write permission, or name another"
    ),
}


def refused(error: OSError) -> StoreUnavailableError | None:
    """Return the error that says what the system refused for want of space or permissions.

    Args:
        error: What the system said, wherever it did.

    Returns:
        None when the reason is another one.
    """
    if error.errno not in _REMEDIES or isinstance(error, FileExistsError | NotADirectoryError):
        return None
    return unavailable("write", Path(error.filename or "a file"), error)
