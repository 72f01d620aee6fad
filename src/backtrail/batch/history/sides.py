"""Two runs side by side: what of their code, parameters and settings is not the same."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.resolving import ResolvedRun
from backtrail.canonical import canonical_json, sha256_bytes
from backtrail.provenance.closure import CodeClosure
from backtrail.provenance.objects import ObjectStore

__all__ = [
    "CapturedFile",
    "FileChange",
    "RunSide",
    "ValueChange",
    "code_changes",
    "side_of_request",
    "side_of_run",
    "value_changes",
]

_OTHERWISE_TOLD: Final = frozenset({"strategy", "dataset"})


@dataclass(frozen=True, slots=True)
class CapturedFile:
    """One file of a run's code.

    Attributes:
        sha256: Checksum of its bytes.
        imported_by: Files that import it.
    """

    sha256: str
    imported_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunSide:
    """One of two runs that are compared.

    Attributes:
        identity: What decides it, as plain JSON values.
        bundle: Name of the bundle its dataset came from.
        files: Its code, by path.
        read: Returns the bytes of one of these files, or None when they are not at hand.
    """

    identity: Mapping[str, Any]
    bundle: str
    files: Mapping[str, CapturedFile]
    read: Callable[[str], bytes | None]

    @property
    def entry(self) -> str:
        """The strategy file."""
        return str(self.identity["strategy"]["entry"])


def side_of_run(store: RunStore, run: RunDir) -> RunSide:
    """Return a run of the store, its code as captured.

    Raises:
        ArtifactManagerError: If it has no readable spec.
    """
    spec = run.read_spec()
    files = {
        file["path"]: CapturedFile(file["sha256"], tuple(file["imported_by"]))
        for file in (spec.get("code") or {}).get("files", ())
    }
    objects = ObjectStore(store.objects)

    def read(path: str) -> bytes | None:
        for place in (run.code / path, objects.path(files[path].sha256)):
            if place.is_file():
                data = place.read_bytes()
                if sha256_bytes(data) == files[path].sha256:
                    return data
        return None

    return RunSide(spec["identity"], spec["labels"]["bundle"], files, read)


def side_of_request(root: Path, run: ResolvedRun, closure: CodeClosure) -> RunSide:
    """Return a run as it would be now, its code as it lies in the project."""
    files = {file.path: CapturedFile(file.sha256, file.imported_by) for file in closure.files}

    generated = {file.path: file.content for file in closure.files if file.content is not None}

    def read(path: str) -> bytes | None:
        if path in generated:  # from the cells of a notebook
            return generated[path]
        try:
            return (root / path).read_bytes()
        except OSError:
            return None

    # Through JSON, so that decimals and dates look as they do in a spec that was read.
    identity = json.loads(canonical_json(dict(run.identity)))
    return RunSide(identity, run.request.bundle, files, read)


@dataclass(frozen=True, slots=True)
class FileChange:
    """A captured file that is not the same in two runs.

    Attributes:
        path: The file.
        kind: `changed`, `added` or `removed`.
        importers: Who imports it, up to the strategy file; empty for the strategy file itself.
        before: Its text in the first run; None when there is none, or it is no text.
        after: Its text in the second run.
    """

    path: str
    kind: str
    importers: tuple[str, ...]
    before: str | None
    after: str | None

    def unified(self, before: str, after: str) -> list[str]:
        """Return the change as the lines of a unified diff.

        Args:
            before: How to name the first run in the head.
            after: How to name the second.
        """
        if self.before is None and self.after is None:
            return [f"{self.path}: {self.kind}; its text is not at hand"]
        return list(
            difflib.unified_diff(
                (self.before or "").splitlines(),
                (self.after or "").splitlines(),
                "/dev/null" if self.kind == "added" else f"{before}/{self.path}",
                "/dev/null" if self.kind == "removed" else f"{after}/{self.path}",
                lineterm="",
            )
        )

    def lines(self) -> list[str]:
        """Return which lines changed: of the later text, and of the earlier one what is gone."""
        if self.before is None or self.after is None:
            return []
        matcher = difflib.SequenceMatcher(
            None, self.before.splitlines(), self.after.splitlines(), autojunk=False
        )
        found = []
        for tag, old, old_end, new, new_end in matcher.get_opcodes():
            if tag == "replace":
                found.append(_line_range(new, new_end))
            elif tag == "insert":
                found.append(f"{_line_range(new, new_end)} (new)")
            elif tag == "delete":
                found.append(f"former {_line_range(old, old_end)} (gone)")
        return found


def _line_range(start: int, end: int) -> str:
    return f"line {end}" if end - start == 1 else f"lines {start + 1}-{end}"


def code_changes(before: RunSide, after: RunSide) -> Iterator[FileChange]:
    """Yield every captured file that is not the same in both runs, by path."""
    for path in sorted(before.files.keys() | after.files.keys()):
        old, new = before.files.get(path), after.files.get(path)
        if old is not None and new is not None and old.sha256 == new.sha256:
            continue
        kind = "added" if old is None else "removed" if new is None else "changed"
        side = before if new is None else after
        yield FileChange(
            path,
            kind,
            _importers(path, side),
            None if old is None else _text(before.read(path)),
            None if new is None else _text(after.read(path)),
        )


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def _importers(path: str, side: RunSide) -> tuple[str, ...]:
    """Return the shortest chain of importers from a file up to the strategy."""
    chains = [[path]]
    seen = {path}
    while chains:
        chain = chains.pop(0)
        if chain[-1] == side.entry:
            return tuple(chain[1:])
        known = side.files.get(chain[-1])
        for importer in () if known is None else known.imported_by:
            if importer not in seen:
                seen.add(importer)
                chains.append([*chain, importer])
    return ()


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A parameter or setting that is not the same in two runs.

    Attributes:
        group: `parameter`, `library`, or the setting; for one of several keys of a setting, such
            as `commission cost`, its own key follows.
        name: The parameter, or the key inside a setting; empty for a setting of one value.
        before: Its value in the first run; None for nothing.
        after: Its value in the second.
    """

    group: str
    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        subject = f"{self.group} {self.name}".strip()
        return f"{subject} changed: {_shown(self.before)} -> {_shown(self.after)}"


def _shown(value: Any) -> str:
    return "nothing" if value is None else canonical_json(value)


def value_changes(before: RunSide, after: RunSide) -> Iterator[ValueChange]:
    """Yield parameters, then settings, that are not the same in both runs."""
    old, new = before.identity, after.identity
    yield from _key_changes("parameter", old["params"], new["params"])
    for key in ("entry", "functions"):  # what the code is, the files tell
        values = old["strategy"].get(key), new["strategy"].get(key)
        if values[0] != values[1]:
            yield ValueChange("strategy", key, *values)
    for key in sorted((old.keys() | new.keys()) - _OTHERWISE_TOLD - {"params"}):
        left, right = old.get(key), new.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from _key_changes(key, left, right)
        elif left != right:
            yield ValueChange(key, "", left, right)


def _key_changes(
    group: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[ValueChange]:
    for name in sorted(old.keys() | new.keys()):
        left, right = old.get(name), new.get(name)
        if left and right and isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from _key_changes(f"{group} {name}", left, right)
        elif left != right:
            yield ValueChange(group, name, left, right)
