"""Taking a run out of its store in steps of which each is finished by the next call.

The directory is renamed first: from then on nobody finds the run. Its links go next, its files
last. Who is killed between two steps leaves a hidden directory that `finish_removals` knows.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from backtrail.artifacts.rundir import LOCK, RunDir
from backtrail.artifacts.store import RunStore
from backtrail.errors import ArtifactManagerError
from backtrail.files import flush_dir, lease

__all__ = ["finish_removals", "graves", "hold_run", "remove_run", "require_removable"]

_GRAVE = ".deleted."


@contextmanager
def hold_run(run: RunDir) -> Iterator[bool]:
    """Hold a run and every part of a search that is worked on; say whether nobody else does.

    Args:
        run: A run; one whose directory is gone is nobody's.
    """
    with ExitStack() as held:
        parts = sorted((run.path / ".search").glob("*.lock"))
        try:
            free = [held.enter_context(lease(run.path / LOCK, wait=False))]
            for path in parts:
                with suppress(FileNotFoundError):  # released meanwhile
                    free.append(held.enter_context(lease(path, wait=False)))
        except FileNotFoundError:
            free = []
        yield all(free)


def require_removable(run: RunDir) -> None:
    """Refuse a run of which this user cannot empty a folder, as those of other users may be.

    Raises:
        ArtifactManagerError: If there is such a folder.
    """
    for top, _, _ in os.walk(run.path):
        if not os.access(top, os.W_OK | os.X_OK):
            raise ArtifactManagerError(
                f"run {run.backtest_id} cannot be deleted: this user may not write {top}; nothing "
                "was deleted. Let its owner delete the run, or give this user write permission"
            )


def remove_run(store: RunStore, run: RunDir, run_key: str | None) -> None:
    """Remove a run's directory and its links; its lease and that of the plans are held.

    Args:
        store: The run store.
        run: The run; its directory may be gone already.
        run_key: Its key; None of a run that has none.

    Raises:
        OSError: If the file system refuses; what is half done is finished by `finish_removals`.
    """
    grave = store.base_dir / f"{_GRAVE}{run.backtest_id}"
    if run.path.is_dir():
        run.path.rename(grave)
        flush_dir(store.base_dir)
    _unlink(store, run.backtest_id, run_key)
    if grave.is_dir():
        shutil.rmtree(grave)


def graves(store: RunStore) -> list[Path]:
    """Return what removals that were killed have left."""
    return sorted(store.base_dir.glob(f"{_GRAVE}*"))


def finish_removals(store: RunStore) -> list[str]:
    """Finish what killed removals began; the lease of the plans is held. Returns the ids.

    A run that has been made again under its id meanwhile stays, and so does what this user may not
    remove.
    """
    finished = []
    for grave in graves(store):
        backtest_id = grave.name.removeprefix(_GRAVE)
        if not store.run(backtest_id).path.exists():
            _unlink(store, backtest_id, _key_in(store, RunDir(grave), backtest_id))
        try:
            shutil.rmtree(grave)
        except PermissionError:  # of another user, who finishes it; nobody finds the run any more
            continue
        finished.append(backtest_id)
    return finished


def _key_in(store: RunStore, grave: RunDir, backtest_id: str) -> str | None:
    for read in (grave.read_spec, lambda: store.read_spec(backtest_id), grave.read_manifest):
        with suppress(ArtifactManagerError, KeyError, TypeError):
            values = read()
            if values is not None:
                return str(values["run_key"])
    return None


def _unlink(store: RunStore, backtest_id: str, run_key: str | None) -> None:
    """Remove the links of a run, first the one by which its key finds it."""
    if run_key is not None and _finds(store, run_key, backtest_id):
        store.key_path(run_key).unlink(missing_ok=True)
    claimed = store.claimed_path(backtest_id)
    claimed.unlink(missing_ok=True)
    for link in (*([] if run_key is None else [store.key_path(run_key)]), claimed):
        if link.parent.is_dir():
            flush_dir(link.parent)


def _finds(store: RunStore, run_key: str, backtest_id: str) -> bool:
    try:
        return store.find(run_key) == backtest_id
    except ArtifactManagerError:  # a damaged link finds nothing
        return True
