"""Who is in the universe at which bar, by the membership that came with the bars."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.schedule.sessions import session_days
from backtrail.errors import StrategyError

__all__ = ["Universe"]

_Spans = Mapping[str, tuple[tuple[int, int], ...]]


class Universe:
    """The members of the universe, by the session date of each bar.

    A date tells only who is a member then: neither who joins later, nor until when a member stays.

    Args:
        bars: Prices, with the membership of their symbols.
    """

    __slots__ = ("_bars", "_day", "_days", "_names")

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._days: npt.NDArray[np.int64] | None = None
        self._day: int | None = None
        self._names: tuple[str, ...] = ()

    def at(self, row: int) -> tuple[str, ...]:
        """Return the members at a row, in the order of the symbols.

        Raises:
            StrategyError: If the bars came without a membership.
        """
        members = self._members()
        day = int(self._session_days()[row])
        if day != self._day:
            self._day = day
            self._names = tuple(
                name
                for name in self._bars.symbols
                if any(first <= day <= last for first, last in members.get(name, ()))
            )
        return self._names

    def mask(self) -> npt.NDArray[np.bool_]:
        """Return for every row and symbol whether it is a member, shape (n, k), read-only.

        Raises:
            StrategyError: If the bars came without a membership.
        """
        members = self._members()
        days = self._session_days()
        found = np.zeros(self._bars.shape, dtype=np.bool_, order="F")
        for column, name in enumerate(self._bars.symbols):
            for first, last in members.get(name, ()):
                begin, end = np.searchsorted(days, [first, last + 1])
                found[begin:end, column] = True
        found.flags.writeable = False
        return found

    def _members(self) -> _Spans:
        if self._bars.members is None:
            raise StrategyError(
                "the dataset says of no date who is in the universe; name a file of symbol, from "
                "and to with `universe:` in the bundle, or use the symbols of the run"
            )
        return self._bars.members

    def _session_days(self) -> npt.NDArray[np.int64]:
        if self._days is None:
            self._days = session_days(self._bars)
        return self._days
