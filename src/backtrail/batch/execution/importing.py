"""Executing a strategy file as a module, from a captured copy or in place."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from backtrail.engine.strategy import LOADING, EntryReached
from backtrail.errors import StrategyError

__all__ = ["import_entry", "local_modules"]


def local_modules(folders: Iterable[Path]) -> set[str]:
    """Return the names of modules and packages that lie in folders, without our own."""
    found = {
        item.stem
        for folder in folders
        for item in folder.iterdir()
        if item.suffix == ".py" or (item / "__init__.py").exists()
    }
    return found - {"backtrail"}


def import_entry(root: Path, entry: str) -> ModuleType:
    """Execute a strategy file and return its module.

    A script that would run itself ends where it does so: what it defined until then counts. The
    folders of its imports have to be on `sys.path` already.

    Args:
        root: Folder that holds the strategy's files.
        entry: Strategy file, relative to `root`; its name need not be a Python name.

    Raises:
        StrategyError: If the file is no Python file, or a module that it imports starts a run.
    """
    name = _module_name(root, entry)
    package, _, stem = name.rpartition(".")
    spec = importlib.util.spec_from_file_location(name, root / entry)
    if spec is None or spec.loader is None:
        raise StrategyError(f"strategy file {entry} is no Python file; its name has to end in .py")
    token = LOADING.set(True)
    try:
        parent = importlib.import_module(package) if package else None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except EntryReached as reached:
        _require_own_call(reached, root, entry)
    finally:
        LOADING.reset(token)
    if parent is not None:
        setattr(parent, stem, module)
    return module


def _module_name(root: Path, entry: str) -> str:
    """Return the bare file name, or for a strategy in a package the dotted path from the root."""
    path = Path(entry).with_suffix("")
    in_package = len(path.parts) > 1 and (root / entry).with_name("__init__.py").exists()
    return ".".join(path.parts) if in_package else path.name.replace(".", "_")


def _require_own_call(reached: EntryReached, root: Path, entry: str) -> None:
    """Refuse a run that is started by a module which the strategy imports."""
    trace, caller = reached.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "<module>":
            caller = trace.tb_frame.f_code.co_filename
        trace = trace.tb_next
    if Path(caller) != root / entry:
        raise StrategyError(
            f"{caller.removeprefix(f'{root}/')}, which strategy {entry} imports, starts a run when "
            "it is imported; put that call under if __name__ == '__main__':"
        ) from None
