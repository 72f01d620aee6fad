"""Captured code for the comparison page: a script per closure and a script per distinct file.

Both are named by what they hold, so a closure that is written is never looked up again, and files
that many closures share are there once. What cannot be shown is told with its reason.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from backtrail.canonical import sha256_bytes, sha256_json
from backtrail.files import write_bytes
from backtrail.reports.pages import embedded_json

__all__ = ["CapturedCode", "CodeScripts", "script_prefixes", "write_code"]

_FORMAT = 1  # counted up when what a script holds is changed
_MOST_SHOWN = 500_000  # bytes of one file
_UNKNOWN = "no run that has it states which files it consists of"


class CapturedCode(Protocol):
    """Where the captured code of runs is read."""

    def files(self, backtest_id: str) -> Mapping[str, str]:
        """Return the sha256 of every file that a run captured, by path; empty when unknown."""

    def content(self, path: str, sha256: str, backtest_ids: Sequence[str]) -> bytes | None:
        """Return a captured file, or None when no copy of it has that checksum any more."""

    def damage(self, backtest_id: str, files: Mapping[str, str]) -> Mapping[str, str]:
        """Return which files in a run's folder are `altered` or `missing`, by path."""


@dataclass(slots=True)
class CodeScripts:
    """The scripts that hold the captured code of a store.

    Attributes:
        names: Names of the scripts, in the folder they were written to.
        closures: Sha256 of every file by its path, by code hash.
        absent: Why a closure cannot be shown, by code hash.
        lost: Checksums of files of which no copy is left.
    """

    names: set[str] = field(default_factory=set)
    closures: dict[str, dict[str, str]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def size(self, folder: Path) -> int:
        """Return how many bytes the scripts take."""
        return sum((folder / name).stat().st_size for name in self.names)

    def embedded(self, folder: Path) -> dict[str, Any]:
        """Return what the scripts hold, for a page that holds all it shows."""
        shas = {sha256 for files in self.closures.values() for sha256 in files.values()}
        kept = sorted(shas - self.lost)
        files = {sha256: _read(folder / _file_name(sha256)) for sha256 in kept}
        return {"closures": self.closures, "files": files}


def write_code(
    folder: Path, rows: Iterable[Mapping[str, Any]], code: CapturedCode | None
) -> CodeScripts:
    """Write the scripts that are not there yet.

    Args:
        folder: Where they lie.
        rows: The runs, each with `backtest_id` and `code_hash`.
        code: Where captured code is read; None knows none.
    """
    users: dict[str, list[str]] = {}
    for row in rows:
        if row["code_hash"] is not None:
            users.setdefault(row["code_hash"], []).append(str(row["backtest_id"]))
    made = CodeScripts()
    for code_hash, backtest_ids in sorted(users.items()):
        files = _closure(folder, code_hash, backtest_ids, code)
        if files is None:
            made.absent[code_hash] = _UNKNOWN
            continue
        made.closures[code_hash] = files
        made.names.add(_closure_name(code_hash))
        for path, sha256 in files.items():
            if _has_file(folder, path, sha256, backtest_ids, code):
                made.names.add(_file_name(sha256))
            else:
                made.lost.add(sha256)
    return made


def script_prefixes(folder: str) -> dict[str, str]:
    """Return how the paths of scripts begin; 16 digits of a hash and `.js` follow."""
    return {"closure": f"{folder}code-{_FORMAT}-", "file": f"{folder}file-{_FORMAT}-"}


def _closure(
    folder: Path, code_hash: str, backtest_ids: Sequence[str], code: CapturedCode | None
) -> dict[str, str] | None:
    """Return the files of a closure, which are those that its hash states or none."""
    script = folder / _closure_name(code_hash)
    if script.exists():
        files = dict(_read(script))
        if _hash_of(files) == code_hash:
            return files
    if code is None:
        return None
    for backtest_id in backtest_ids:
        files = dict(sorted(code.files(backtest_id).items()))
        if files and _hash_of(files) == code_hash:
            _write(script, "closure", code_hash, list(files.items()))
            return files
    return None


def _hash_of(files: Mapping[str, str]) -> str:
    return sha256_json([[path, sha256] for path, sha256 in files.items()])


def _has_file(
    folder: Path, path: str, sha256: str, backtest_ids: Sequence[str], code: CapturedCode | None
) -> bool:
    """Say whether the script of a file is there, or could be written."""
    script = folder / _file_name(sha256)
    if script.exists():
        return True
    content = None if code is None else code.content(path, sha256, backtest_ids)
    if content is None or sha256_bytes(content) != sha256:
        return False
    text = None
    if len(content) <= _MOST_SHOWN:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = None
    _write(script, "file", sha256, {"size": len(content), "text": text})
    return True


def _closure_name(code_hash: str) -> str:
    return f"code-{_FORMAT}-{code_hash[:16]}.js"


def _file_name(sha256: str) -> str:
    return f"file-{_FORMAT}-{sha256[:16]}.js"


def _write(script: Path, kind: str, key: str, value: object) -> None:
    # Paths stand in lists, since a script that names a key `__proto__` does not set it.
    script.parent.mkdir(parents=True, exist_ok=True)
    text = f'page.code.{kind}("{key}",\n{embedded_json(value)}\n);\n'
    write_bytes(script, text.encode("utf-8", errors="replace"))


def _read(script: Path) -> Any:
    return json.loads(script.read_text(encoding="utf-8").split("\n")[1])
