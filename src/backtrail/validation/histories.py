"""Bars that might have been: cut off, with another future, as noise, disturbed, or standing still.

Every history made here is one that the engine takes: prices above zero, the high of a bar its
highest, the low its lowest, bars where the symbol had bars. What is drawn is drawn from the bars
themselves: each bar is the gap from the close before to its open and its shape from there on, as
ratios. Splits and dividends are in the ratios of prices, not beside them, where prices are made.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars

__all__ = [
    "disturbed_bars",
    "noise_bars",
    "scrambled_future",
    "shared_rows",
    "still_bars",
    "truncated_bars",
    "without_first",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

_COLUMNS: Final = ("open", "high", "low", "close", "volume", "splits", "dividends")


def shared_rows(bars: Bars) -> tuple[int, int]:
    """Return the first row by which every symbol has had a bar, and the last before one ends.

    A history may be cut between them and keeps its symbols.
    """
    own = ~np.isnan(bars.close)
    firsts = own.argmax(axis=0)
    lasts = len(own) - 1 - own[::-1].argmax(axis=0)
    return int(firsts.max()), int(lasts.min())


def truncated_bars(bars: Bars, stop: int) -> Bars:
    """Return the bars before a row, as they were known then.

    Raises:
        ValueError: If a symbol has no bar there.
    """
    return _cut(bars, slice(0, stop))


def without_first(bars: Bars, rows: int) -> Bars:
    """Return the bars from a row on.

    Raises:
        ValueError: If a symbol has no bar there.
    """
    return _cut(bars, slice(rows, None))


def _cut(bars: Bars, rows: slice) -> Bars:
    start, stop, _ = rows.indices(len(bars.timestamps))
    empty = np.isnan(bars.close[start:stop]).all(axis=0)
    if empty.any():
        name = bars.symbols[int(empty.argmax())]
        raise ValueError(f"{name} has no bar in rows {start} to {stop - 1}; cut in shared rows")
    inside = (bars.delisted >= start) & (bars.delisted < stop)
    return replace(
        bars,
        timestamps=bars.timestamps[start:stop],
        delisted=np.where(inside, bars.delisted - start, -1),
        **{name: getattr(bars, name)[start:stop] for name in _COLUMNS},
    )


def scrambled_future(bars: Bars, stop: int, generator: np.random.Generator) -> Bars:
    """Return bars that are the same before a row, and others from it on.

    Args:
        bars: What happened.
        stop: First row that is made anew, from bars drawn from all of the history.
        generator: Source of the draws.
    """
    moves = _Moves.of(bars)
    drawn = moves.drawn(generator.random((2, len(bars.timestamps))))
    return _with_prices(bars, _chain(bars, drawn, stop), stop)


def noise_bars(bars: Bars, generator: np.random.Generator) -> Bars:
    """Return a history without memory and without drift.

    Gaps and shapes are drawn apart from each other, with equal chances from all bars, and divided
    by their mean: whatever an account holds, from an open or from a close on, its expected return
    is zero before costs. Symbols with a bar in every row are drawn from the same rows, so that they
    move together as they did.

    Args:
        bars: What happened.
        generator: Source of the draws.
    """
    moves = _Moves.of(bars).without_drift()
    drawn = moves.drawn(generator.random((2, len(bars.timestamps))))
    return _with_prices(bars, _chain(bars, drawn, 1), 1)


def disturbed_bars(bars: Bars, generator: np.random.Generator, *, scale: float) -> Bars:
    """Return the same history with every price a little off.

    Open, high, low and close are each multiplied by exp(scale s z), s the size of the symbol's
    usual move from close to close and z standard normal; high and low then widen to hold the
    others. Volumes stay.

    Args:
        bars: What happened.
        generator: Source of the noise.
        scale: Size of the noise in usual moves of a bar; 0.1 is a tenth of one.

    Raises:
        ValueError: If the scale is negative or not finite.
    """
    if not 0.0 <= scale < np.inf:
        raise ValueError(f"scale is {scale}; it is zero or positive")
    sizes = np.array([_usual_move(bars, column) for column in range(len(bars.symbols))])
    noise = {
        name: getattr(bars, name) * np.exp(scale * sizes * generator.standard_normal(bars.shape))
        for name in ("open", "high", "low", "close")
    }
    high = np.maximum(np.maximum(noise["open"], noise["close"]), noise["high"])
    low = np.minimum(np.minimum(noise["open"], noise["close"]), noise["low"])
    return replace(
        bars,
        open=noise["open"],
        close=noise["close"],
        high=np.maximum(high, noise["low"]),
        low=np.minimum(low, noise["high"]),
    )


def still_bars(bars: Bars) -> Bars:
    """Return a history in which no price ever moves: each symbol stays at its first close."""
    own = ~np.isnan(bars.close)
    firsts = [bars.close[int(np.flatnonzero(column)[0]), k] for k, column in enumerate(own.T)]
    price = np.where(own, np.array(firsts), np.nan)
    return replace(
        bars,
        open=price,
        high=price,
        low=price,
        close=price,
        splits=np.ones(bars.shape),
        dividends=np.zeros(bars.shape),
    )


def _usual_move(bars: Bars, column: int) -> float:
    """Return the median size of a log move, in standard deviations of a normal one."""
    own = np.flatnonzero(~np.isnan(bars.close[:, column]))
    if len(own) < 3:
        return 0.0
    logs = np.log(bars.close[own, column])
    moves = np.diff(logs) + np.log(bars.splits[own[1:], column])
    return 1.4826 * float(np.median(np.abs(moves - np.median(moves))))


@dataclass(frozen=True, slots=True)
class _Moves:
    """Every symbol's bars but its first, as ratios; lists, since symbols have their own bars.

    Attributes:
        rows: Rows of the symbol's bars, the first included.
        gaps: Open over the close before, adjusted for splits and dividends.
        shapes: High, low and close over open, and volume, shape (4, bars - 1).
    """

    rows: tuple[IntArray, ...]
    gaps: tuple[FloatArray, ...]
    shapes: tuple[FloatArray, ...]

    @classmethod
    def of(cls, bars: Bars) -> "_Moves":
        rows, gaps, shapes = [], [], []
        for column in range(len(bars.symbols)):
            own = np.flatnonzero(~np.isnan(bars.close[:, column]))
            later = own[1:]
            opened = bars.open[later, column]
            paid = bars.dividends[later, column]
            before = bars.close[own[:-1], column]
            rows.append(own)
            gaps.append((opened + paid) * bars.splits[later, column] / before)
            ratios = [getattr(bars, name)[later, column] / opened for name in ("high", "low")]
            ratios += [bars.close[later, column] / opened, bars.volume[later, column]]
            shapes.append(np.array(ratios))
        return cls(tuple(rows), tuple(gaps), tuple(shapes))

    def without_drift(self) -> "_Moves":
        gaps = tuple(gap / gap.mean() if len(gap) else gap for gap in self.gaps)
        shapes = []
        for shape in self.shapes:
            scaled = shape.copy()
            if shape.shape[1]:
                scaled[:3] /= shape[2].mean()
                # Where the close alone was moved, open may lie outside of high and low.
                scaled[0] = np.maximum(scaled[0], 1.0)
                scaled[1] = np.minimum(scaled[1], 1.0)
            shapes.append(scaled)
        return _Moves(self.rows, gaps, tuple(shapes))

    def drawn(self, shares: FloatArray) -> "_Moves":
        """Return moves at these shares of the way through each symbol's bars; row by row."""
        gaps, shapes = [], []
        for own, gap, shape in zip(self.rows, self.gaps, self.shapes, strict=True):
            places = (shares[:, own[1:]] * len(gap)).astype(np.int64)
            gaps.append(gap[places[0]])
            shapes.append(shape[:, places[1]])
        return _Moves(self.rows, tuple(gaps), tuple(shapes))


def _chain(bars: Bars, moves: _Moves, start: int) -> dict[str, FloatArray]:
    """Return prices that follow the moves from a row on, and are the bars' before it."""
    made = {name: getattr(bars, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for column, (own, gap, shape) in enumerate(
        zip(moves.rows, moves.gaps, moves.shapes, strict=True)
    ):
        first = max(1, int(np.searchsorted(own, start)))
        rows = own[first:]
        if not len(rows):
            continue
        gap, shape = gap[first - 1 :], shape[:, first - 1 :]
        last = bars.close[own[first - 1], column]
        closes = last * np.cumprod(gap * shape[2])
        opens = np.concatenate([[last], closes[:-1]]) * gap
        made["open"][rows, column] = opens
        made["high"][rows, column] = opens * shape[0]
        made["low"][rows, column] = opens * shape[1]
        made["close"][rows, column] = closes
        made["volume"][rows, column] = shape[3]
    return made


def _with_prices(bars: Bars, made: dict[str, FloatArray], start: int) -> Bars:
    splits, dividends = bars.splits.copy(), bars.dividends.copy()
    splits[start:], dividends[start:] = 1.0, 0.0
    return replace(
        bars,
        open=made["open"],
        high=made["high"],
        low=made["low"],
        close=made["close"],
        volume=made["volume"],
        splits=splits,
        dividends=dividends,
    )
