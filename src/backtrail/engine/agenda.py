"""What happens at some bars only, so that the others cost a comparison each."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from backtrail.engine.data_view import BarData, NothingYet
from backtrail.engine.notices import PerformanceSnapshot, moment
from backtrail.engine.schedule.sessions import IntArray, session_days
from backtrail.engine.simulation import Simulation

__all__ = ["Agenda", "Callback"]

Callback = Callable[[Any, Any], Any]


class Agenda:
    """What comes before and after `handle_data`, and when.

    Attributes:
        next_before: First row from here on before whose fills something happens.
        next_after: First row from here on after whose `handle_data` something happens.
    """

    def __init__(
        self,
        simulation: Simulation,
        data: BarData,
        context: object = None,
        *,
        before_session: Callback | None = None,
        scheduled: Sequence[tuple[IntArray, Callback]] = (),
    ) -> None:
        self._account: Final = simulation
        self._data: Final = data
        self._context: Final = context
        self._before_session: Final = before_session
        n = len(simulation.market.bars.timestamps)
        self._sessions: list[int] = [n]
        if before_session is not None:
            self._sessions += _session_starts(simulation)
        self._functions: dict[int, list[Callback]] = {}
        for rows, function in scheduled:
            for row in rows.tolist():
                self._functions.setdefault(row, []).append(function)
        self._scheduled = [n, *sorted(self._functions, reverse=True)]
        self._fills_last: Final = simulation.config.rules.fill == "same_close"
        notices = simulation.notices
        self._tells: Final = notices.wants("performance_updated")
        self._peak = float(simulation.config.capital_base)
        self._every_bar: Final = (
            self._fills_last
            or self._tells
            or simulation.guard.watches
            or notices.wants("risk_violation")
        )
        self.next_before = self._find_before()
        self.next_after = self._find_after(-1)

    def before(self, row: int) -> int:
        """Do what comes before the fills of a bar; return the next row with something to do.

        A session begins before its corporate actions and prices: account and data are those of
        the bar before.
        """
        account = self._account
        if row == self._sessions[-1]:
            self._sessions.pop()
            self._begin_session()
        if row == account.next_action:
            account.row = row
            account.apply_actions()
        self.next_before = self._find_before()
        return self.next_before

    def after(self, row: int) -> int:
        """Do what comes after `handle_data` at a bar; return the next row with something to do."""
        account = self._account
        if row == self._scheduled[-1]:
            self._scheduled.pop()
            for function in self._functions[row]:
                function(self._context, self._data)
        if self._fills_last and account.book.waiting:
            account.filling.fill_waiting()
        if row == account.next_delisting:
            account.delist()
        if self._every_bar or account.notices.waits:
            self._look_back(row)
        self.next_after = self._find_after(row)
        return self.next_after

    def _find_before(self) -> int:
        return min(self._account.next_action, self._sessions[-1])

    def _find_after(self, row: int) -> int:
        if self._every_bar:
            return row + 1
        return min(self._account.next_delisting, self._scheduled[-1])

    def _begin_session(self) -> None:
        assert self._before_session is not None
        account = self._account
        account.accepting = False
        data = NothingYet(account.market) if account.row < 0 else self._data
        self._before_session(self._context, data)
        account.accepting = True

    def _look_back(self, row: int) -> None:
        account = self._account
        account.accepting = False
        if account.guard.watches:
            account.guard.watch()
        if self._tells:
            account.notices.put("performance_updated", self._snapshot(row))
        if account.notices.waits:
            account.notices.deliver()
        account.accepting = True

    def _snapshot(self, row: int) -> PerformanceSnapshot:
        account = self._account
        cash = float(account.ledger.cash)
        net, gross = account.exposures()
        total = cash + net
        self._peak = max(self._peak, total)
        start = float(account.config.capital_base)
        return PerformanceSnapshot(
            moment(account.market.bars.timestamps, row),
            total,
            cash,
            net,
            gross / total if total > 0 else float("nan"),
            total / start - 1.0,
            total / self._peak - 1.0,
        )


def _session_starts(simulation: Simulation) -> list[int]:
    days = session_days(simulation.market.bars)
    starts: list[int] = (np.flatnonzero(np.diff(days)) + 1).tolist()
    return [*reversed(starts), 0]
