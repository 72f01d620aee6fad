"""Names of the chunks of a search: its first place and the one after its last."""

from typing import Final

__all__ = ["chunk_name", "chunk_range"]

_DIGITS: Final = 9


def chunk_name(first: int, stop: int) -> str:
    """Return the name of a range of places; names sort as the ranges do."""
    return f"{first:0{_DIGITS}d}-{stop:0{_DIGITS}d}"


def chunk_range(name: str) -> tuple[int, int]:
    """Return the first place of a chunk, and the one after its last."""
    first, _, stop = name.partition("-")
    return int(first), int(stop)
