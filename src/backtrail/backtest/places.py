"""Which folders a script means: a store or a project, named or found."""

from pathlib import Path

from backtrail.batch.planning.places import Places
from backtrail.errors import InvalidNameError
from backtrail.project import find_project_root

__all__ = ["CONFIG_FILE", "check_base_dir", "locate_base_dir", "project_places"]

CONFIG_FILE = Path("config/config.yaml")


def check_base_dir(base_dir: str | Path) -> Path:
    """Return a base directory as a path; `~` is the home folder.

    Raises:
        InvalidNameError: If it is empty, has `..` in it, or a character no path can have.
    """
    if not isinstance(base_dir, (str, Path)):
        raise InvalidNameError(f"Invalid base directory {base_dir!r}: give a path or its text")
    text = str(base_dir)
    if not text.strip() or any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
        raise InvalidNameError(
            f"Invalid base directory {text!r}: it is empty or has control characters; name a folder"
        )
    path = Path(text)
    if ".." in path.parts:
        raise InvalidNameError(
            f"Invalid base directory {text!r}: '..' could lead outside the project; "
            "give the folder itself, relative or absolute"
        )
    return path.expanduser()


def project_places(folder: Path) -> Places:
    """Return the places of the project around a folder: those of its config, or the usual ones.

    Raises:
        ConfigError: If the project's config says of folders what cannot be meant.
    """
    root = find_project_root(folder) or folder
    return Places.read([CONFIG_FILE] if (root / CONFIG_FILE).is_file() else [], root)


def locate_base_dir(base_dir: str | Path | None) -> Path:
    """Return the absolute folder that a base directory means without a strategy file.

    None is the one of the project around the working directory: as its config says, `backtests`
    without one. A relative one counts from that project, so that a notebook in a nested folder
    writes where the project does; without a project, from the working directory.

    Raises:
        InvalidNameError: If it cannot name a folder.
        ConfigError: As `project_places`.
    """
    here = Path.cwd()
    if base_dir is None:
        return project_places(here).store.base_dir
    path = check_base_dir(base_dir)
    return path if path.is_absolute() else (find_project_root(here) or here) / path
