"""What happens at some bars only, so that the others cost a comparison each."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from backtrail.engine.data_view import BarData
from backtrail.engine.nothing_yet import NothingYet
from backtrail.engine.notices import PerformanceSnapshot, moment
from backtrail.engine.schedule.sessions import IntArray, session_days
from backtrail.engine.simulation import Simulation

__all__ = ["Agenda", "Callback"]

Callback = Callable[[Any, Any], Any]


class Agenda:
    """What comes before and after `handle_data`, and when.

    Attributes:
        next_before: First row before whose fills something happens.
        next_after: First row after whose `handle_data` something happens.
    """

    __slots__ = (
        "_account",
        "_begin",
        "_context",
        "_data",
        "_every_bar",
        "_fills_last",
        "_functions",
        "_peak",
        "_scheduled",
        "_sessions",
        "_tells",
        "_watches",
        "next_after",
        "next_before",
    )

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
        self._begin: Final = _nothing if before_session is None else before_session
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
        self._watches: Final = simulation.guard.watches
        self._peak = float(simulation.config.capital_base)
        self._every_bar: Final = (
            self._fills_last or self._tells or self._watches or notices.wants("risk_violation")
        )
        self.next_before = min(simulation.next_action, self._sessions[-1])
        self.next_after = 0
        if not self._every_bar:
            self.next_after = min(simulation.next_delisting, self._scheduled[-1])

    def before(self, row: int) -> int:
        """Do what comes before the fills of a bar; return the next row with something to do.

        A session begins before its corporate actions and prices: account and data are those of
        the bar before.
        """
        account, sessions = self._account, self._sessions
        if row == sessions[-1]:
            sessions.pop()
            account.accepting = False
            self._begin(self._context, self._data if row else NothingYet(account.market))
            account.accepting = True
        if row == account.next_action:
            account.row = row
            account.apply_actions()
        session, action = sessions[-1], account.next_action
        return session if session < action else action

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
        if self._watches and account.held:
            account.guard.watch()
        if self._tells:
            account.notices.put("performance_updated", self._snapshot(row))
        if account.notices.queue:
            account.accepting = False
            account.notices.deliver()
            account.accepting = True
        if self._every_bar:
            return row + 1
        return min(account.next_delisting, self._scheduled[-1])

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


def _nothing(context: Any, data: Any) -> None:
    """Stand in for a strategy that does nothing before a session."""


def _session_starts(simulation: Simulation) -> list[int]:
    days = session_days(simulation.market.bars)
    starts: list[int] = (np.flatnonzero(np.diff(days)) + 1).tolist()
    return [*reversed(starts), 0]
