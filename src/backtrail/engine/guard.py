"""What keeps an account within limits: trading controls, margin, a risk hook."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from backtrail.engine.calling import check_call
from backtrail.engine.ledger import Amount
from backtrail.engine.notices import RiskViolation, moment
from backtrail.engine.orders.controls import Control, ProposedOrder, permitted, refuse
from backtrail.engine.orders.order import Order
from backtrail.errors import RiskViolationError, StrategyError

if TYPE_CHECKING:
    from backtrail.engine.simulation import Simulation

__all__ = ["Guard"]

RiskHook = Callable[[Any, ProposedOrder], object]


class Guard:
    """The limits of one account, and what became of those that were touched.

    Attributes:
        is_set: Whether orders have to be looked at.
        watches: Whether the account has to be looked at after every bar.
        initial_margin: Of `MarginConfig`, as an amount; None without one.
        violations: (row, violation), oldest first.
    """

    def __init__(self, simulation: "Simulation") -> None:
        self._account = simulation
        self._controls: list[Control] = []
        self._hook: RiskHook | None = None
        self._context: Any = None
        self._leverage: tuple[float, str] | None = None
        margin, number = simulation.config.margin, simulation.ledger.number
        self.initial_margin = None if margin.initial is None else number(margin.initial)
        self._maintenance = None if margin.maintenance is None else number(margin.maintenance)
        self._closing: list[Order] = []
        self.is_set = False
        self.watches = margin.maintenance is not None
        self.violations: list[tuple[int, RiskViolation]] = []

    def add(self, control: Control) -> None:
        """Look at every order from now on."""
        self._controls.append(control)
        self.is_set = True

    def set_hook(self, hook: RiskHook, context: object) -> None:
        """Ask a function about every order that passes the controls."""
        if not callable(hook):
            raise StrategyError(f"the risk hook is {hook!r}; pass a function(context, order)")
        check_call(hook, ("context", "order"), "the risk hook")
        self._hook, self._context = hook, context
        self.is_set = True

    def set_max_leverage(self, most: float, on_error: str) -> None:
        """Limit gross exposure over portfolio value."""
        if not most >= 0:
            raise StrategyError(f"set_max_leverage({most!r}); give zero or above")
        self._leverage = (float(most), on_error)
        if on_error == "reject":
            self.is_set = True
        else:
            self.watches = True

    def passes(self, order: Order, pending: Amount) -> bool:
        """Say whether a sized order may go on; one that may not is finished with the reason.

        Args:
            order: Sized.
            pending: Signed shares that the symbol's other orders will add.
        """
        order.is_checked = True
        proposed = self._proposed(order, float(pending))
        for control in self._controls:
            breach = control.find(proposed)
            if breach is None:
                continue
            if control.on_error == "fail":
                refuse(control.rule, proposed, breach)
            is_logged = control.on_error == "log"
            action = "logged" if is_logged else "rejected"
            self._note(control.rule, order, action, breach.limit, breach.found, breach.message)
            if not is_logged:
                order.finish("rejected", f"{control.rule}: {breach.message}")
                return False
        if self._leverage is not None and self._leverage[1] == "reject":
            found = self._expected_leverage(order, float(pending))
            most = self._leverage[0]
            if found > most:
                message = f"leverage would be {found:g}, above {most:g}"
                self._note("max_leverage", order, "rejected", most, found, message)
                order.finish("rejected", f"max_leverage: {message}")
                return False
        return self._hook is None or self._ask(order, proposed)

    def watch(self) -> None:
        """Look at leverage and maintenance margin after a bar.

        Raises:
            RiskViolationError: If leverage is above a limit that ends the run.
        """
        account = self._account
        if not account.held:
            return
        ledger, row = account.ledger, account.row
        marks = [(column, account.market.marks[column][row]) for column in account.held]
        equity, gross = ledger.equity(marks), self._gross(marks)
        if self._leverage is not None and self._leverage[1] != "reject":
            most, on_error = self._leverage
            found = float(gross) / float(equity) if equity > 0 else float("inf")
            if found > most:
                message = f"leverage is {found:g}, above {most:g}"
                if on_error == "fail":
                    raise RiskViolationError(f"set_max_leverage: {message} after this bar")
                finite = found if equity > 0 else None
                self._note("max_leverage", None, "logged", most, finite, message)
        if self._maintenance is None or any(order.status == "open" for order in self._closing):
            return
        if equity < ledger.multiply(gross, self._maintenance):
            found = float(equity) / float(gross)
            least = float(self._maintenance)
            message = f"equity is {found:g} of gross exposure, below {least:g}"
            self._note("maintenance_margin", None, "liquidated", least, found, message)
            self._closing = account.close_all("margin call")

    def margin_room(
        self, column: int, equity: Amount, others: Sequence[tuple[int, float]], price: float
    ) -> Amount:
        """Return the most shares of a symbol, long or short, that the initial margin allows.

        Args:
            column: The symbol.
            equity: Of the account, costs of the fill included.
            others: The other held symbols and their prices.
            price: Of the symbol.
        """
        ledger = self._account.ledger
        # Held to the smallest multiple: gross exposure times margin has to stay within equity.
        rest = ledger.subtract(equity, ledger.multiply(self._gross(others), self.initial_margin))
        if rest <= 0:
            return ledger.zero
        each = ledger.multiply(ledger.number(price), self.initial_margin)
        return ledger.lots_for(column, rest, each)

    def _gross(self, marks: Sequence[tuple[int, float]]) -> Amount:
        ledger = self._account.ledger
        total = ledger.zero
        for column, price in marks:
            value = ledger.value(ledger.quantities[column], price)
            total = ledger.add(total, ledger.absolute(value))
        return total

    def _expected_leverage(self, order: Order, pending: float) -> float:
        account = self._account
        gross, value, rises = 0.0, float(account.ledger.cash), True
        for column in sorted({*account.held, *account.book.waiting, order.column}):
            held = float(account.ledger.quantities[column])
            if column == order.column:
                before = held + pending
                expected = before + float(order.quantity)
                rises = abs(expected) > abs(before)
            else:
                expected = held + float(account.pending(column))
            if held or expected:
                price = self._price(column)
                gross += abs(expected) * price
                value += held * price
        if not rises:  # what makes a holding smaller always passes
            return 0.0
        return gross / value if value > 0 else float("inf")

    def _price(self, column: int) -> float:
        """Return the last known price: while a bar is filled, that is the one it fills at."""
        account = self._account
        price: float = account.market.marks[column][account.row]
        if not account.accepting:
            now = account.filling.prices[column][account.row]
            price = now if now == now else price
        return price

    def _proposed(self, order: Order, pending: float) -> ProposedOrder:
        account, column = self._account, order.column
        held = float(account.ledger.quantities[column])
        amount = float(order.quantity)
        return ProposedOrder(
            order_id=order.order_id,
            symbol=account.market.bars.symbols[column],
            amount=amount,
            price=self._price(column),
            held=held,
            expected=held + pending + amount,
            sizing=order.sizing,
            requested=order.amount,
            limit=order.style.limit,
            stop=order.style.stop,
        )

    def _ask(self, order: Order, proposed: ProposedOrder) -> bool:
        assert self._hook is not None
        amount, refusal = permitted(self._hook(self._context, proposed), proposed)
        if refusal is not None:
            self._note("risk_hook", order, "rejected", None, None, refusal)
            order.finish("rejected", refusal)
            return False
        if amount != proposed.amount:
            ledger = self._account.ledger
            asked = order.quantity
            order.quantity = ledger.round_quantity(order.column, ledger.number(amount))
            order.target = None
            message = f"shrunk from {asked:f} by the risk hook"
            self._note("risk_hook", order, "shrunk", amount, proposed.amount, message)
            if not order.quantity:
                order.finish("rejected", f"{message} to less than one lot")
                return False
            order.reason = message
        return True

    def _note(
        self,
        rule: str,
        order: Order | None,
        action: str,
        limit: float | None,
        found: float | None,
        message: str,
    ) -> None:
        account = self._account
        bars = account.market.bars
        violation = RiskViolation(
            moment(bars.timestamps, account.row),
            rule,
            None if order is None else bars.symbols[order.column],
            None if order is None else order.order_id,
            action,
            limit,
            found,
            message,
        )
        self.violations.append((account.row, violation))
        if account.notices.wants("risk_violation"):
            account.notices.put("risk_violation", violation)
