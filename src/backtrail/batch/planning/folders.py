"""What a config may name as a folder or file, what `~` in it means, and what cannot be made."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from backtrail.errors import Problem

__all__ = [
    "SQLITE",
    "PathMistakeError",
    "check_path",
    "check_store_path",
    "expand_home",
    "expand_homes",
    "folder_problems",
]

SQLITE: Final = "sqlite:///"
"""How the URL of a catalog begins that is a file."""
_EXPANDED: Final = (
    ("backtest_output", "base_dir"),
    ("storage", "bundles_dir"),
    ("storage", "catalog_url"),
    ("reports", "templates"),
)
_WITHOUT_DOTS: Final = "write a path without '..', relative or absolute"
_PLAIN: Final = "name a folder by letters, digits, spaces and signs such as - _ . +"
# Snakemake fills in braces and looks for patterns; a shell or SQLite's URL reads the others.
_READ_OTHERWISE: Final = '{}*?[]$`"\\<>|&;'
_MEANINGS: Final = {
    **dict.fromkeys("{}", "Snakemake reads it as a wildcard"),
    **dict.fromkeys("*?[]", "it is read as a pattern of many paths"),
    "$": "variables are not read in a config",
}


class PathMistakeError(ValueError):
    """A path that a config cannot name.

    Attributes:
        remedy: What would do.
    """

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.remedy = remedy


def expand_home(text: str) -> str:
    """Return a path or an SQLite URL of a config with the home folder in place of `~`.

    Raises:
        PathMistakeError: If there is no such home folder.
    """
    scheme = SQLITE if text.startswith(SQLITE) else ""
    path = text.removeprefix(SQLITE)
    if not path.startswith("~"):
        return text
    try:
        return f"{scheme}{Path(path).expanduser()}"
    except RuntimeError:
        name = PurePosixPath(path).parts[0]
        raise PathMistakeError(
            f"{name} means a home folder, and there is none", "name the folder itself"
        ) from None


def expand_homes(config: dict[str, Any]) -> None:
    """Put the home folder in place of `~` in what a valid config says of folders and sources.

    A batch key is made of the config's own text, so that it is the same for every user; what a run
    is decided by names no folder at all.
    """
    for section, key in _EXPANDED:
        if isinstance(config.get(section, {}).get(key), str):
            config[section][key] = expand_home(config[section][key])
    for bundle in config.get("bundles", {}).values():
        for key in ("path", "universe"):
            if isinstance(bundle.get(key), str):
                bundle[key] = expand_home(bundle[key])


def check_path(text: str) -> None:
    """Check that a path can be meant.

    Raises:
        PathMistakeError: If it is empty, has `..` in it, or begins with an unknown home folder.
    """
    if not text.strip() or "\0" in text:
        raise PathMistakeError("the path is empty", _WITHOUT_DOTS)
    if ".." in PurePosixPath(text).parts:
        raise PathMistakeError("'..' could lead outside the project", _WITHOUT_DOTS)
    expand_home(text)


def check_store_path(text: str) -> None:
    """Check a folder that the workflow writes to, whose name stands in rules and commands.

    Raises:
        PathMistakeError: If it cannot be meant, or has a sign that is read otherwise there.
    """
    check_path(text)
    if "://" in text:
        raise PathMistakeError("it is a URL", "name a folder of this machine or of a mounted one")
    if ":" in text and not text.startswith(("/", "~")):
        # PyArrow takes the beginning of a relative path for the scheme of a URL.
        raise PathMistakeError("what stands before ':' is read as the scheme of a URL", _PLAIN)
    for sign in text:
        if not sign.isprintable():
            raise PathMistakeError(f"it has the control character {sign!r}", _PLAIN)
        if sign in _READ_OTHERWISE:
            meaning = _MEANINGS.get(sign, "a shell reads it otherwise")
            remedy = "name the folder itself; ~ is the home folder" if sign == "$" else _PLAIN
            raise PathMistakeError(f"{meaning}: {sign}", remedy)


def folder_problems(config: Mapping[str, Any], source: str, root: Path) -> Iterator[Problem]:
    """Yield which folders of a config are files, or cannot be made.

    Args:
        config: The config with its defaults.
        source: The file name that problems carry.
        root: Project folder.
    """
    for section, key in (("backtest_output", "base_dir"), ("storage", "bundles_dir")):
        text = config[section][key]
        found = _hindrance(root / text)
        if found is not None:
            where = f"{source}: {section}.{key}"
            yield Problem(where, f"{text!r} {found}", "name a folder that is there or can be made")


def _hindrance(folder: Path) -> str | None:
    """Return why a folder cannot be one; whether it can be made only an attempt can tell."""
    nearest = folder
    try:
        nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not nearest.is_dir():
            return "is no folder" if nearest == folder else f"cannot be made: {nearest} is a file"
        if nearest != folder:
            tempfile.TemporaryDirectory(prefix=".backtrail-", dir=nearest).cleanup()
    except OSError as error:
        return f"cannot be made: {nearest}: {error.strerror}"
    return None
