"""Which source files a strategy consists of, found by reading its imports; nothing is executed."""

import ast
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from backtrail.canonical import sha256_bytes, sha256_json
from backtrail.errors import CodeCaptureError
from backtrail.provenance.imports import ImportStatement, is_installed, read_imports

__all__ = ["CodeClosure", "SourceFile", "import_roots", "trace_imports"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a closure.

    Attributes:
        path: Path relative to the capture root, with forward slashes.
        sha256: Checksum of its bytes.
        imported_by: The files of the closure that import it, sorted; empty for the entry point.
    """

    path: str
    sha256: str
    imported_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CodeClosure:
    """The import closure of one entry point.

    Attributes:
        entry: The strategy file, relative to the capture root.
        files: Every file of the closure, sorted by path.
        warnings: What could not be read or found, one sentence each.
        notes: Modules that were found nowhere, and that the code does without.
    """

    entry: str
    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    @property
    def code_hash(self) -> str:
        """Sha256 over (path, bytes) of every file."""
        return sha256_json([[file.path, file.sha256] for file in self.files])


def import_roots(entry: str) -> tuple[str, ...]:
    """Return where a strategy's imports are looked up: beside the file, then at the root.

    Args:
        entry: The strategy file, relative to the root.

    Returns:
        Folders relative to the root, which is the project when code is captured and the run's
        `code/` when it is executed.
    """
    beside = PurePosixPath(entry).parent.as_posix()
    return (beside,) if beside == "." else (beside, ".")


def trace_imports(entry: Path, root: Path) -> CodeClosure:
    """Follow the imports of a strategy file through every file below `root`.

    Modules are told apart by where they are found: what lies under the strategy's folder or
    the root is the user's and is taken; everything else is Python's, a package's or ours.

    Args:
        entry: The strategy file.
        root: The capture root, usually the project folder.

    Raises:
        CodeCaptureError: If the entry point is absent, unreadable or outside the root.
    """
    root = root.resolve()
    try:
        name = entry.resolve(strict=True).relative_to(root).as_posix()
    except FileNotFoundError:
        raise CodeCaptureError(f"strategy file {entry} does not exist") from None
    except ValueError:
        raise CodeCaptureError(
            f"strategy file {entry} lies outside the project root {root}; move it inside"
        ) from None
    return _Tracer(root, name).trace()


class _Tracer:
    def __init__(self, root: Path, entry: str) -> None:
        self.root = root
        self.entry = entry
        self.search = tuple(root / folder for folder in import_roots(entry))
        self.importers: dict[str, set[str]] = {entry: set()}
        self.checksums: dict[str, str] = {}
        self.warnings: list[tuple[str, int, str]] = []
        self.notes: list[tuple[str, int, str]] = []
        self.installed: dict[str, bool] = {}

    def trace(self) -> CodeClosure:
        for package in self._entry_packages():
            self.importers[package] = {self.entry}
        queue = deque(self.importers)
        while queue:
            name = queue.popleft()
            for found in self._imported_files(name):
                if found not in self.importers:
                    self.importers[found] = set()
                    queue.append(found)
                if found != name:
                    self.importers[found].add(name)
        files = tuple(
            SourceFile(name, self.checksums[name], tuple(sorted(self.importers[name])))
            for name in sorted(self.importers)
        )
        said = [tuple(text for *_, text in sorted(each)) for each in (self.warnings, self.notes)]
        return CodeClosure(self.entry, files, *said)

    def _entry_packages(self) -> Iterator[str]:
        """Yield the `__init__.py` files that importing the strategy inside its package runs."""
        for folder in PurePosixPath(self.entry).parents:
            if folder.as_posix() == "." or not (self.root / folder / "__init__.py").is_file():
                return
            yield (folder / "__init__.py").as_posix()

    def _imported_files(self, name: str) -> set[str]:
        path = self.root / name
        try:
            source = path.read_bytes()
        except OSError as error:
            raise CodeCaptureError(f"cannot read {path}: {error.strerror}") from error
        self.checksums[name] = sha256_bytes(source)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a doubtful escape is no matter of capture
                tree = ast.parse(source, filename=str(path))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = getattr(error, "msg", None) or str(error)
            line = getattr(error, "lineno", None)
            where = name if line is None else f"{name}:{line}"
            text = f"{where} does not parse ({reason}); its imports are unknown"
            self.warnings.append((name, line or 0, text))
            return set()
        return set(self._resolve(read_imports(tree), path, name))

    def _resolve(
        self, wanted: Iterable[ImportStatement], importer: Path, name: str
    ) -> Iterator[str]:
        for item in wanted:
            where = f"{name}:{item.line}"
            if item.module is None:
                text = (
                    f"{where} imports a module whose name is computed; what it imports is unknown"
                )
                self.warnings.append((name, item.line, text))
                continue
            bases = self._bases(item, importer)
            for base in bases:
                found = list(_module_files(base, item.module, item.names))
                if found:
                    yield from (path for file in found if (path := self._inside(file)))
                    break
            if not self._is_known(item, bases):
                text = (
                    f"{where} imports {item.text!r}, which was found neither in the project nor "
                    "among installed packages"
                )
                (self.notes if item.is_guarded else self.warnings).append((name, item.line, text))

    def _bases(self, item: ImportStatement, importer: Path) -> tuple[Path, ...]:
        if not item.level:
            return self.search
        base = importer.parent
        for _ in range(item.level - 1):
            base = base.parent
        return (base,)

    def _is_known(self, item: ImportStatement, bases: Sequence[Path]) -> bool:
        """Say whether a module lies in the project or could be imported from the environment."""
        assert item.module is not None
        if not item.level and item.module[0] in sys.stdlib_module_names:
            return True
        if any(_has_module(base, item.module) for base in bases):
            return True
        if item.level or any(_is_module(base / item.module[0]) for base in bases):
            return False
        top = item.module[0]
        if top not in self.installed:
            self.installed[top] = is_installed(top, self.search)
        return self.installed[top]

    def _inside(self, file: Path) -> str | None:
        """Return the name below the root as written, so that a symlink keeps its own place."""
        try:
            return file.relative_to(self.root).as_posix()
        except ValueError:
            return None


def _is_module(path: Path) -> bool:
    return (path / "__init__.py").is_file() or path.with_name(f"{path.name}.py").is_file()


def _has_module(base: Path, module: tuple[str, ...]) -> bool:
    """Say whether every part of a dotted name is a folder, and the last one a folder or file."""
    if not module:
        return base.is_dir()
    parent = base.joinpath(*module[:-1])
    return (parent / module[-1]).is_dir() or (parent / f"{module[-1]}.py").is_file()


def _module_files(base: Path, module: tuple[str, ...], names: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files that importing `module` (and `names` from it) executes under `base`."""
    folder = base
    for index, part in enumerate(module):
        package = folder / part
        is_last = index == len(module) - 1
        if (package / "__init__.py").is_file():
            yield package / "__init__.py"
        elif (plain := folder / f"{part}.py").is_file():
            if is_last:
                yield plain
            return
        elif not package.is_dir():
            return
        folder = package
    if not module and (folder / "__init__.py").is_file():
        yield folder / "__init__.py"
    for name in _spelled_out(names, folder):
        if (folder / name / "__init__.py").is_file():
            yield folder / name / "__init__.py"
        elif (folder / f"{name}.py").is_file():
            yield folder / f"{name}.py"


def _spelled_out(names: tuple[str, ...], package: Path) -> list[str]:
    """Return imported names with `*` replaced by what the package lists in `__all__`."""
    if "*" not in names:
        return list(names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse((package / "__init__.py").read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [
        item.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        and any(isinstance(part, ast.Name) and part.id == "__all__" for part in ast.walk(node))
        for item in ast.walk(node)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
