"""Which source files a strategy consists of, found by reading its imports; nothing is executed."""

import ast
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from backtrail.canonical import sha256_bytes, sha256_json
from backtrail.errors import CodeCaptureError

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
        warnings: What could not be read, one sentence each.
    """

    entry: str
    files: tuple[SourceFile, ...]
    warnings: tuple[str, ...] = field(default=())

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
        self.warnings: list[str] = []

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
        return CodeClosure(self.entry, files, tuple(self.warnings))

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
        except (SyntaxError, ValueError) as error:
            reason = getattr(error, "msg", None) or str(error)
            line = getattr(error, "lineno", None)
            where = name if line is None else f"{name}:{line}"
            self.warnings.append(f"{where} does not parse ({reason}); its imports are unknown")
            return set()
        self.warnings += [
            f"{name}:{line} imports a module whose name is computed; what it imports is unknown"
            for line in _computed_imports(tree)
        ]
        return set(self._resolve(_imports(tree), path))

    def _resolve(self, wanted: "Iterable[_Import]", importer: Path) -> Iterator[str]:
        for item in wanted:
            if item.level:
                base = importer.parent
                for _ in range(item.level - 1):
                    base = base.parent
                bases: tuple[Path, ...] = (base,)
            else:
                bases = self.search
            for base in bases:
                found = list(_module_files(base, item.module, item.names))
                if found:
                    yield from (name for file in found if (name := self._inside(file)))
                    break

    def _inside(self, file: Path) -> str | None:
        """Return the name below the root as written, so that a symlink keeps its own place."""
        try:
            return file.relative_to(self.root).as_posix()
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class _Import:
    module: tuple[str, ...]
    names: tuple[str, ...]
    level: int


def _imports(tree: ast.AST) -> Iterator[_Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _Import(tuple(alias.name.split(".")), (), 0)
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            yield _Import(module, tuple(alias.name for alias in node.names), node.level)
        elif isinstance(node, ast.Call) and (called := _called_import(node)):
            yield called


def _computed_imports(tree: ast.AST) -> list[int]:
    """Return the lines that import by a call whose module cannot be read off."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _imports_by_call(node) and _called_import(node) is None
    ]


def _imports_by_call(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"import_module", "__import__"}


def _called_import(call: ast.Call) -> _Import | None:
    """Return what `importlib.import_module("x")`, `(".x", __package__)` or `__import__` names."""
    if not _imports_by_call(call) or not call.args:
        return None
    module, package = call.args[0], call.args[1] if len(call.args) > 1 else None
    if not (isinstance(module, ast.Constant) and isinstance(module.value, str) and module.value):
        return None
    path = module.value.lstrip(".")
    level = len(module.value) - len(path)
    if level and not (isinstance(package, ast.Name) and package.id in {"__package__", "__name__"}):
        return None
    return _Import(tuple(path.split(".")) if path else (), (), level)


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
    except (OSError, SyntaxError, ValueError):
        return []
    return [
        item.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        and any(isinstance(part, ast.Name) and part.id == "__all__" for part in ast.walk(node))
        for item in ast.walk(node)
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
