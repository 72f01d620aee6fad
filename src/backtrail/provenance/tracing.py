"""Following the imports of a strategy from file to file."""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from backtrail.errors import CodeCaptureError
from backtrail.provenance.calls import Import
from backtrail.provenance.closure import import_roots
from backtrail.provenance.modules import Module, ModuleFinder, Name, is_source
from backtrail.provenance.reading import ReadFile, read_file
from backtrail.provenance.source import SourceFacts, read_source

__all__ = ["NOWHERE", "Trace", "trace_imports"]

NOWHERE = "which was found neither in the project nor among installed packages"


@dataclass(slots=True)
class Trace:
    """What following the imports of a strategy found.

    Attributes:
        files: Every file found, by its path below the root.
        importers: The files that import or name each file.
        warnings: What could not be read, followed or found, by file and line.
        notes: Modules that were found nowhere, and that the code does without.
        faults: Data files that are named and cannot be captured.
    """

    files: dict[str, ReadFile] = field(default_factory=dict)
    importers: dict[str, set[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def trace_imports(root: str, entry: str, generated: Mapping[str, ReadFile]) -> Trace:
    """Follow the imports of a strategy through every file below a root.

    Modules are told apart by where they are found: what lies under the strategy's folder or the
    root is the user's and is taken; everything else is Python's, a package's or ours.

    Args:
        root: The capture root, absolute.
        entry: The strategy file, relative to the root.
        generated: Files that lie nowhere, by the path they would have.

    Raises:
        CodeCaptureError: If the entry point cannot be read.
    """
    return _Tracer(root, entry, generated).trace()


class _Tracer:
    def __init__(self, root: str, entry: str, generated: Mapping[str, ReadFile]) -> None:
        self.root = root
        self.entry = entry
        self.generated = generated
        self.finder = ModuleFinder(
            [os.path.normpath(f"{root}/{folder}") for folder in import_roots(entry)]
        )
        folder = os.path.dirname(f"{root}/{entry}")
        self.in_package = folder != root and os.path.isfile(f"{folder}/__init__.py")
        self.found = Trace()
        self.facts: dict[str, SourceFacts | None] = {}
        self.warned: set[tuple[str, int, str]] = set()
        # A file may be imported under two names, and an import be found under one of them.
        self.known: set[tuple[str, Import]] = set()
        self.unknown: set[tuple[str, Import]] = set()

    def trace(self) -> Trace:
        name = PurePosixPath(self.entry).with_suffix("").parts
        entry = Module(name, f"{self.root}/{self.entry}", None)
        self._read_entry()
        waiting = deque([entry])
        seen = {name}
        for package in self._packages(name[:-1]):
            self._take(package, self.entry)
            seen.add(package.name)
            waiting.append(package)
        while waiting:
            module = waiting.popleft()
            for imported in self._imported(module):
                self._take(imported, self._path(module))
                if imported.name not in seen:
                    seen.add(imported.name)
                    waiting.append(imported)
        for path in self.found.files:
            self.found.importers[path].discard(path)
        self._conclude()
        return self.found

    def _conclude(self) -> None:
        noted: set[tuple[str, int, str]] = set()
        for path, item in self.unknown - self.known:
            text = f"imports {str(item)!r}, {NOWHERE}"
            (noted if item.is_guarded else self.warned).add((path, item.line, text))
        for said, texts in ((self.found.warnings, self.warned), (self.found.notes, noted)):
            for path, line, text in sorted(texts):
                said.append(f"{path}:{line} {text}" if line else f"{path} {text}")

    def _path(self, module: Module) -> str:
        return (module.file or "")[len(self.root) + 1 :]

    def _packages(self, folder: Name) -> Iterator[Module]:
        """Yield the packages around a strategy, which importing it inside its package runs."""
        if not self.in_package:
            return
        for end in range(1, len(folder) + 1):
            path = "/".join((self.root, *folder[:end]))
            if os.path.isfile(f"{path}/__init__.py"):
                yield Module(folder[:end], f"{path}/__init__.py", (path,))

    def _read_entry(self) -> None:
        try:
            self._read(self.entry)
        except OSError as error:
            path = f"{self.root}/{self.entry}"
            raise CodeCaptureError(f"cannot read {path}: {error.strerror}") from error

    def _read(self, path: str) -> ReadFile:
        if path not in self.found.files:
            given = self.generated.get(path)
            self.found.files[path] = given or read_file(f"{self.root}/{path}")
            self.found.importers.setdefault(path, set())
        return self.found.files[path]

    def _take(self, module: Module, importer: str) -> None:
        if module.file is None:
            return
        path = self._path(module)
        try:
            self._read(path)
        except OSError as error:
            text = f"cannot be read ({error.strerror}); it is not captured"
            self.warned.add((path, 0, text))
        else:
            self.found.importers[path].add(importer)

    def _imported(self, module: Module) -> Iterator[Module]:
        """Yield the modules that a module imports, and note what else it says."""
        path = self._path(module)
        if module.file is None or path not in self.found.files:
            return
        if path not in self.facts:
            self.facts[path] = self._facts(path)
        facts = self.facts[path]
        for item in facts.imports if facts else ():
            yield from self._resolve(item, module)

    def _facts(self, path: str) -> SourceFacts | None:
        if not is_source(path):
            self.warned.add((path, 0, "is compiled code; what it imports is unknown"))
            return None
        data = self.found.files[path].data
        if data is None:
            self.warned.add((path, 0, "is too large to be read; its imports are unknown"))
            return None
        facts = read_source(data)
        if facts.error is not None:
            reason, line = facts.error
            text = f"does not parse ({reason}); its imports are unknown"
            self.warned.add((path, line or 0, text))
        self.warned.update((path, line, text) for line, text in facts.doubts)
        for text, line in facts.data_files:
            self._take_data_file(text, path, line)
        return facts

    def _resolve(self, item: Import, module: Module) -> Iterator[Module]:
        base = self._base(item, module)
        is_known = base is not None and self._is_known((*base, *item.module), item)
        (self.known if is_known else self.unknown).add((self._path(module), item))
        if base is None:
            return
        name = (*base, *item.module)
        # Whoever imports from its own package has had that imported already.
        executed = len(base) if item.level and item.anchor == "package" else 0
        for part in self.finder.chain(name):
            if len(part.name) > executed or part.name == name:
                yield part
        target = self.finder.find(name) if name else None
        if name and (target is None or target.search is None):
            return
        for taken in self._spelled_out(item.names, target):
            found = self.finder.find((*name, taken))
            if found is not None:
                yield found

    def _is_known(self, name: Name, item: Import) -> bool:
        """Say whether a module lies in the project or could be imported from the environment."""
        if not item.module or self.finder.find(name) is not None:
            return True
        if item.level or self.finder.find(name[:1]) is not None:
            return False
        return self.finder.is_installed(name[0])

    def _base(self, item: Import, module: Module) -> Name | None:
        """Return the package that an import starts from, or None when it climbs too far."""
        if not item.level:
            return ()
        if item.anchor == "package":
            package = module.package
        else:
            package = module.name if item.anchor == "name" else tuple(item.anchor)
        end = len(package) - item.level + 1
        # Python does not climb beyond packages. What a strategy without a package imports so fails
        # when it runs; it is captured all the same, should it run in a package one day. A package
        # that is written out stays what it is.
        is_its_own = item.anchor in ("package", "name")
        is_free = is_its_own and not self.in_package and self._path(module) == self.entry
        return package[:end] if end > 0 or (end == 0 and is_free) else None

    def _spelled_out(self, names: Name, package: Module | None) -> list[str]:
        """Return imported names with `*` replaced by what the package lists in `__all__`."""
        if "*" not in names:
            return list(names)
        if package is None or package.file is None:
            return []
        path = self._path(package)
        try:
            data = self._read(path).data if is_source(path) else None
        except OSError:
            return []
        listed = [] if data is None else read_source(data).listed
        return self.finder.submodules(package) if listed is None else list(listed)

    def _take_data_file(self, text: str, importer: str, line: int) -> None:
        where = f"{importer}:{line} names the data file {text!r}"
        folders = import_roots(self.entry)
        if os.path.isabs(text) or ".." in PurePosixPath(text).parts or "\0" in text or not text:
            self.found.faults.append(
                f"{where}; write a path that is relative to the strategy's folder or the project's "
                "and stays inside"
            )
            return
        for folder in folders:
            path = os.path.normpath(f"{folder}/{text}")
            if os.path.isfile(f"{self.root}/{path}"):
                try:
                    self._read(path)
                except OSError as error:
                    self.found.faults.append(f"{where}, which cannot be read: {error.strerror}")
                else:
                    self.found.importers[path].add(importer)
                return
        if any(os.path.isdir(f"{self.root}/{folder}/{text}") for folder in folders):
            remedy = "which is a folder; name its files one by one, or in strategy.yaml"
        else:
            beside = "" if len(folders) == 1 else f"{folders[0]}/ or "
            remedy = f"which is not in {beside}the project folder; put it there"
        self.found.faults.append(f"{where}, {remedy}")
