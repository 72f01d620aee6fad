"""The captured code of a run, laid out for reading."""

import io
import json
import keyword
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from backtrail.errors import ArtifactManagerError
from backtrail.reports.rundata import RunRecord

__all__ = ["CodeFile", "captured_code", "highlighted"]

_SHOWN_BYTES = 120_000
_CLASSES = {
    tokenize.COMMENT: "tc",
    tokenize.STRING: "ts",
    tokenize.NUMBER: "tn",
}


@dataclass(frozen=True, slots=True)
class CodeFile:
    """One captured file.

    Attributes:
        path: Its path below the capture root.
        sha256: Checksum of its bytes.
        size: Its length in bytes.
        lines: How many lines the text has.
        markup: The text with its parts marked; None when it is no text or the page is full.
        is_entry: Whether the run began with it.
    """

    path: str
    sha256: str
    size: int
    lines: int
    markup: Markup | None
    is_entry: bool


def captured_code(run: RunRecord) -> list[CodeFile]:
    """Return the captured files of a run, the strategy first; none when no code was captured.

    The page holds the text of files up to 120 kB together; what is beyond is named without it.

    Raises:
        ArtifactManagerError: If a captured file is missing.
    """
    manifest = run.run_dir / "metadata" / "code_manifest.json"
    if not manifest.is_file():
        return []
    record = json.loads(manifest.read_bytes())
    listed = sorted(
        record["files"], key=lambda file: (file["path"] != record["entry"], file["path"])
    )
    room, shown = _SHOWN_BYTES, []
    for file in listed:
        path = run.run_dir / "code" / file["path"]
        text = _text_of(path) if file["size"] <= room else None
        room -= 0 if text is None else file["size"]
        shown.append(
            CodeFile(
                path=file["path"],
                sha256=file["sha256"],
                size=file["size"],
                lines=0 if text is None else text.count("\n"),
                markup=None if text is None else highlighted(text, python=path.suffix == ".py"),
                is_entry=file["path"] == record["entry"],
            )
        )
    return shown


def _text_of(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return None
    except FileNotFoundError as error:
        raise ArtifactManagerError(
            f"{path} is missing; `backtrail verify` names what a run lacks"
        ) from error


def highlighted(text: str, *, python: bool) -> Markup:
    """Return a text for a page; keywords, strings, numbers and comments of Python are marked."""
    if not python:
        return escape(text)
    try:
        return Markup("").join(_parts(text))
    except (tokenize.TokenError, SyntaxError):
        return escape(text)


def _parts(text: str) -> Iterator[Markup]:
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    done, before = 0, ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        name = _CLASSES.get(token.type)
        if token.type == tokenize.NAME:
            if keyword.iskeyword(token.string):
                name = "tk"
            elif before in ("def", "class"):
                name = "td"
            before = token.string
        if name is None:
            continue
        first = starts[token.start[0] - 1] + token.start[1]
        last = starts[token.end[0] - 1] + token.end[1]
        yield escape(text[done:first])
        yield Markup('<span class="{}">{}</span>').format(name, text[first:last])
        done = last
    yield escape(text[done:])
