"""Which file a module name means, asked of Python's own finders; nothing is executed."""

import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    BuiltinImporter,
    ExtensionFileLoader,
    FileFinder,
    FrozenImporter,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from typing import NamedTuple

__all__ = ["Module", "ModuleFinder", "Name", "find_installed", "is_source"]

Name = tuple[str, ...]

# The order in which Python itself looks for them: a compiled module hides its source.
_LOADERS = (
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (SourceFileLoader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)
# The process of a run has these loaded before the strategy and never lets them be replaced.
_KEPT = frozenset({"__main__", __name__.partition(".")[0]})


# Named tuples in the modules of capture: every parse of the Snakefile defines them, and a dataclass
# takes ten times as long.
class Module(NamedTuple):
    """A module found below the capture root.

    Attributes:
        name: Its full name in parts.
        file: What executing it reads; None for a namespace package.
        search: Folders in which its submodules are looked up; None for a plain module.
    """

    name: Name
    file: str | None
    search: tuple[str, ...] | None

    @property
    def package(self) -> Name:
        """The package that its relative imports start from."""
        return self.name if self.search is not None else self.name[:-1]


def is_source(file: str) -> bool:
    """Say whether a module file is Python source, not compiled code."""
    return file.endswith(tuple(SOURCE_SUFFIXES))


class ModuleFinder:
    """Finds modules below some folders as `import` would with these folders first on its path.

    Built-in and frozen modules win over files, as they do in Python. A folder without
    `__init__.py` is a namespace package, and only where nothing on the rest of the path has the
    name. Every folder is listed once in the life of a finder.

    Args:
        roots: Absolute folders in the order of `sys.path`.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self.roots = tuple(roots)
        self._finders: dict[str, FileFinder] = {}
        self._found: dict[Name, Module | None] = {}

    def find(self, name: Name) -> Module | None:
        """Return the module of a name, or None when it lies outside the roots or nowhere."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def chain(self, name: Name) -> Iterator[Module]:
        """Yield what `import a.b.c` executes, in its order, as far as it is found."""
        for end in range(1, len(name) + 1):
            module = self.find(name[:end])
            if module is None:
                return
            yield module

    def submodules(self, package: Module) -> list[str]:
        """Return the names of the modules and regular packages in a package, sorted."""
        names: set[str] = set()
        for folder in package.search or ():
            for entry in os.listdir(folder) if os.path.isdir(folder) else ():
                name = entry.partition(".")[0]
                found = self.find((*package.name, name)) if name.isidentifier() else None
                if found is not None and found.file is not None:
                    names.add(name)
        return sorted(names - {"__init__", "__main__"})

    def _find(self, name: Name) -> Module | None:
        if len(name) > 1:
            parent = self.find(name[:-1])
            if parent is None or parent.search is None:
                return None
            search = parent.search
        else:
            if name[0] in _KEPT or _is_built_in(name[0]):
                return None
            search = self.roots
        portions: list[str] = []
        for folder in search:
            spec = self._finder(folder).find_spec(".".join(name))
            if spec is None:
                continue
            locations = spec.submodule_search_locations
            if spec.loader is not None:
                return Module(name, spec.origin, None if locations is None else tuple(locations))
            portions += locations or ()
        if not portions or (len(name) == 1 and _is_hidden(name[0], self.roots)):
            return None
        return Module(name, None, tuple(portions))

    def _finder(self, folder: str) -> FileFinder:
        finder = self._finders.get(folder)
        if finder is None:
            finder = self._finders[folder] = FileFinder(folder, *_LOADERS)
        return finder


@cache
def _is_built_in(name: str) -> bool:
    return BuiltinImporter.find_spec(name) is not None or FrozenImporter.find_spec(name) is not None


def find_installed(name: Name, roots: Sequence[str]) -> ModuleSpec | None:
    """Return where a module is found outside of some folders, without executing a package.

    Args:
        name: Its full name in parts.
        roots: Folders that are left out of `sys.path`.
    """
    if _is_built_in(name[0]):
        return BuiltinImporter.find_spec(name[0]) or FrozenImporter.find_spec(name[0])
    skipped = {"", os.getcwd(), *roots, *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    path: Sequence[str] | None = [folder for folder in sys.path if folder not in skipped]
    spec = None
    for end in range(1, len(name) + 1):
        spec = None if path is None else PathFinder.find_spec(".".join(name[:end]), path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def _is_hidden(name: str, roots: Sequence[str]) -> bool:
    """Say whether Python or its packages have a module that hides a namespace package."""
    spec = find_installed((name,), roots)
    return spec is not None and spec.loader is not None
