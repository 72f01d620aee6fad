"""Capturing a strategy's files into a run that is kept by hand."""

import json
import os
from pathlib import Path

from backtrail.artifacts.refusals import unavailable
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.backtest.settings import read_project
from backtrail.batch.planning.claiming import store_code
from backtrail.batch.planning.strategies import secret_waivers
from backtrail.errors import InvalidNameError, RunNotFoundError
from backtrail.files import write_json
from backtrail.project import find_project_root, project_root
from backtrail.provenance.closure import log_capture
from backtrail.provenance.detection import CaptureMode, capture_closure
from backtrail.provenance.objects import ObjectStore

__all__ = ["capture_into", "check_strategy_path", "read_captured"]

_SUFFIXES = (".py", ".ipynb")


def check_strategy_path(strategy: str | Path) -> Path:
    """Return a strategy's path, absolute.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it is a folder, or neither Python nor a notebook.
    """
    if not isinstance(strategy, (str, Path)) or not str(strategy).strip():
        raise InvalidNameError(f"invalid strategy path {strategy!r}: give the strategy's file")
    path = Path(strategy).expanduser().absolute()
    if ".." in path.parts:  # as from a notebook in a nested folder
        path = path.parent.resolve() / path.name
    if not path.exists():
        raise RunNotFoundError(
            f"strategy file {strategy} does not exist (looked for {path}){_elsewhere(strategy)}"
        )
    if not path.is_file() or path.suffix not in _SUFFIXES:
        raise InvalidNameError(
            f"invalid strategy path {strategy}: name one file ending in {' or '.join(_SUFFIXES)}"
        )
    return path


def _elsewhere(strategy: str | Path) -> str:
    """Return where the project has a file that was written as from its folder, in words."""
    here = Path.cwd()
    root = find_project_root(here)
    if root is None or root == here or not (root / strategy).is_file():
        return ""
    return f"; paths count from the working directory: write {os.path.relpath(root / strategy)}"


def capture_into(
    store: RunStore, run: RunDir, strategy: Path, *, mode: CaptureMode, yaml: Path | None
) -> list[str]:
    """Store a strategy's files and put them into a run's `code/`; return them, strategy first."""
    root = project_root(strategy)
    output = read_project(root, None).values["backtest_output"]
    closure = capture_closure(
        strategy, root, mode=mode, secret_waivers=secret_waivers(output), strategy_yaml=yaml
    )
    record = closure.as_record()
    log_capture(record, backtest_id=run.backtest_id, output_dir=run.path)
    objects = ObjectStore(store.objects)
    try:
        store_code(store, root, [closure])
        for file in closure.files:
            objects.materialize(file.sha256, run.code / file.path)
        write_json(
            run.code_manifest,
            {
                "capture_mode": record.pop("mode"),
                "code_hash": closure.code_hash,
                "entry": closure.entry,
                **record,
            },
        )
    except OSError as error:
        raise unavailable("write the captured code of", run.path, error) from error
    return _strategy_first(closure.entry, [file.path for file in closure.files])


def read_captured(run: RunDir) -> list[str]:
    """Return what `capture_into` returned for a run; nothing when no code was captured."""
    if not run.code_manifest.exists():
        return []
    manifest = json.loads(run.code_manifest.read_bytes())
    return _strategy_first(manifest["entry"], [file["path"] for file in manifest["files"]])


def _strategy_first(entry: str, files: list[str]) -> list[str]:
    return [entry, *(file for file in files if file != entry)]
