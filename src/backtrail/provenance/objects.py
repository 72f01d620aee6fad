"""Captured files, stored once by content and hard-linked into every run that uses them."""

import errno
import os
import shutil
from pathlib import Path

from backtrail.canonical import sha256_bytes, sha256_file
from backtrail.errors import CodeCaptureError
from backtrail.files import atomic_path, remove_stale

__all__ = ["ObjectStore"]

_READ_ONLY = 0o444


class ObjectStore:
    """The folder `.objects/`: one read-only file per distinct content.

    Args:
        folder: Where the objects lie; made on the first `put`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Return where the object of this checksum lies, stored or not."""
        return self.folder / sha256[:2] / sha256

    def put(self, source: Path, sha256: str) -> Path:
        """Store a file's bytes, read once and checked against the checksum asked for.

        Raises:
            CodeCaptureError: If the file no longer has that content.
        """
        target = self.path(sha256)
        if target.exists():
            return target
        data = source.read_bytes()
        found = sha256_bytes(data)
        if found != sha256:
            raise CodeCaptureError(
                f"{source} changed while it was being captured "
                f"(expected sha256 {sha256[:12]}…, found {found[:12]}…); run again"
            )
        return self.put_bytes(data)

    def put_bytes(self, data: bytes) -> Path:
        """Store bytes that no file holds."""
        target = self.path(sha256_bytes(data))
        if target.exists():
            return target
        remove_stale(target.parent)
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)
            temporary.chmod(_READ_ONLY)
        return target

    def materialize(self, sha256: str, target: Path) -> None:
        """Put the object at `target`: a hard link, or a copy where links cannot be made.

        Raises:
            CodeCaptureError: If the object is missing or damaged.
        """
        stored = self.path(sha256)
        if not stored.exists():
            raise CodeCaptureError(
                f"object {sha256} is missing from {self.folder}; delete the folder .plans "
                "beside it and run the batch again: planning stores it anew from the strategy file"
            )
        found = sha256_file(stored)
        if found != sha256:
            raise CodeCaptureError(
                f"object {stored} is damaged: its content has sha256 {found[:12]}…; "
                "delete it and the folder .plans beside .objects, and run the batch again: "
                "planning stores it anew from the strategy file"
            )
        with atomic_path(target) as temporary:
            try:
                os.link(stored, temporary)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
                    raise
                shutil.copyfile(stored, temporary)
                temporary.chmod(_READ_ONLY)
