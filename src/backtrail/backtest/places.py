"""Which folders a script means: a store or a project, named or found."""

from pathlib import Path

from backtrail.batch.planning.places import Places
from backtrail.data.catalog import DataCatalog
from backtrail.errors import InvalidNameError
from backtrail.project import find_project_root

__all__ = ["CONFIG_FILE", "check_base_dir", "locate_base_dir", "open_data_catalog"]

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


def locate_base_dir(base_dir: str | Path) -> Path:
    """Return the absolute folder that a base directory means without a strategy file.

    A relative one counts from the project around the working directory, so that a notebook in a
    nested folder writes where the project does; without a project, from the working directory.

    Raises:
        InvalidNameError: If it cannot name a folder.
    """
    path = check_base_dir(base_dir)
    if path.is_absolute():
        return path
    here = Path.cwd()
    return (find_project_root(here) or here) / path


def open_data_catalog(base_dir: Path) -> DataCatalog:
    """Return the catalog of a store: the one its project's config names, if it is that store's.

    Args:
        base_dir: The store's folder, absolute.

    Raises:
        ConfigError: If the project's config says of folders what cannot be meant.
    """
    root = find_project_root(base_dir.parent) or base_dir.parent
    if (root / CONFIG_FILE).is_file():
        places = Places.read([CONFIG_FILE], root)
        if places.store.base_dir == base_dir:
            return DataCatalog(
                places.located_catalog_url, base_dir=base_dir, bundles_dir=places.bundles
            )
    return DataCatalog(base_dir=base_dir, bundles_dir=root / "bundles")
