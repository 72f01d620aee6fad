"""Which file a module name means, asked of Python's own finders; nothing is executed."""

import os
import site
import sys
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
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

__all__ = ["Module", "ModuleFinder", "Name", "is_source"]

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
        file: What executing it reads; None for a namespace package, and for what such a package has
            outside of the roots.
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
        self._outside: set[str] = set()
        self._installed: dict[str, ModuleSpec | None] = {}

    def find(self, name: Name) -> Module | None:
        """Return the module of a name, or None when it lies outside the roots or nowhere."""
        if name not in self._found:
            try:
                self._found[name] = self._find(name)
            except ValueError:  # half a character or NUL: no file has such a name
                self._found[name] = None
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
            if folder in self._outside:
                self._outside.update(locations or ())
            if spec.loader is not None:
                file = None if folder in self._outside else spec.origin
                return Module(name, file, None if locations is None else tuple(locations))
            portions += locations or ()
        if portions and len(name) == 1:
            # A module further down the path hides a bare folder; bare folders there join it.
            spec = self._installed_spec(name[0])
            if spec is not None and spec.loader is not None:
                return None
            further = () if spec is None else tuple(spec.submodule_search_locations or ())
            self._outside.update(further)
            portions += further
        return Module(name, None, tuple(portions)) if portions else None

    def is_installed(self, name: str) -> bool:
        """Say whether a run could import a top-level module that is not the project's.

        That is the standard library of every system, and what is installed into the environment.
        """
        if name in sys.stdlib_module_names or name in _KEPT:
            return True
        try:
            return self._installed_spec(name) is not None
        except ValueError:
            return False

    def find_installed(self, name: Name) -> ModuleSpec | None:
        """Return where the process of a run would find a module outside of the roots.

        As there, neither the user's own site-packages nor PYTHONPATH count. No package is executed.
        """
        spec = self._installed_spec(name[0])
        for end in range(2, len(name) + 1):
            if spec is None or spec.submodule_search_locations is None:
                return None
            spec = PathFinder.find_spec(".".join(name[:end]), spec.submodule_search_locations)
        return spec

    def _installed_spec(self, name: str) -> ModuleSpec | None:
        if name not in self._installed:
            # Finders say no more than where a file is; editable packages bring their own.
            found = (
                finder.find_spec(name, self._path if finder is PathFinder else None)
                for finder in sys.meta_path
            )
            self._installed[name] = next((spec for spec in found if spec is not None), None)
        return self._installed[name]

    @cached_property
    def _path(self) -> list[str]:
        personal = {*os.environ.get("PYTHONPATH", "").split(os.pathsep), site.USER_SITE or ""}
        return [
            folder
            for folder in sys.path
            if folder not in personal and os.path.realpath(folder) not in self.roots
        ]

    def _finder(self, folder: str) -> FileFinder:
        finder = self._finders.get(folder)
        if finder is None:
            finder = self._finders[folder] = FileFinder(folder, *_LOADERS)
        return finder


@cache
def _is_built_in(name: str) -> bool:
    return BuiltinImporter.find_spec(name) is not None or FrozenImporter.find_spec(name) is not None
