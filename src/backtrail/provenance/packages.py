"""Which installed distributions a run imported, found by the names of their metadata folders."""

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from backtrail.provenance.outside import site_folders

__all__ = ["distributions"]


def distributions(modules: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the version of every distribution that modules belong to, by name.

    Args:
        modules: Name and file of modules below the folders of installed packages. One that
            belongs to no distribution (put there by hand) has the version `unknown`.
    """
    return dict(sorted(_distribution(name, path) for name, path in modules))


@cache
def _distribution(module: str, path: str) -> tuple[str, str]:
    folder = max((item for item in site_folders() if path.startswith(item)), key=len, default="")
    installed = _installed(folder)
    name = _normal(module.partition(".")[0])
    if name in installed:
        return name, installed[name][0]
    inside = path.removeprefix(folder)
    for name, (version, metadata) in installed.items():
        record = Path(metadata, "RECORD")
        if record.exists() and f"\n{inside}," in f"\n{record.read_text(errors='replace')}":
            return name, version
    return module.partition(".")[0], "unknown"


@cache
def _installed(folder: str) -> dict[str, tuple[str, str]]:
    """Return version and metadata folder of each distribution in a folder, by normal name."""
    found = {}
    for entry in sorted(os.listdir(folder)) if folder else ():
        if entry.endswith(".dist-info"):
            name, _, version = entry.removesuffix(".dist-info").partition("-")
            found[_normal(name)] = (version, folder + entry)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
