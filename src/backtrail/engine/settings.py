"""What a strategy settles in `initialize`: costs, benchmark, schedule, controls, subscriptions."""

from collections.abc import Callable, Collection
from typing import Any

from backtrail.engine.account import Context
from backtrail.engine.calling import check_call
from backtrail.engine.config import CommissionConfig, SlippageConfig
from backtrail.engine.data_view import BarData
from backtrail.engine.declared import Declaration
from backtrail.engine.orders import controls
from backtrail.engine.orders.controls import ProposedOrder
from backtrail.engine.schedule.rules import (
    DateRule,
    TimeRule,
    date_rules,
    scheduled_rows,
    time_rules,
)
from backtrail.engine.schedule.sessions import IntArray, SessionSource, sessions_of
from backtrail.engine.simulation import Simulation
from backtrail.errors import StrategyError

__all__ = ["Settings"]

Scheduled = tuple[Callable[[Any, Any], Any], DateRule, TimeRule, bool]


class Settings:
    """The functions that are called from `initialize`, and there only.

    Attributes:
        benchmark: Symbol that the strategy compares itself with; None without one.
    """

    _simulation: Simulation | None = None
    _context: Context
    _data: BarData
    _scheduled: list[Scheduled]
    benchmark: str | None = None

    def schedule_function(
        self,
        func: Callable[[Any, Any], Any],
        date_rule: DateRule | None = None,
        time_rule: TimeRule | None = None,
        half_days: bool = True,
    ) -> None:
        """Call `func(context, data)` after `handle_data` at some bars.

        Args:
            func: What to call.
            date_rule: On which sessions, from `date_rules`; on every one by default.
            time_rule: At which bar of a session, from `time_rules`; by default at its last minute
                but one, as `market_close()` says. Daily bars have one bar, whatever is asked.
            half_days: Whether sessions that are shorter than usual count.

        Raises:
            StrategyError: If it is not called from `initialize`, or an argument is wrong.
        """
        self._settling("schedule_function")
        if not callable(func):
            raise StrategyError(f"schedule_function({func!r}); pass a function(context, data)")
        check_call(func, ("context", "data"), "the function of schedule_function")
        date_rule = date_rules.every_day() if date_rule is None else date_rule
        time_rule = time_rules.market_close() if time_rule is None else time_rule
        if not isinstance(date_rule, DateRule) or not isinstance(time_rule, TimeRule):
            raise StrategyError(
                f"schedule_function({date_rule!r}, {time_rule!r}); take a rule of date_rules, then"
                " one of time_rules, and call it"
            )
        self._scheduled.append((func, date_rule, time_rule, bool(half_days)))

    def set_commission(self, commission: CommissionConfig) -> None:
        """Say what fills cost, from the module `commission`; the config must not say it, too.

        Raises:
            ConfigError: If it does.
            StrategyError: If this is not called from `initialize`, or it is no commission.
        """
        account = self._settling("set_commission")
        if not isinstance(commission, CommissionConfig):
            raise StrategyError(f"set_commission({commission!r}); take commission.PerShare(...)")
        account.set_costs(commission=commission)

    def set_slippage(self, slippage: SlippageConfig) -> None:
        """Say what fills lose, from the module `slippage`; the config must not say it, too.

        Raises:
            ConfigError: If it does.
            StrategyError: If this is not called from `initialize`, or it is no slippage.
        """
        account = self._settling("set_slippage")
        if not isinstance(slippage, SlippageConfig):
            raise StrategyError(f"set_slippage({slippage!r}); take slippage.FixedSlippage(...)")
        account.set_costs(slippage=slippage)

    def set_benchmark(self, symbol: str) -> None:
        """Name the symbol whose returns stand beside the strategy's.

        It has to be one of the run's symbols, and the config must not name another.

        Raises:
            OrderError: If the run has no such symbol.
            StrategyError: If this is not called from `initialize`.
        """
        self._settling("set_benchmark").column(symbol)
        self.benchmark = symbol

    def set_max_order_size(
        self,
        asset: str | None = None,
        max_shares: float | None = None,
        max_notional: float | None = None,
        on_error: str = "fail",
    ) -> None:
        """Limit the size of an order of one symbol, or of all.

        Args:
            asset: The symbol; None for all.
            max_shares: Largest number of shares.
            max_notional: Most money at the last close.
            on_error: `fail` ends the run, `log` records it and lets the order pass, `reject`
                rejects the order.
        """
        self._control(controls.max_order_size(asset, max_shares, max_notional, on_error), asset)

    def set_max_position_size(
        self,
        asset: str | None = None,
        max_shares: float | None = None,
        max_notional: float | None = None,
        on_error: str = "fail",
    ) -> None:
        """Limit the holding of one symbol, or of each; see `set_max_order_size`.

        Open orders count as filled; an order that makes a holding smaller always passes.
        """
        self._control(controls.max_position_size(asset, max_shares, max_notional, on_error), asset)

    def set_long_only(self, on_error: str = "fail") -> None:
        """Forbid short holdings, open orders counted as filled."""
        self._control(controls.long_only(on_error))

    def set_do_not_order_list(self, restricted: Collection[str], on_error: str = "fail") -> None:
        """Forbid orders for some symbols."""
        self._control(controls.do_not_order(restricted, on_error))

    def set_max_leverage(self, max_leverage: float, on_error: str = "fail") -> None:
        """Limit gross exposure over portfolio value.

        Args:
            max_leverage: 1.0 is the whole portfolio value.
            on_error: `fail` ends the run when a bar ends above the limit, `log` records such bars,
                `reject` rejects orders that would lead there at the last closes.
        """
        account = self._settling("set_max_leverage")
        account.guard.set_max_leverage(max_leverage, controls.check_on_error(on_error))

    def set_risk_hook(self, hook: Callable[[Any, ProposedOrder], object]) -> None:
        """Ask `hook(context, order)` about every order that passes the controls.

        It returns None to accept the order, False or a reason to veto it, or a smaller amount of
        the same sign to shrink it. Vetoed and shrunk orders are recorded.
        """
        self._settling("set_risk_hook").guard.set_hook(hook, self._context)

    def subscribe(self, event: str, callback: Callable[[Any], Any]) -> None:
        """Call `callback(notice)` at every event of a kind.

        Args:
            event: `trade_executed` (after a bar's fills, orders may be placed), `risk_violation`
                or `performance_updated` (both at the end of a bar).
            callback: Called with a `TradeExecutionData`, `RiskViolation` or `PerformanceSnapshot`.
        """
        self._settling("subscribe").notices.subscribe(event, callback)

    def declare_indicator(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        fields: str | Collection[str] = "close",
        unit: str | None = None,
        **arguments: Any,
    ) -> None:
        """Declare a function of whole columns for look-ups with `data.indicator(name, symbol)`.

        It is computed once for each symbol that is asked for, and each row is served at its bar.

        Args:
            name: What it is looked up by.
            function: Takes one array for each field, shape (m,), the symbol's own bars, forward
                split-adjusted, oldest first, and returns an array of the same shape.
            fields: `open`, `high`, `low`, `close`, `volume`; one or several.
            unit: `price`, `volume` or `ratio`: how a later split changes a value. It is needed only
                for symbols that split.
            **arguments: Handed on to the function by name.

        Raises:
            StrategyError: If this is not called from `initialize`, or an argument is wrong.
        """
        self._settling("declare_indicator")
        names = (fields,) if isinstance(fields, str) else tuple(fields)
        self._data._declare(Declaration(name, function, names, unit, arguments))

    def begin(self, source: SessionSource | None) -> list[tuple[IntArray, Callable[..., Any]]]:
        """Return the rows of every scheduled function; the engine does this after `initialize`."""
        if not self._scheduled:
            return []
        bars = self._running().market.bars
        sessions = sessions_of(bars, source)
        return [
            (scheduled_rows(bars, sessions, days, times, half_days=half_days), function)
            for function, days, times, half_days in self._scheduled
        ]

    def _control(self, control: controls.Control, asset: str | None = None) -> None:
        account = self._settling(f"set_{control.rule}")
        if asset is not None:
            account.column(asset)
        account.guard.add(control)

    def _settling(self, name: str) -> Simulation:
        account = self._running()
        if account.row >= 0 or account.accepting:
            raise StrategyError(f"{name} after the first bar; call it in initialize")
        return account

    def _running(self) -> Simulation:
        if self._simulation is None:
            raise StrategyError("no run is bound to this algorithm; it runs through run_event")
        return self._simulation
