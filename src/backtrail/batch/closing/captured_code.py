"""The captured code of a store for its comparison page, and whether runs still have it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from backtrail.artifacts.store import RunStore
from backtrail.batch.stages.captured import captured_files
from backtrail.canonical import sha256_bytes, sha256_file
from backtrail.provenance.objects import ObjectStore

__all__ = ["StoredCode"]


class _Object(NamedTuple):
    place: tuple[int, int] | None  # device and inode; None when it is missing
    intact: bool


class StoredCode:
    """Reads captured files from `.objects/`, and from the folders of runs what is gone there.

    Every object is read once, however many runs are linked to it; of a run's own copy that is such
    a link nothing is read.

    Args:
        store: The run store.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._objects = ObjectStore(store.objects)
        self._known: dict[str, _Object] = {}

    def files(self, backtest_id: str) -> Mapping[str, str]:
        """Return the sha256 of every file that a run captured, by path; empty when unknown."""
        return captured_files(self._store, self._store.run(backtest_id))

    def content(self, path: str, sha256: str, backtest_ids: Sequence[str]) -> bytes | None:
        """Return a captured file, or None when no copy of it has that checksum any more."""
        for copy in self._copies(path, sha256, backtest_ids):
            try:
                content = copy.read_bytes()
            except OSError:
                continue
            if sha256_bytes(content) == sha256:
                return content
        return None

    def damage(self, backtest_id: str, files: Mapping[str, str]) -> Mapping[str, str]:
        """Return which files in a run's folder are `altered` or `missing`, by path."""
        code = f"{self._store.base_dir}/{backtest_id}/code"
        states = {path: self._state(f"{code}/{path}", sha256) for path, sha256 in files.items()}
        return {path: state for path, state in states.items() if state is not None}

    def _copies(self, path: str, sha256: str, backtest_ids: Sequence[str]) -> Iterator[Path]:
        yield self._objects.path(sha256)
        for backtest_id in backtest_ids:
            yield self._store.run(backtest_id).code / path

    def _state(self, copy: str, sha256: str) -> str | None:
        try:
            found = os.stat(copy)
            linked = self._object(sha256)
            if linked.place == (found.st_dev, found.st_ino):
                return None if linked.intact else "altered"
            return None if sha256_file(Path(copy)) == sha256 else "altered"
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError:
            return "altered"

    def _object(self, sha256: str) -> _Object:
        if sha256 not in self._known:
            intact = self._objects.state(sha256) == "intact"
            try:
                found = os.stat(self._objects.path(sha256))
                self._known[sha256] = _Object((found.st_dev, found.st_ino), intact)
            except OSError:
                self._known[sha256] = _Object(None, False)
        return self._known[sha256]
