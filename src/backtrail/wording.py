"""Words that messages of every layer share."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["choices", "counted", "error_words", "first_line", "risk_free_words"]

_MOST_CHOICES = 6


def choices(value: str, known: Sequence[str]) -> str:
    """Return what there is in place of a value that there is not: `are a, b and 3 more`.

    Args:
        value: What was asked for; what is near to it comes first.
        known: What there is, at least one.
    """
    import difflib  # every job imports this module, and few have to say this

    near = [item for item in known if value in item] or difflib.get_close_matches(value, known)
    shown = [*near, *(item for item in known if item not in near)][:_MOST_CHOICES]
    more = f" and {len(known) - len(shown):,} more" if len(known) > len(shown) else ""
    return f"{'is' if len(known) == 1 else 'are'} {', '.join(shown)}{more}"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 run`, `2 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def error_words(kind: str, message: str | None) -> str:
    """Return an error in one line: its kind, and the first line of its message."""
    first = first_line(message or "")
    return kind if first in ("", kind) else f"{kind}: {first}"


def risk_free_words(identity: Mapping[str, Any]) -> str | None:
    """Return the risk-free rate of a run's identity as `2% a year`; None where it states none."""
    rate = identity.get("risk_free_rate")
    if rate is None:
        return None
    from decimal import Decimal  # few runs have one

    return f"{(Decimal(rate) * 100).normalize():f}% a year"


def first_line(text: str) -> str:
    """Return the first line of a text that has one, without what a terminal might obey."""
    if text.isprintable():  # so it has one line, and most texts are like that
        return text.strip()
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return "".join(letter if letter.isprintable() else " " for letter in line)
