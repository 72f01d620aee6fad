"""The code cells of a notebook as one Python file."""

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from backtrail.errors import CodeCaptureError

__all__ = ["NotebookCode", "read_notebook"]

# Cell magics that run their cell as Python in the notebook's own names.
_TRANSPARENT = frozenset({"capture", "prun", "time"})
_MAGIC_LINE = re.compile(r"\s*(?:[%!?]|[\w.\[\], ]+=\s*[%!]|[^#'\"]*\?\s*$)")

_FUTURE = re.compile(r"from __future__ import [\w, ]+$")


@dataclass(frozen=True, slots=True)
class NotebookCode:
    """Python made of a notebook.

    Attributes:
        source: Its non-empty code cells in order, each after a comment with its number.
        warnings: What in them is no Python and was commented out.
    """

    source: str
    warnings: tuple[str, ...]


def read_notebook(data: bytes, name: str) -> NotebookCode:
    """Turn a notebook's code cells into Python; outputs and other cells do not count.

    Lines with magics (`%…`, `?…`) or shell commands (`!…`) are commented out, and cells of another
    language as a whole. The number of lines stays.

    Args:
        data: The notebook file.
        name: Its path, for messages.

    Raises:
        CodeCaptureError: If it is no notebook, or not one of Python, or `nbformat` is absent.
    """
    cells, language = _parse(data, name)
    if language.lower() not in {"python", "ipython"}:
        raise CodeCaptureError(
            f"{name} is a notebook in {language}; a strategy is written in Python"
        )
    head = [f"# The code cells of {name}."]
    parts: list[str] = []
    noted: list[str] = []
    for number, source in enumerate((text for text in cells if text.strip()), start=1):
        lines = source.split("\n")
        noted += [
            f"{name}, code cell {number}, line {line + 1}: {text!r} is no Python and is left out"
            for line, text in _comment_out(lines)
        ]
        head += _hoist_future(lines)
        parts.append(f"\n# %% code cell {number}\n" + "\n".join(lines) + "\n")
    return NotebookCode("\n".join([*head, ""]) + "".join(parts), tuple(noted))


def _parse(data: bytes, name: str) -> tuple[list[str], str]:
    """Return the code cells of a notebook and its language."""
    try:
        nbformat: Any = import_module("nbformat")
        reader: Any = import_module("nbformat.reader")
    except ImportError:
        raise CodeCaptureError(
            f"{name} is a notebook, and the package nbformat, which reads it, is not installed; "
            "run: pip install 'backtrail[notebook]'"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # cells without ids are no matter of capture
            notebook = nbformat.convert(reader.reads(data.decode("utf-8")), 4)
        cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        metadata = notebook.metadata
        language = metadata.get("kernelspec", {}).get("language")
        language = language or metadata.get("language_info", {}).get("name") or "python"
        if not all(isinstance(text, str) for text in [*cells, language]):
            raise TypeError("a code cell holds no text")
    except (ValueError, LookupError, AttributeError, TypeError, nbformat.ValidationError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise CodeCaptureError(f"{name} is no notebook that can be read ({reason})") from error
    return cells, language


def _comment_out(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Comment out what is no Python, in place; yield each index and what stood there."""
    first = next(index for index, line in enumerate(lines) if line.strip())
    if lines[first].startswith("%%"):
        yield first, lines[first].strip()
        is_python = lines[first][2:].partition(" ")[0].strip() in _TRANSPARENT
        for index in range(first, first + 1 if is_python else len(lines)):
            lines[index] = f"# {lines[index]}" if lines[index] else ""
    while (index := _fault(lines)) is not None:
        text = lines[index].lstrip()
        yield index, text.rstrip()
        indent = lines[index].removesuffix(text)
        lines[index] = f"{indent}pass  # {text}" if indent else f"# {text}"  # no block stays empty
        while text.endswith("\\") and index + 1 < len(lines):  # a command of several lines
            index += 1
            text = lines[index]
            lines[index] = f"# {text}"


def _fault(lines: list[str]) -> int | None:
    """Return the first line that keeps a cell from parsing, when it is a magic or a command.

    Asking the parser tells a magic from a line of a text or of an expression that looks like one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse("\n".join(lines))
    except SyntaxError as error:
        index = (error.lineno or 0) - 1
        if 0 <= index < len(lines) and _MAGIC_LINE.match(lines[index]):
            return index
    except (ValueError, RecursionError, MemoryError):
        pass
    return None


def _hoist_future(lines: list[str]) -> Iterator[str]:
    """Take imports from `__future__` out of a cell; they may only stand at the top of a file."""
    for index, line in enumerate(lines):
        if _FUTURE.match(line):
            yield line.strip()
            lines[index] = f"# {line}"
