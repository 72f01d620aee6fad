"""Writing that is never half-done, and leases that end with their process."""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from backtrail.canonical import pretty_json
from backtrail.errors import StoreUnavailableError

__all__ = [
    "atomic_path",
    "flush_dir",
    "is_temporary",
    "lease",
    "remove_stale",
    "stale_files",
    "write_bytes",
    "write_json",
]

_TEMPORARY = ".tmp~"
_HOST = os.uname().nodename.replace(".", "-")
_STALE_SECONDS = 86_400
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})


def _is_stale(path: Path) -> bool:
    match path.name.split("."):
        case [*_, host, pid, _, _] if host == _HOST and pid.isdecimal():
            if not _is_alive(int(pid)):
                return True
    return time.time() - path.stat().st_mtime > _STALE_SECONDS


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def is_temporary(path: Path) -> bool:
    """Say whether a path has the name of an unfinished file of `atomic_path`."""
    return _is_temporary(path.name)


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(_TEMPORARY)


def stale_files(folder: Path, *, recursive: bool = False) -> Iterator[Path]:
    """Yield what killed processes left of `atomic_path` in a folder.

    A temporary file is stale when its process on this host is gone, or, for another host's, when
    it is a day old.
    """
    for top, _, files in os.walk(folder):
        for path in (Path(top, name) for name in files if _is_temporary(name)):
            with suppress(FileNotFoundError):
                if _is_stale(path):
                    yield path
        if not recursive:
            return


def remove_stale(folder: Path, *, recursive: bool = False) -> None:
    """Remove the files of `stale_files`; those being written now stay."""
    for path in stale_files(folder, recursive=recursive):
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` when the block succeeds.

    Args:
        path: The final file. Its folder is made when absent.
        durable: Flush file and folder to disk before and after the rename.
    """
    if not path.parent.is_dir():  # as a rule it is, and a try to make it costs more than a look
        path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.name}.{_HOST}.{os.getpid()}.{threading.get_ident()}{_TEMPORARY}"
    temporary = path.with_name(name)
    try:
        yield temporary
        if durable:
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
        if durable:
            flush_dir(path.parent)
    finally:  # also after a rename: one onto a link to the same file leaves both
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write a whole file by a temporary name and a rename."""
    with atomic_path(path, durable=durable) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Write a value as sorted, indented JSON by a temporary name and a rename."""
    write_bytes(path, pretty_json(value).encode(), durable=durable)


def flush_dir(folder: Path) -> None:
    """Flush a folder's entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def lease(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on a file for the length of the block.

    The kernel drops the lock with the process, so a killed holder blocks nobody. The file is
    removed on release; who waited on the removed one takes the new one.

    Args:
        path: The lock file; its folder must exist.
        wait: Block until the lease is free. Otherwise the block runs at once.

    Yields:
        Whether the lease is held (always true with `wait`).

    Raises:
        StoreUnavailableError: If the file system has no locks.
    """
    flags = fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)
    while True:
        # Like every other file it has what the umask leaves: users of one group share a store.
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, flags)
            current = path.stat()
        except BlockingIOError:
            os.close(descriptor)
            yield False
            return
        except OSError as error:
            os.close(descriptor)
            # Removed by the former holder between lock and look; by one on another machine, NFS
            # calls the file stale.
            if error.errno in (errno.ENOENT, errno.ESTALE):
                continue
            if error.errno in _NO_LOCKS:
                raise _without_locks(path, error) from error
            raise
        held = os.fstat(descriptor)
        if (held.st_dev, held.st_ino) == (current.st_dev, current.st_ino):
            break
        os.close(descriptor)
    try:
        yield True
    finally:
        with suppress(FileNotFoundError):  # the folder may be gone, or be another one by now
            current = path.stat()
            if (held.st_dev, held.st_ino) == (current.st_dev, current.st_ino):
                path.unlink()
        os.close(descriptor)


def _without_locks(path: Path, error: OSError) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"cannot lock {path}: {error.strerror}; the store has to lie on a file system with file "
        "locks between its machines: mount Lustre with the option flock and NFS without nolock, "
        "or name another folder",
        str(path),
        error.errno,
    )
