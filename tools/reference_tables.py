"""What the generated pages share: their head, tables, and words for types of schemas."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["TYPE_WORDS", "bounds", "markdown_table", "page_head"]

TYPE_WORDS: Final = {
    "array": "list",
    "boolean": "true or false",
    "integer": "whole number",
    "null": "null",
    "number": "number",
    "object": "mapping",
    "string": "text",
}
"""How a page names the types of JSON schemas."""


def page_head(title: str, source: str) -> str:
    """Return the title of a page, and from what it is written."""
    return f"# {title}\n\n<!-- Written by `make docs` from {source}; do not edit. -->\n\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def markdown_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table."""
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines) + "\n"


def bounds(node: Mapping[str, Any]) -> str:
    """Return the bounds of a number in words; nothing without any."""
    found = [
        f"{sign} {node[key]}"
        for key, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in node
    ]
    return f", {' and '.join(found)}" if found else ""
