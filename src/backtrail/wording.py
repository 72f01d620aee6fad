"""Words that messages of every layer share."""

__all__ = ["counted", "error_words", "first_line"]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 run`, `2 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def error_words(kind: str, message: str | None) -> str:
    """Return an error in one line: its kind, and the first line of its message."""
    first = first_line(message or "")
    return kind if first in ("", kind) else f"{kind}: {first}"


def first_line(text: str) -> str:
    """Return the first line of a text that has one, without what a terminal might obey."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return "".join(letter if letter.isprintable() else " " for letter in line)
