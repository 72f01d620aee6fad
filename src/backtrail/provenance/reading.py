"""Files as capture reads them: bytes, checksum, time and mode of one moment."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from backtrail.canonical import sha256_bytes, sha256_file, utc_iso

__all__ = ["LARGE", "ReadFile", "outside_target", "read_file"]

LARGE = 16_000_000  # a file above this many bytes is hashed and not held in memory


class ReadFile(NamedTuple):
    """A file that was read.

    Attributes:
        sha256: Checksum of its bytes.
        size: Number of bytes.
        modified_at: When it was last changed, ISO 8601 in UTC.
        mode: Its permissions in octal digits.
        data: Its bytes; None for a large file.
    """

    sha256: str
    size: int
    modified_at: str
    mode: str
    data: bytes | None


def read_file(path: str | Path) -> ReadFile:
    """Read a file with its time and mode; a link is followed.

    Raises:
        OSError: If it is absent, no regular file, or cannot be read.
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise OSError(0, f"Is {kind}")
        data = stream.read() if found.st_size <= LARGE else None
    seconds, nanoseconds = divmod(found.st_mtime_ns, 10**9)
    modified = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanoseconds // 1000)
    return ReadFile(
        sha256_file(Path(path)) if data is None else sha256_bytes(data),
        found.st_size if data is None else len(data),
        utc_iso(modified),
        f"{stat.S_IMODE(found.st_mode):04o}",
        data,
    )


def outside_target(path: str, root: str) -> str | None:
    """Return where a path below a folder really leads, when that is outside the folder.

    Args:
        path: The file as it is named.
        root: The folder, without links.
    """
    target = os.path.realpath(path)
    return None if target.startswith(root.rstrip("/") + "/") else target
