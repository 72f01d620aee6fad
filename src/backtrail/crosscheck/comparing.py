"""Comparing two engines' fills and equity, and telling the first difference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Difference", "Fill", "first_difference"]

_CENT: Final = 1e-6  # money below this is no difference, whatever the relative one


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution as both engines tell it.

    Attributes:
        row: Bar, 0 is the first.
        order: How the order came about; None where an engine does not say.
    """

    row: int
    symbol: str
    quantity: float
    price: float
    commission: float
    order: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing in which two engines differ.

    Attributes:
        kind: `fill` or `equity`.
        row: Bar, 0 is the first.
        what: `quantity`, `price`, `commission`, `missing` (the other engine has no such fill),
            `extra` (only the other engine has it) or `portfolio_value`.
        symbol: Of the fill; None for equity.
        ours: The value of backtrail; None where it has no fill.
        theirs: The value of the other engine; None likewise.
        order: The order of backtrail that the fill belongs to, where there is one.
    """

    kind: str
    row: int
    what: str
    symbol: str | None
    ours: float | None
    theirs: float | None
    order: Mapping[str, Any] | None = None


def first_difference(
    our_fills: Sequence[Fill],
    their_fills: Sequence[Fill],
    our_equity: Sequence[float],
    their_equity: Sequence[float],
    *,
    tolerance: float,
) -> Difference | None:
    """Return the earliest difference, or None; at the same bar a fill comes before equity.

    Fills of a bar are compared in the order of their symbols, then of their quantities, since
    engines tell them in orders of their own.

    Args:
        our_fills: Of backtrail.
        their_fills: Of the other engine.
        our_equity: Portfolio value at every bar.
        their_equity: Likewise.
        tolerance: Relative difference of money and prices that counts as none.
    """
    fill = _first_fill(_in_order(our_fills), _in_order(their_fills), tolerance)
    for row, (ours, theirs) in enumerate(zip(our_equity, their_equity, strict=True)):
        if fill is not None and fill.row <= row:
            return fill
        if not _equal(ours, theirs, tolerance):
            return Difference("equity", row, "portfolio_value", None, ours, theirs)
    return fill


def _first_fill(ours: list[Fill], theirs: list[Fill], tolerance: float) -> Difference | None:
    for mine, other in zip(ours, theirs, strict=False):
        if (mine.row, mine.symbol) != (other.row, other.symbol):
            if (mine.row, mine.symbol) < (other.row, other.symbol):
                return _lonely(mine, is_ours=True)
            return _lonely(other, is_ours=False)
        for what in ("quantity", "price", "commission"):
            own, their = getattr(mine, what), getattr(other, what)
            if not _equal(own, their, tolerance):
                return Difference("fill", mine.row, what, mine.symbol, own, their, mine.order)
    if len(ours) > len(theirs):
        return _lonely(ours[len(theirs)], is_ours=True)
    if len(theirs) > len(ours):
        return _lonely(theirs[len(ours)], is_ours=False)
    return None


def _lonely(fill: Fill, *, is_ours: bool) -> Difference:
    if is_ours:
        what, ours, theirs = "missing", fill.quantity, None
        return Difference("fill", fill.row, what, fill.symbol, ours, theirs, fill.order)
    return Difference("fill", fill.row, "extra", fill.symbol, None, fill.quantity)


def _in_order(fills: Sequence[Fill]) -> list[Fill]:
    return sorted(fills, key=lambda fill: (fill.row, fill.symbol, fill.quantity))


def _equal(ours: float, theirs: float, tolerance: float) -> bool:
    return abs(ours - theirs) <= max(tolerance * max(abs(ours), abs(theirs)), _CENT)
