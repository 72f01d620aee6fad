"""Bars: the one layout in which prices enter the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.indicators import Ticks, common_tick
from backtrail.errors import DataValidationError, Problem

if TYPE_CHECKING:
    from backtrail.engine.schedule.sessions import Sessions

__all__ = ["FIELDS", "Bars"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FIELDS: Final = ("open", "high", "low", "close", "volume")
_PRICES: Final = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Raw prices of one or more symbols on one time grid, with corporate actions.

    The constructor checks what the engine relies on, puts every two-dimensional column into
    Fortran order (one symbol contiguous) and hands out read-only arrays. An array that already
    has the right type and order is not copied.

    Attributes:
        symbols: Names, unique, one per column; k of them.
        timestamps: Microseconds since 1970 UTC, int64, shape (n,), strictly increasing: the union
            of all symbols' bars.
        open: Raw price, float64, shape (n, k); NaN where a symbol has no bar.
        high: As `open`.
        low: As `open`.
        close: As `open`.
        volume: Units traded, zero or positive, shape (n, k); NaN where a symbol has no bar.
        splits: New shares per old, shape (n, k), 1.0 where nothing happens; effective before that
            bar's open.
        dividends: Cash per share, shape (n, k), 0.0 where nothing happens; paid to who held before
            that bar, per share held after that bar's split.
        delisted: Row of the last bar of a delisted symbol, int64, shape (k,); -1 = not delisted.
        calendar: Name of the trading calendar, such as `XNYS`.
        timeframe: Length of a bar, such as `1d` or `1m`.
        sessions: Sessions of the calendar, where the dataset brings its own; None for a calendar
            whose sessions lie within a UTC date.
        members: By symbol, first and last day since 1970, both included, of each time it is in the
            universe; None where nothing says who is.
        gapless: Whether each symbol has a bar in every row, k of them.
        is_split: Whether each symbol is ever split, k of them.
        pays: Whether any symbol ever pays a dividend.
    """

    symbols: tuple[str, ...]
    timestamps: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    splits: FloatArray
    dividends: FloatArray
    delisted: IntArray
    calendar: str
    timeframe: str
    sessions: "Sessions | None" = None
    members: Mapping[str, tuple[tuple[int, int], ...]] | None = None
    gapless: tuple[bool, ...] = field(init=False, repr=False)
    is_split: tuple[bool, ...] = field(init=False, repr=False)
    pays: bool = field(init=False, repr=False)
    _ticks: dict[tuple[str, int], Ticks | None] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        problems = _check_axes(self.symbols, self.timestamps)
        shape = (len(self.timestamps), len(self.symbols))
        for name in (*FIELDS, "splits", "dividends"):
            array = np.asfortranarray(getattr(self, name), dtype=np.float64)
            if array.shape != shape:
                problems.append(
                    Problem(
                        f"bars.{name}",
                        f"shape {array.shape}",
                        f"pass shape {shape}: bars by symbols",
                    )
                )
            object.__setattr__(self, name, _read_only(array))
        for name, length in (("timestamps", shape[0]), ("delisted", shape[1])):
            ints = np.ascontiguousarray(getattr(self, name), dtype=np.int64)
            if ints.shape != (length,):
                problems.append(
                    Problem(f"bars.{name}", f"shape {ints.shape}", f"pass shape ({length},)")
                )
            object.__setattr__(self, name, _read_only(ints))
        if not problems:
            problems = _check_values(self)
        if problems:
            raise DataValidationError(problems)
        # Every run asks for these, and the arrays never change.
        gapless = [not np.isnan(column).any() for column in self.close.T]
        is_split = [bool((column != 1.0).any()) for column in self.splits.T]
        object.__setattr__(self, "gapless", tuple(gapless))
        object.__setattr__(self, "is_split", tuple(is_split))
        object.__setattr__(self, "pays", bool(self.dividends.any()))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of bars and number of symbols."""
        return len(self.timestamps), len(self.symbols)

    def ticks(self, name: str, column: int) -> Ticks | None:
        """Return a column of a symbol without gaps on its decimal tick; None where it has none.

        Args:
            name: Such as `close`; `price` is the close.
            column: The symbol's.
        """
        key = "close" if name == "price" else name, column
        if key not in self._ticks:
            self._ticks[key] = common_tick(getattr(self, key[0])[:, column])
        return self._ticks[key]

    @classmethod
    def single(
        cls,
        symbol: str,
        timestamps: IntArray,
        columns: dict[str, FloatArray],
        *,
        calendar: str = "XNYS",
        timeframe: str = "1d",
    ) -> "Bars":
        """Return the bars of one symbol without corporate actions.

        Args:
            symbol: Its name.
            timestamps: Microseconds UTC, shape (n,).
            columns: `open`, `high`, `low`, `close`, `volume`, each of shape (n,).
            calendar: Name of the trading calendar.
            timeframe: Length of a bar.

        Raises:
            DataValidationError: If the columns break a rule of `Bars`.
        """
        n = len(timestamps)
        arrays: dict[str, Any] = {
            name: np.asarray(columns[name], dtype=np.float64).reshape(-1, 1) for name in FIELDS
        }
        return cls(
            symbols=(symbol,),
            timestamps=np.asarray(timestamps, dtype=np.int64),
            splits=np.ones((n, 1)),
            dividends=np.zeros((n, 1)),
            delisted=np.full(1, -1, dtype=np.int64),
            calendar=calendar,
            timeframe=timeframe,
            **arrays,
        )

    @classmethod
    def over(
        cls,
        symbols: tuple[str, ...],
        columns: Mapping[str, bytes | memoryview],
        *,
        calendar: str,
        timeframe: str,
        members: Mapping[str, tuple[tuple[int, int], ...]] | None = None,
    ) -> "Bars":
        """Return bars over buffers of little-endian values; nothing is copied.

        Args:
            symbols: Names, one per column; k of them.
            columns: `timestamps` (n int64), `delisted` (k int64), and every other column as n
                float64 of the first symbol, then of the next; `session_days`, `session_opens` and
                `session_closes` (int64) where there are sessions.
            calendar: Name of the trading calendar.
            timeframe: Length of a bar.
            members: When each symbol is in the universe.

        Raises:
            DataValidationError: If the columns break a rule of `Bars`.
        """
        times = np.frombuffer(columns["timestamps"], dtype="<i8")
        shape = (len(times), len(symbols))
        values: dict[str, Any] = {
            name: np.frombuffer(columns[name], dtype="<f8").reshape(shape, order="F")
            for name in (*FIELDS, "splits", "dividends")
        }
        return cls(
            symbols=symbols,
            timestamps=times,
            delisted=np.frombuffer(columns["delisted"], dtype="<i8"),
            calendar=calendar,
            timeframe=timeframe,
            sessions=_sessions_over(columns),
            members=members,
            **values,
        )


def _sessions_over(columns: Mapping[str, bytes | memoryview]) -> "Sessions | None":
    if "session_days" not in columns:
        return None
    from backtrail.engine.schedule.sessions import Sessions  # which knows of bars

    names = ("session_days", "session_opens", "session_closes")
    days, opens, closes = (np.frombuffer(columns[name], dtype="<i8") for name in names)
    return Sessions(days, opens, closes)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_axes(symbols: tuple[str, ...], timestamps: IntArray) -> list[Problem]:
    problems = []
    if not symbols or not all(isinstance(name, str) and name for name in symbols):
        problems.append(
            Problem("bars.symbols", repr(symbols), "pass at least one name, all non-empty")
        )
    elif len(set(symbols)) != len(symbols):
        problems.append(Problem("bars.symbols", repr(symbols), "name each symbol once"))
    times = np.asarray(timestamps)
    if times.ndim != 1 or not len(times):
        problems.append(
            Problem("bars.timestamps", f"shape {times.shape}", "pass at least one bar, shape (n,)")
        )
    elif times.dtype.kind != "i":
        problems.append(
            Problem("bars.timestamps", f"dtype {times.dtype}", "pass int64 microseconds UTC")
        )
    elif not (np.diff(times) > 0).all():
        row = int(np.argmin(np.diff(times) > 0)) + 1
        problems.append(
            Problem(
                "bars.timestamps", f"row {row} is not after the row before", "sort, one row each"
            )
        )
    return problems


def _check_values(bars: Bars) -> list[Problem]:
    problems: list[Problem] = []
    missing = np.isnan(bars.close)

    def refuse(name: str, wrong: npt.NDArray[np.bool_], remedy: str) -> None:
        if wrong.any():
            row, column = (int(axis[0]) for axis in np.nonzero(wrong))
            where = f"bars.{name}[{row}] of {bars.symbols[column]}"
            problems.append(Problem(where, repr(float(getattr(bars, name)[row, column])), remedy))

    for name in FIELDS:
        array = getattr(bars, name)
        refuse(name, np.isnan(array) != missing, "a bar has all five values or none")
        low_ok = array > 0 if name in _PRICES else array >= 0
        sign = "above zero" if name in _PRICES else "zero or above"
        refuse(
            name, ~missing & ~np.isnan(array) & ~(low_ok & np.isfinite(array)), f"finite, {sign}"
        )
    refuse(
        "splits", ~(np.isfinite(bars.splits) & (bars.splits > 0)), "a ratio above zero, 1 = none"
    )
    refuse(
        "dividends",
        ~(np.isfinite(bars.dividends) & (bars.dividends >= 0)),
        "cash per share, zero or above",
    )
    problems += [
        Problem(f"bars.symbols {symbol}", "no bar at all", "leave the symbol out")
        for column, symbol in enumerate(bars.symbols)
        if missing[:, column].all()
    ]
    return problems or _check_delistings(bars, missing)


def _check_delistings(bars: Bars, missing: npt.NDArray[np.bool_]) -> list[Problem]:
    last: list[int] = [int(np.flatnonzero(~column)[-1]) for column in missing.T]
    return [
        Problem(f"bars.delisted of {symbol}", str(row), f"-1, or {final}, the row of its last bar")
        for symbol, row, final in zip(bars.symbols, bars.delisted.tolist(), last, strict=True)
        if row not in (-1, final)
    ]
