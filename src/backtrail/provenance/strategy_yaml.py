"""The files that a `strategy.yaml` lists: read safely, checked, and found below its folder."""

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from backtrail.errors import CodeCaptureError
from backtrail.provenance.reading import outside_target

__all__ = ["Listing", "is_pattern", "parse_strategy_yaml", "read_listing"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAGIC = frozenset("*?[")
_SKIPPED = frozenset({"__pycache__"})
_KINDS = {
    "bool": "true or false; put it in quotes",
    "float": "a number; put it in quotes",
    "int": "a number; put it in quotes",
    "map": "keys and values; write one path",
    "null": "empty; write a path or drop it",
    "seq": "a list; write one path",
    "timestamp": "a date; put it in quotes",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """What a `strategy.yaml` lists.

    Attributes:
        files: The files found, relative to its folder, sorted.
        missing: Entries that no file has or matches, in their order.
    """

    files: tuple[str, ...]
    missing: tuple[str, ...]


def parse_strategy_yaml(path: Path) -> list[str]:
    """Return the entries under `files:`, as they are written.

    Args:
        path: The file. No YAML tag is obeyed.

    Raises:
        yaml.YAMLError: If it is no YAML, or has a tag that would make an object.
        CodeCaptureError: If it cannot be read or says something else; every mistake is named with
            its line.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CodeCaptureError(f"cannot read {path}: {error.strerror}") from error
    yaml.load(text, _Loader)
    node = yaml.compose(text, _Loader)
    mistakes = list(_mistakes(node, str(path)))
    if mistakes:
        raise CodeCaptureError(
            "; ".join(mistakes) + ". A strategy.yaml has one key, files, with a list of paths "
            "relative to its folder; * and ** stand for names and folders"
        )
    assert isinstance(node, yaml.MappingNode)
    return [item.value for item in node.value[0][1].value]


def _mistakes(node: yaml.Node | None, where: str) -> Iterator[str]:
    if not isinstance(node, yaml.MappingNode):
        yield f"{where} has no key 'files'"
        return
    seen = set()
    for key, value in node.value:
        line = f"{where}:{key.start_mark.line + 1}"
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        if name in seen:
            yield f"{line}: the key {name!r} stands there twice"
        elif name == "files":
            yield from _file_mistakes(value, where)
        else:
            near = difflib.get_close_matches(name, ["files"], cutoff=0.5)
            yield f"{line}: the key {name!r} is unknown" + (
                "; did you mean 'files'?" if near else ""
            )
        seen.add(name)
    if "files" not in seen:
        yield f"{where} has no key 'files'"


def _file_mistakes(node: yaml.Node, where: str) -> Iterator[str]:
    if not isinstance(node, yaml.SequenceNode):
        yield f"{where}:{node.start_mark.line + 1}: files is no list; begin each path with '- '"
        return
    for index, item in enumerate(node.value):
        here = f"{where}:{item.start_mark.line + 1}: files[{index}] is"
        kind = item.tag.rpartition(":")[2]
        if kind != "str":
            shown = f" {item.value!r}," if isinstance(item, yaml.ScalarNode) and item.value else ""
            yield f"{here}{shown} {_KINDS.get(kind, 'no text; write a path')}"
            continue
        reason = _refusal(item.value)
        if reason:
            yield f"{here} {item.value!r}, {reason}"


def _refusal(entry: str) -> str:
    path = PurePosixPath(entry)
    if not entry.strip() or "\0" in entry:
        return "which is no path"
    if path.is_absolute():
        return "an absolute path; every file lies below the folder of strategy.yaml"
    if ".." in path.parts:
        return "which leaves the folder of strategy.yaml by '..'"
    if "\\" in entry:
        return "with a backslash; separate folders by /"
    return ""


def is_pattern(entry: str) -> bool:
    """Say whether an entry stands for any number of files."""
    return not _MAGIC.isdisjoint(entry)


def read_listing(path: Path) -> Listing:
    """Read a `strategy.yaml` and find the files it lists.

    A `*`, `?` or `[…]` stands for part of a name and `**` for any number of folders. They match
    neither hidden names nor `__pycache__`, and `**` follows no links.

    Raises:
        CodeCaptureError: If the file is not as it should be, or an entry is a folder or leads
            outside the folder of `strategy.yaml`.
    """
    try:
        entries = parse_strategy_yaml(path)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = str(getattr(error, "problem", None) or error)
        raise CodeCaptureError(f"{where} is no plain YAML ({problem})") from error
    folder = os.path.realpath(path.parent)
    files: set[str] = set()
    missing = []
    for entry in entries:
        found = list(_matches(folder, entry, str(path)))
        files.update(found)
        if not found:
            missing.append(entry)
    for name in sorted(files):
        if not _is_utf8(name):
            raise CodeCaptureError(f"{path} matches {name!r}, which is no UTF-8; rename it")
        target = outside_target(f"{folder}/{name}", folder)
        if target is not None:
            raise CodeCaptureError(
                f"{path} names {name}, a link that leads outside its folder, to {target}; "
                "put the file itself there"
            )
    return Listing(tuple(sorted(files)), tuple(dict.fromkeys(missing)))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _matches(folder: str, entry: str, where: str) -> Iterator[str]:
    parts = PurePosixPath(entry).parts
    name = "/".join(parts)
    if os.path.isfile(f"{folder}/{name}"):
        yield name
    elif os.path.isdir(f"{folder}/{name}"):
        raise CodeCaptureError(
            f"{where} names the folder {name!r}; write {name}/** for every file in it"
            if parts
            else f"{where} names its own folder; write ** for every file in it"
        )
    elif is_pattern(entry):
        yield from _expand(folder, "", parts)


def _expand(folder: str, below: str, parts: Sequence[str]) -> Iterator[str]:
    """Yield the files that the parts of a pattern match below `folder/below`."""
    part, rest = parts[0], parts[1:]
    if part == "**" and rest:
        yield from _expand(folder, below, rest)
    for entry in _entries(f"{folder}/{below}"):
        name = f"{below}{entry.name}"
        if part == "**":
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith("."):
                    yield from _expand(folder, f"{name}/", parts)
            elif not rest and not entry.name.startswith(".") and entry.is_file():
                yield name
        elif _is_match(entry.name, part):
            if not rest and entry.is_file():
                yield name
            elif rest and entry.is_dir():
                yield from _expand(folder, f"{name}/", rest)


def _entries(folder: str) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as found:
        return sorted((e for e in found if e.name not in _SKIPPED), key=lambda entry: entry.name)


def _is_match(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))
