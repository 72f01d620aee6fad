"""Captured files, stored once by content and hard-linked into every run that uses them."""

import errno
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from backtrail.canonical import sha256_bytes, sha256_file
from backtrail.errors import CodeCaptureError
from backtrail.files import atomic_path, remove_stale

__all__ = ["ObjectStore", "find_content"]

_READ_ONLY = 0o444
_NAMED = 3  # places of a failed search that a message names


class ObjectStore:
    """The folder `.objects/`: one read-only file per distinct content.

    An object is looked at before it is used. One that is missing or damaged is stored anew from
    any file that has its content. The new object is another file on disk: what was linked to the
    damaged one stays as it is.

    Args:
        folder: Where the objects lie; made on the first `put`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Return where the object of this checksum lies, stored or not."""
        return self.folder / sha256[:2] / sha256

    def state(self, sha256: str) -> Literal["intact", "damaged", "missing"]:
        """Compare an object with its name; every byte is read."""
        try:
            found = sha256_file(self.path(sha256))
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError:  # there, and not to be read
            return "damaged"
        return "intact" if found == sha256 else "damaged"

    def put(self, source: Path, sha256: str) -> Path:
        """Store a file's bytes, read once and checked against the checksum asked for.

        The source is not read when the object is there and intact.

        Raises:
            CodeCaptureError: If the file no longer has that content.
        """
        target = self.path(sha256)
        if self.state(sha256) == "intact":
            return target
        data = source.read_bytes()
        found = sha256_bytes(data)
        if found != sha256:
            raise CodeCaptureError(
                f"{source} changed while it was being captured "
                f"(expected sha256 {sha256[:12]}…, found {found[:12]}…); run again"
            )
        remove_stale(target.parent)
        with atomic_path(target) as temporary:
            temporary.write_bytes(data)
            temporary.chmod(_READ_ONLY)
        return target

    def ensure(self, sha256: str, sources: Iterable[Path]) -> Path:
        """Return an object that is intact; one that is not is stored anew.

        Args:
            sha256: The content asked for.
            sources: Files that may have the content, for an object that is missing or damaged;
                looked at in order, and only then.

        Raises:
            CodeCaptureError: If the object is missing or damaged, and no source has its content.
        """
        state = self.state(sha256)
        if state == "intact":
            return self.path(sha256)
        looked: list[Path] = []
        source = find_content(sha256, sources, looked)
        if source is None:
            raise CodeCaptureError(self._loss(sha256, state, looked))
        return self.put(source, sha256)

    def materialize(self, sha256: str, target: Path, sources: Iterable[Path] = ()) -> None:
        """Put the object at `target`: a hard link, or a copy where links cannot be made.

        Args:
            sha256: The content asked for.
            target: Where it goes; what stands there is replaced.
            sources: As for `ensure`.

        Raises:
            CodeCaptureError: If the object is missing or damaged, and no source has its content.
        """
        stored = self.ensure(sha256, sources)
        with atomic_path(target) as temporary:
            try:
                os.link(stored, temporary)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}:
                    raise
                shutil.copyfile(stored, temporary)
                temporary.chmod(_READ_ONLY)

    def _loss(self, sha256: str, state: str, looked: list[Path]) -> str:
        places = [f"{path} {_fault(path)}" for path in looked[:_NAMED]]
        if len(looked) > _NAMED:
            places.append(f"{len(looked) - _NAMED} more files do not have it either")
        return (
            f"object {self.path(sha256)} is {state}, and no other file has its content any more: "
            f"{'; '.join(places) or 'there is no other place to look at'}. Put the file back as it "
            "was when its run was planned, from version control or a backup, at one of these "
            f"places or as the object itself (sha256 {sha256}), and run again"
        )


def find_content(
    sha256: str, sources: Iterable[Path], looked: list[Path] | None = None
) -> Path | None:
    """Return the first file that has a content, or None.

    Args:
        sha256: The content asked for.
        sources: Files to look at, in this order; those that are absent are passed over.
        looked: Takes the files that have another content or are absent.
    """
    known: set[tuple[int, int]] = set()
    for source in sources:
        with suppress(OSError):
            found = source.stat()
            # Links to one damaged file are read once.
            if (found.st_dev, found.st_ino) not in known:
                known.add((found.st_dev, found.st_ino))
                if sha256_file(source) == sha256:
                    return source
        if looked is not None:
            looked.append(source)
    return None


def _fault(path: Path) -> str:
    return "has another content" if path.exists() else "does not exist"
