"""Files that a strategy wrote: into its run, or into its working directory, which is `code/`."""

import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from backtrail.artifacts.paths import RUN_RECORDS, is_result_name, reserved_result
from backtrail.errors import ArtifactManagerError

__all__ = ["gather_written", "remove_written"]


def gather_written(
    code: Path, captured: Collection[str], target: Path, made: Collection[str] = ()
) -> None:
    """Move what a strategy wrote beside its code to the results, under the same relative names.

    To be called before the program writes results of its own. What the strategy wrote into its
    run stays where it is; it has to have a fit name, too.

    Args:
        code: The folder of captured code.
        captured: The captured files, relative to it.
        target: The directory of the run.
        made: Files that the program itself has made there before, relative to it.

    Raises:
        ArtifactManagerError: If a name is the program's own, unfit or taken, or something is no
            regular file.
    """
    for name in sorted(_written(code, set(captured))):
        path = target / "results" / name
        if os.path.lexists(path):
            raise _refusal(name, "there is such a result already")
        _require_fit(code / name, f"results/{name}", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(code / name, path)
    for entry in sorted(target.iterdir() if target.exists() else ()):
        if entry.name in RUN_RECORDS:
            continue
        if not entry.is_dir() or entry.is_symlink():
            _require_fit(entry, entry.name, entry.name)
            continue
        known = {name.removeprefix(f"{entry.name}/") for name in made}
        for name in _written(entry, known):
            _require_fit(entry / name, f"{entry.name}/{name}", f"{entry.name}/{name}")


def remove_written(code: Path, captured: Collection[str]) -> None:
    """Remove everything that is not captured code."""
    for name in list(_written(code, set(captured))):
        (code / name).unlink()
    needed = {parent.as_posix() for name in captured for parent in Path(name).parents}
    for top, _, _ in os.walk(code, topdown=False):
        name = Path(top).relative_to(code).as_posix()
        if name != "." and name not in needed:
            os.rmdir(top)


def _written(folder: Path, known: Collection[str]) -> Iterator[str]:
    """Yield what is in a folder and no folder itself, links to folders among it."""
    for top, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(top, name))]
        for file in (*files, *links):
            name = Path(top, file).relative_to(folder).as_posix()
            if name not in known:
                yield name


def _require_fit(path: Path, place: str, written: str) -> None:
    """Refuse a file that cannot have the place in a run that it would get."""
    if place.startswith("results/") and reserved_result(place.removeprefix("results/")):
        raise _refusal(written, "backtrail writes that file itself")
    if not is_result_name(place):
        raise _refusal(
            written,
            "a part of that name begins with a dot, is too long, or holds a backslash, a brace or "
            "a control character",
        )
    if path.is_symlink() or not path.is_file():
        raise _refusal(written, "it is no regular file")


def _refusal(name: str, reason: str) -> ArtifactManagerError:
    return ArtifactManagerError(
        f"the strategy wrote {name!r}, which cannot be kept with the run: {reason}; write another "
        "file, best by artifact_manager.get_result_path(...)"
    )
