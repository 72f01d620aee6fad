"""Capturing the code of one strategy into a folder."""

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from backtrail.errors import CodeCaptureError
from backtrail.provenance.closure import (
    CodeClosure,
    SecretWaiver,
    import_roots,
    log_capture,
)
from backtrail.provenance.detection import (
    CaptureMode,
    capture_closure,
    find_strategy_yaml,
    relative_name,
    require_mode,
)
from backtrail.provenance.modules import ModuleFinder, Name
from backtrail.provenance.reading import read_file
from backtrail.provenance.secrets import refuse_secrets
from backtrail.provenance.source import read_source
from backtrail.provenance.strategy_yaml import is_pattern, parse_strategy_yaml, read_listing

__all__ = ["StrategyCodeCapture", "capture_closure"]

_LOGGER = logging.getLogger(__name__)


class StrategyCodeCapture:
    """Detects the files of a strategy and copies them, structure kept.

    Nothing of the strategy is executed. Modules are told apart by where they are found: what lies
    below `strategy_root` is the user's, everything else is Python's, a package's or ours.

    Args:
        entry_point: The strategy file, or a notebook.
        code_dir: Folder of the copies, usually `code/` of a run.
        capture_mode: `import_analysis` or `strategy_yaml`. A `strategy.yaml` beside the strategy
            takes precedence in both; the second asks for one.
        strategy_root: Folder from which imports and relative paths are resolved; by default the
            strategy's own.
        secret_waivers: Findings of the secret scan that are accepted.
        strategy_yaml: A `strategy.yaml` at another place below the root.
        backtest_id: The run that the files belong to, for log records.

    Attributes:
        entry_point: The strategy file.
        code_dir: Folder of the copies.
        capture_mode: How files are found.
        strategy_root: Folder from which relative paths are resolved.
        captured_files: The files that were detected; after `copy_files`, those that were copied.

    Raises:
        ValueError: If there is no such capture mode.
    """

    def __init__(
        self,
        entry_point: Path,
        code_dir: Path,
        capture_mode: CaptureMode = "import_analysis",
        *,
        strategy_root: Path | None = None,
        secret_waivers: Sequence[SecretWaiver] = (),
        strategy_yaml: Path | None = None,
        backtest_id: str | None = None,
    ) -> None:
        require_mode(capture_mode)
        self.entry_point = Path(entry_point)
        self.code_dir = Path(code_dir)
        self.capture_mode: CaptureMode = capture_mode
        self.strategy_root = (
            self.entry_point.parent if strategy_root is None else Path(strategy_root)
        )
        self.captured_files: list[Path] = []
        self._waivers = tuple(secret_waivers)
        self._strategy_yaml = strategy_yaml
        self._backtest_id = backtest_id
        self._generated: dict[str, bytes] = {}

    def detect_strategy_files(self) -> list[Path]:
        """Find the files of the strategy, by its `strategy.yaml` or else by its imports.

        What a `strategy.yaml` lists is returned also where no file is there; that is warned about
        and will not be copied.

        Returns:
            Paths below `strategy_root`, sorted. A notebook stands there as the Python file that is
            generated from its code cells.

        Raises:
            CodeCaptureError: If the strategy cannot be captured.
        """
        entry = relative_name(self.entry_point, self.strategy_root)
        base = os.path.realpath(self.strategy_root)
        listing = find_strategy_yaml(entry, base, self.capture_mode, self._strategy_yaml)
        names: set[str] = set()
        notes: tuple[str, ...] = ()
        warnings: list[str] = []
        if listing is not None:
            found = read_listing(Path(base, listing))
            folder = PurePosixPath(listing).parent
            absent = [item for item in found.missing if not is_pattern(item)]
            names = {(folder / item).as_posix() for item in (*found.files, *absent)} | {listing}
            warnings = [f"{listing} names {item}, which does not exist" for item in found.missing]
        if listing is not None and not self.entry_point.exists():
            names.add(entry)
        else:
            closure = self._closure()
            names |= {file.path for file in closure.files}
            warnings, notes = list(closure.warnings), closure.notes
        self.captured_files = [self.strategy_root / name for name in sorted(names)]
        code = {
            "mode": "import_analysis" if listing is None else "strategy_yaml",
            "files": [{"path": name} for name in sorted(names)],
            "warnings": warnings,
            "notes": notes,
        }
        log_capture(code, backtest_id=self._backtest_id, output_dir=self.code_dir.parent)
        return list(self.captured_files)

    def _closure(self) -> CodeClosure:
        closure = capture_closure(
            self.entry_point,
            self.strategy_root,
            mode=self.capture_mode,
            secret_waivers=self._waivers,
            strategy_yaml=self._strategy_yaml,
        )
        self._generated = {
            file.path: file.content for file in closure.files if file.content is not None
        }
        return closure

    def copy_files(self, files: Sequence[Path]) -> None:
        """Copy files into `code_dir`; structure, times and permissions are kept.

        All of them are searched for secrets before the first one is copied.

        Args:
            files: Paths below `strategy_root`. A missing one is warned about and left out.

        Raises:
            CodeCaptureError: If a file lies outside `strategy_root` or cannot be read, the
                strategy itself is missing, or something looks like a secret.
        """
        contents: dict[str, bytes | None] = {}
        for path in files:
            name = relative_name(Path(path), self.strategy_root)
            try:
                contents[name] = self._generated.get(name) or read_file(path).data
            except FileNotFoundError:
                if Path(path) == self.entry_point:
                    raise CodeCaptureError(f"strategy file {path} does not exist") from None
                _LOGGER.warning(
                    "%s does not exist; it is not captured",
                    name,
                    extra={
                        "backtest_id": self._backtest_id,
                        "output_dir": str(self.code_dir.parent),
                        "captured_files": [],
                    },
                )
            except OSError as error:
                raise CodeCaptureError(f"cannot read {path}: {error.strerror}") from error
        known = {name: data for name, data in contents.items() if data is not None}
        entry = relative_name(self.entry_point, self.strategy_root)
        refuse_secrets(
            {entry if name in self._generated else name: data for name, data in known.items()},
            self._waivers,
        )
        for name in contents:
            self._copy(name, known.get(name))
        self.captured_files = [self.strategy_root / name for name in sorted(contents)]

    def _copy(self, name: str, data: bytes | None) -> None:
        target = self.code_dir / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # what stands there may be linked to an object
        source = self.strategy_root / name
        if data is None:
            shutil.copy2(source, target)
            return
        target.write_bytes(data)
        if name in self._generated:
            source = self.entry_point
        shutil.copystat(source, target)

    def _parse_imports(self, file_path: Path) -> list[str]:
        """Return the modules that a file imports, as written, each once.

        A name taken from a package stands there as `package.name` where it is a module below
        `strategy_root`.

        Raises:
            CodeCaptureError: If the file does not parse.
        """
        facts = read_source(Path(file_path).read_bytes())
        if facts.error is not None:
            raise CodeCaptureError(f"{file_path} does not parse ({facts.error[0]})")
        found: dict[str, None] = {}
        for item in facts.imports:
            spelled = str(item)
            if item.module:
                found[spelled] = None
            for name in item.names:
                full = spelled + name if spelled.endswith(".") else f"{spelled}.{name}"
                if not item.module or self._find_local(full) is not None:
                    found[full] = None
        return list(found)

    def _finder(self) -> ModuleFinder:
        entry = relative_name(self.entry_point, self.strategy_root)
        base = os.path.realpath(self.strategy_root)
        return ModuleFinder([os.path.normpath(f"{base}/{root}") for root in import_roots(entry)])

    def _parts(self, module_name: str) -> Name:
        """Return a module's full name; leading dots count from the strategy's folder."""
        path = module_name.lstrip(".")
        level = len(module_name) - len(path)
        entry = PurePosixPath(relative_name(self.entry_point, self.strategy_root))
        folder = entry.parent.parts if level else ()
        return (*folder[: len(folder) - max(level - 1, 0)], *(path.split(".") if path else ()))

    def _find_local(self, module_name: str) -> Path | None:
        parts = self._parts(module_name)
        module = self._finder().find(parts) if parts else None
        if module is None or module.file is None:
            return None
        base = os.path.realpath(self.strategy_root)
        return self.strategy_root / os.path.relpath(module.file, base)

    def _resolve_module_path(self, module_name: str) -> Path | None:
        """Return the file that importing a module would execute, ours and Python's included.

        None when it is built in, a folder without `__init__.py`, or found nowhere.
        """
        local = self._find_local(module_name)
        if local is not None:
            return local
        parts = self._parts(module_name)
        spec = self._finder().find_installed(parts) if parts else None
        return None if spec is None or not spec.has_location else Path(str(spec.origin))

    def _is_framework_module(self, module_name: str) -> bool:
        """Say whether a module is Python's, a package's or ours: found, and not below the root."""
        parts = self._parts(module_name)
        finder = self._finder()
        if not parts or finder.find(parts[:1]) is not None:
            return False
        return finder.find_installed(parts[:1]) is not None

    def _parse_strategy_yaml(self, path: Path) -> list[str]:
        """Return the entries of a `strategy.yaml`.

        Raises:
            yaml.YAMLError: If it is no YAML, or has a tag that would make an object.
            CodeCaptureError: If it has anything but a list of paths under `files`.
        """
        return parse_strategy_yaml(Path(path))
