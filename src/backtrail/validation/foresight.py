"""Whether a strategy knows what it cannot know: the future, or when its history began.

Both checks compare decisions, not results, and both are proofs: a strategy whose decision at a bar
changes with what comes after that bar looks ahead, whatever it earns.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars
from backtrail.validation.checks import Check
from backtrail.validation.histories import scrambled_future, truncated_bars, without_first

__all__ = ["Decide", "check_look_ahead", "check_warm_up", "cuts_between"]

FloatArray = npt.NDArray[np.float64]
Decide = Callable[[Bars], FloatArray]


def cuts_between(bars: int, *, first: int, count: int) -> tuple[int, ...]:
    """Return so many rows, evenly spaced from one on to the last but one, fewer if there are."""
    last = bars - 2
    if last < first:
        return ()
    return tuple(sorted({round(float(row)) for row in np.linspace(first, last, count)}))


def check_look_ahead(
    decide: Decide, bars: Bars, *, cuts: Sequence[int], generator: np.random.Generator
) -> Check:
    """Compare decisions up to a bar with those made when the bars after it are others, or missing.

    At each cut the strategy is run twice more: on the bars up to the cut, and on the bars up to the
    cut followed by bars drawn at random from the same history. It has to decide the same, bit by
    bit, up to and at the cut.

    Args:
        decide: Runs the strategy on bars and returns its decisions, shape (bars, columns); NaN is
            equal to NaN.
        bars: Prices.
        cuts: Rows of the last known bars.
        generator: Source of the other futures.

    Returns:
        The figure is the number of cuts at which the past changed, the threshold 0. The rate of
        false alarms is 0: a strategy whose decisions are a function of past bars never fails, and
        one that decides differently on equal bars is told apart first.
    """
    if not cuts:
        words = f"{len(bars.timestamps)} bars are too few to take some away"
        return Check("look_ahead", None, None, 0.0, 0.0, words)
    known = decide(bars)
    if _first_difference(known, decide(bars), len(known)) is not None:
        words = "two runs on equal bars decided differently, so no comparison can be made"
        return Check("look_ahead", False, None, 0.0, 0.0, words)
    found = []
    for cut in cuts:
        others = (
            ("missing", truncated_bars(bars, cut + 1)),
            ("others", scrambled_future(bars, cut + 1, generator)),
        )
        for kind, other in others:
            row = _first_difference(known, decide(other), cut + 1)
            if row is not None:
                found.append((cut, kind, row))
                break
    if not found:
        words = (
            f"At {len(cuts)} bars the future was taken away and replaced; no decision up to then "
            "changed."
        )
        return Check("look_ahead", True, 0.0, 0.0, 0.0, words)
    cut, kind, row = found[0]
    words = (
        f"The strategy looks ahead: with the bars after row {cut} {kind}, its decision at row "
        f"{row} is another one. The same at {len(found)} of {len(cuts)} cuts."
    )
    return Check("look_ahead", False, float(len(found)), 0.0, 0.0, words)


def check_warm_up(
    decide: Decide,
    bars: Bars,
    *,
    starts: Sequence[int],
    warm_up: int,
    tolerance: float = 1e-9,
) -> Check:
    """Compare decisions with those of runs whose history begins later.

    After the warm-up a strategy with a finite memory decides the same, wherever its history began.
    Sums since the first bar, and averages that never forget, do not.

    Args:
        decide: As for `check_look_ahead`; decisions that do not depend on the size of the account.
        bars: Prices.
        starts: Rows from which the later histories begin.
        warm_up: Bars after which decisions have to agree.
        tolerance: Difference that still counts as equal.

    Returns:
        The figure is the number of bars that it really took until all later decisions agreed, the
        most of all starts; the threshold is the warm-up. The rate of false alarms is 0 for a
        strategy whose memory is no longer than the warm-up; one that keeps a state, such as a
        position until it is closed, may need longer.
    """
    known = decide(bars)
    usable = [start for start in starts if len(known) - start > warm_up]
    if not usable:
        words = f"No history of more than {warm_up} bars, the warm-up, is left after a later start."
        return Check("warm_up", None, None, float(warm_up), 0.0, words)
    needed, compared = 0, 0
    for start in usable:
        later = decide(without_first(bars, start))
        rows = _differing_rows(known[start:], later, tolerance)
        needed = max(needed, int(rows[-1]) + 1 if len(rows) else 0)
        compared = max(compared, len(later))
    forgets = needed < compared
    words = (
        f"With {len(usable)} later starts, decisions agree from bar {needed} on; the warm-up is "
        f"{warm_up} bars."
        if forgets
        else "The strategy never forgets where its history began: decisions differ to the last bar."
    )
    return Check("warm_up", needed <= warm_up, float(needed), float(warm_up), 0.0, words)


def _first_difference(known: FloatArray, found: FloatArray, rows: int) -> int | None:
    different = _differing_rows(known[:rows], found[:rows], 0.0)
    return int(different[0]) if len(different) else None


def _differing_rows(
    known: FloatArray, found: FloatArray, tolerance: float
) -> npt.NDArray[np.int64]:
    if known.shape != found.shape:
        return np.arange(len(known))
    both_missing = np.isnan(known) & np.isnan(found)
    near = known == found
    if tolerance > 0.0:
        near |= np.abs(known - found) <= tolerance
    return np.flatnonzero(~(near | both_missing).all(axis=1))
