"""Files that a strategy wrote into its working directory, which is the folder of its code."""

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from backtrail.artifacts.paths import reserved_result
from backtrail.errors import ArtifactManagerError

__all__ = ["move_written", "remove_written"]


def move_written(code: Path, captured: Collection[str], results: Path) -> None:
    """Move what a strategy wrote beside its code to the results, under the same relative names.

    Args:
        code: The folder of captured code.
        captured: The captured files, relative to it.
        results: Where the rest goes.

    Raises:
        ArtifactManagerError: If a name is the program's own or taken, or something is no regular
            file; nothing is moved then.
    """
    names = sorted(_written(code, captured))
    for name in names:
        path = code / name
        if reserved_result(name):
            reason = "backtrail writes that file itself"
        elif os.path.lexists(results / name):
            reason = "there is such a result already"
        elif path.is_symlink() or not path.is_file():
            reason = "it is no regular file"
        else:
            continue
        raise ArtifactManagerError(
            f"the strategy wrote {name!r} to its working directory, from where it would go to "
            f"results/{name}, but {reason}; write another file, best by "
            "self.artifact_manager.get_result_path(...)"
        )
    for name in names:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(code / name, results / name)
    _remove_empty(code, captured)


def remove_written(code: Path, captured: Collection[str]) -> None:
    """Remove everything that is not captured code."""
    for name in list(_written(code, captured)):
        (code / name).unlink()
    _remove_empty(code, captured)


def _written(code: Path, captured: Collection[str]) -> Iterator[str]:
    known = set(captured)
    for top, folders, files in os.walk(code):
        links = [name for name in folders if os.path.islink(os.path.join(top, name))]
        for file in (*files, *links):
            name = Path(top, file).relative_to(code).as_posix()
            if name not in known:
                yield name


def _remove_empty(code: Path, captured: Collection[str]) -> None:
    needed = {parent.as_posix() for name in captured for parent in Path(name).parents}
    for top, _, _ in os.walk(code, topdown=False):
        name = Path(top).relative_to(code).as_posix()
        if name != "." and name not in needed:
            os.rmdir(top)
