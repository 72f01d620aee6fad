"""Where a project begins: the folder that its own files mark, never the working directory."""

from pathlib import Path

__all__ = ["MARKERS", "find_project_root", "project_root"]

MARKERS = ("config/config.yaml", "Snakefile", "pyproject.toml", ".git")


def find_project_root(start: Path) -> Path | None:
    """Return the nearest folder at or above `start` that holds a marker of a project, or None.

    Args:
        start: A folder.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in MARKERS):
            return folder
    return None


def project_root(file: Path) -> Path:
    """Return the project folder of a file; without any marker above it, the file's own folder."""
    folder = file.absolute().parent
    return find_project_root(folder) or folder
