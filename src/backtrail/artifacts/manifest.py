"""The manifest of a run, its seal, and the comparison of both with the disk."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtrail.artifacts.rundir import RunDir
from backtrail.canonical import sha256_bytes, sha256_file
from backtrail.errors import SealError
from backtrail.files import is_temporary, write_bytes, write_json

__all__ = [
    "DERIVED_RESULTS",
    "Damage",
    "inspect_run",
    "inventory",
    "is_sealed",
    "require_all_intact",
    "require_intact",
    "seal",
]

# What is sealed. Reports and exports are derived; logs of earlier attempts promise nothing.
_SEALED_FOLDERS = ("code", "metadata", "inputs", "features", "truth", "policy", "results", "logs")
_UNSEALED = frozenset({"run.json", "_SUCCESS", "_FAILED", ".lock", "errors"})
DERIVED_RESULTS = ("results/reports/", "results/exports/")
_DERIVED = (*DERIVED_RESULTS, "logs/attempt-")

# How `write_json` begins a key of the top level; within a text of JSON there is no line break.
_INVENTORY = '\n  "inventory": '
_DECODER = json.JSONDecoder()

_RUNS_NAMED = 20  # altered runs that one message lists
_FILES_NAMED = 5  # altered files that it lists of each, when there are several


@dataclass(frozen=True, slots=True)
class Damage:
    """What differs between a sealed run and its manifest, as paths inside the run.

    Attributes:
        missing: Files of the inventory that are gone.
        altered: Files whose content is another, `run.json` among them when the seal breaks.
        unlisted: Files in sealed folders that the manifest does not know.
    """

    missing: tuple[str, ...] = ()
    altered: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.altered or self.unlisted)


def _sealed_files(run: RunDir) -> list[str]:
    names, home = [], f"{run.path}{os.sep}"
    for folder in _SEALED_FOLDERS:
        for top, _, files in os.walk(f"{home}{folder}"):
            relative = top.removeprefix(home).replace(os.sep, "/")
            names += [f"{relative}/{file}" for file in files]
    return sorted(name for name in names if not name.startswith(_DERIVED))


def _further_files(run: RunDir) -> list[str]:
    """Return what a strategy put elsewhere in its run; after the seal, notes may be added there."""
    names = []
    for entry in run.path.iterdir():
        if entry.name in _UNSEALED or is_temporary(entry) or entry.name in _SEALED_FOLDERS:
            continue
        inside = entry.rglob("*") if entry.is_dir() else [entry]
        names += [path.relative_to(run.path).as_posix() for path in inside if path.is_file()]
    return names


def inventory(
    run: RunDir, contents: dict[str, str], *, but_for: tuple[str, ...] = ()
) -> dict[str, dict[str, Any]]:
    """List every file a seal covers, with size and sha256.

    Args:
        run: The run directory.
        contents: Content checksums of its Parquet tables, by path inside the run.
        but_for: Folders to leave out, each ending in a slash.
    """
    listed: dict[str, dict[str, Any]] = {}
    for name in sorted({*_sealed_files(run), *_further_files(run)}):
        if name.startswith(but_for):
            continue
        path = run.path / name
        listed[name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
        if name in contents:
            listed[name]["content_sha256"] = contents[name]
    return listed


def is_sealed(run: RunDir) -> bool:
    """Say whether a run carries the mark of success; nothing is compared."""
    return os.path.exists(f"{run.path}/_SUCCESS")


def seal(run: RunDir, manifest: dict[str, Any]) -> None:
    """Write `run.json` and then the seal, both flushed to disk."""
    write_json(run.manifest, manifest, durable=True)
    write_bytes(run.success, f"{sha256_file(run.manifest)}\n".encode(), durable=True)


def inspect_run(run: RunDir, *, thorough: bool = True) -> Damage:
    """Compare a sealed run with its manifest.

    Args:
        run: A run with a seal.
        thorough: Hash every file and look for unlisted ones. Otherwise every file is looked at
            (one `stat`), and only one of another size, or changed after the seal, is hashed.
    """
    home = str(run.path)  # texts, not paths: a store has a quarter of a million files to look at
    try:
        with open(f"{home}/_SUCCESS", "rb", buffering=0) as stream:
            sealed_at = os.fstat(stream.fileno()).st_mtime_ns
            expected = stream.read().strip().decode(errors="replace")
        with open(f"{home}/run.json", "rb", buffering=0) as stream:
            manifest = stream.read()
        if sha256_bytes(manifest) != expected:
            return Damage(altered=("run.json",))
    except FileNotFoundError as error:
        return Damage(missing=(Path(error.filename).name,))
    listed = _inventory_in(manifest.decode())
    missing, altered = [], []
    for name, entry in listed.items():
        path = f"{home}/{name}"
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            missing.append(name)
            continue
        suspicious = found.st_size != entry["size"] or found.st_mtime_ns > sealed_at
        if (thorough or suspicious) and sha256_file(Path(path)) != entry["sha256"]:
            altered.append(name)
    unlisted = [name for name in _sealed_files(run) if name not in listed] if thorough else []
    return Damage(tuple(missing), tuple(altered), tuple(unlisted))


def _inventory_in(manifest: str) -> dict[str, dict[str, Any]]:
    """Return the inventory of a manifest; what else it says takes longer to parse."""
    at = manifest.find(_INVENTORY)
    if at < 0:
        whole: dict[str, dict[str, dict[str, Any]]] = json.loads(manifest)
        return whole["inventory"]
    listed: dict[str, dict[str, Any]] = _DECODER.raw_decode(manifest, at + len(_INVENTORY))[0]
    return listed


def require_intact(run: RunDir, damage: Damage) -> None:
    """Refuse to go on with a sealed run of which something was altered.

    Raises:
        SealError: If a file has another content than the manifest says.
    """
    require_all_intact([(run, damage)])


def require_all_intact(found: Sequence[tuple[RunDir, Damage]]) -> None:
    """Refuse to go on with sealed runs of which some were altered; all of them are named.

    Args:
        found: Sealed runs, each with what differs from its manifest.

    Raises:
        SealError: If a file of any run has another content than its manifest says.
    """
    altered = [(run, damage.altered) for run, damage in found if damage.altered]
    if not altered:
        return
    if len(altered) == 1:
        run, names = altered[0]
        said = (
            f"sealed run {run.backtest_id} was altered: {', '.join(names)} in {run.path} "
            f"differ{'s' if len(names) == 1 else ''} from the manifest. "
        )
    else:
        lines = [f"  - {run.path}: {_listed(names)}" for run, names in altered[:_RUNS_NAMED]]
        if len(altered) > _RUNS_NAMED:
            lines.append(f"  and {len(altered) - _RUNS_NAMED} more")
        head = f"{len(altered)} sealed runs were altered; these files differ from the manifests:"
        said = "\n".join([head, *lines, ""])
    advice = (
        "`backtrail verify` lists every altered file. Delete what was altered and run again to "
        "have it restored, or delete the run"
    )
    if any("run.json" in names for _, names in altered):
        advice += "; a run whose run.json was altered can only be deleted"
    raise SealError(said + advice)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _FILES_NAMED
    return ", ".join(names[:_FILES_NAMED]) + (f" and {more} more files" if more > 0 else "")
