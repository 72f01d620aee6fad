"""Which run captured which file, and where else the bytes of a captured file may lie."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.errors import ArtifactManagerError

__all__ = ["CapturedFiles", "captured_files"]


def captured_files(store: RunStore, run: RunDir) -> dict[str, str]:
    """Return the sha256 of every file a run captured, by its path below `code/`.

    It is read from the run spec, and where that is lost from the inventory of `run.json`. A run
    that has neither captured nothing that is known.
    """
    try:
        spec = store.read_spec(run.backtest_id)
        return {file["path"]: file["sha256"] for file in spec["code"]["files"]}
    except (ArtifactManagerError, KeyError, TypeError):
        pass
    try:
        inventory = (run.read_manifest() or {}).get("inventory", {})
    except ArtifactManagerError:
        return {}
    prefix = "code/"
    return {
        name.removeprefix(prefix): entry["sha256"]
        for name, entry in inventory.items()
        if name.startswith(prefix)
    }


class CapturedFiles:
    """The captured files of a whole store, read once and only when asked for.

    Args:
        store: The run store.
    """

    def __init__(self, store: RunStore) -> None:
        self._store = store

    @cached_property
    def by_content(self) -> Mapping[str, Sequence[tuple[RunDir, str]]]:
        """Every run that captured a content, and the path it has there, by sha256."""
        found: dict[str, list[tuple[RunDir, str]]] = defaultdict(list)
        for run in self._store.run_dirs():
            for path, sha256 in captured_files(self._store, run).items():
                found[sha256].append((run, path))
        return dict(found)

    def sources(self, path: str, sha256: str) -> Iterator[Path]:
        """Yield the files that may have a content: the project's own, then copies in runs.

        Args:
            path: The file's path below the project, as it was captured.
            sha256: The content.
        """
        if self._store.project is not None:
            yield self._store.project / path
        for run, name in self.by_content.get(sha256, ()):
            yield run.code / name
