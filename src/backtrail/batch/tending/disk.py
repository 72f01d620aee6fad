"""How much room deleting files would make: a file with several names takes it until the last."""

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["freed_bytes"]


def freed_bytes(paths: Iterable[Path]) -> int:
    """Return what the disk gets back when all these files and folders go.

    A file that has another name elsewhere, as captured code has in its object, gives nothing.

    Args:
        paths: Files, and folders with all that is below them; one may be gone.
    """
    seen: dict[tuple[int, int], tuple[int, int, set[str]]] = {}
    for path in paths:
        for name in _files(path):
            try:
                found = os.lstat(name)
            except FileNotFoundError:
                continue
            key = (found.st_dev, found.st_ino)
            seen.setdefault(key, (found.st_size, found.st_nlink, set()))[2].add(name)
    return sum(size for size, links, names in seen.values() if len(names) >= links)


def _files(path: Path) -> Iterable[str]:
    if not path.is_dir() or path.is_symlink():
        yield str(path)
        return
    for top, _, names in os.walk(path):
        yield from (os.path.join(top, name) for name in names)
