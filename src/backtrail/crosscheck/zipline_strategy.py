"""A strategy of any form as two calls: before the first bar, and at each bar."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from backtrail.batch.execution.importing import import_entry
from backtrail.crosscheck.zipline_account import Account, Data
from backtrail.engine import SignalBars, TradingAlgorithm, api
from backtrail.engine.algorithm import Actions
from backtrail.engine.data_files import data_folders
from backtrail.engine.decisions import decisions_of
from backtrail.engine.market import Market
from backtrail.engine.signal import check_weights
from backtrail.engine.strategy import Strategy, load_strategy, params_from
from backtrail.errors import StrategyError

__all__ = ["EventCalls", "SignalCalls", "calls_of"]


class EventCalls:
    """Class form and function form."""

    def __init__(
        self, strategy: Strategy, params: Any, account: Account, data: Data, context: Any
    ) -> None:
        self._account, self._data, self._context = account, data, context
        if strategy.algorithm is not None:
            self._actions: Actions = strategy.algorithm()
            self._actions.params = params
            source: Any = self._actions
            hook = type(source).before_trading_start is not TradingAlgorithm.before_trading_start
        else:
            self._actions, source = Actions(), strategy
            hook = strategy.before_trading_start is not None
        if hook:
            raise StrategyError("before_trading_start cannot be cross-checked yet")
        self._initialize, self._handle_data = source.initialize, source.handle_data
        self._scheduled: dict[int, list[Callable[..., Any]]] = {}

    def initialize(self) -> None:
        """Call the strategy's `initialize`, and see what it scheduled."""
        self._actions.bind(self._account, self._context, self._data)  # type: ignore[arg-type]
        with api.running(self._actions):
            if self._initialize is not None:
                self._initialize(self._context)
            for rows, function in self._actions.begin(None):
                for row in rows.tolist():
                    self._scheduled.setdefault(row, []).append(function)

    def bar(self, row: int) -> None:
        """Call the strategy at a bar."""
        self._account.accepting = True
        with api.running(self._actions):
            self._handle_data(self._context, self._data)
            for function in self._scheduled.get(row, ()):
                function(self._context, self._data)
        self._account.accepting = False


class SignalCalls:
    """Signal form and step form: weights are worked out once, and ordered where they change."""

    def __init__(self, strategy: Strategy, params: Any, account: Account) -> None:
        bars = account.market.bars
        assert strategy.target_weights is not None
        weights = check_weights(strategy.target_weights(SignalBars(Market(bars)), params), bars)
        self._account = account
        self._changes = decisions_of(weights, bars).by_row()

    def initialize(self) -> None:
        """There is nothing to prepare."""

    def bar(self, row: int) -> None:
        """Order what changes at a bar."""
        self._account.accepting = True
        for column, weight in self._changes.get(row, ()):
            self._account.place(self._account.market.bars.symbols[column], weight, "target_percent")
        self._account.accepting = False


def calls_of(
    task: dict[str, Any], account: Account, data: Data, make_context: Callable[[Any], Any]
) -> EventCalls | SignalCalls:
    """Return the calls of the strategy that a task names.

    Raises:
        StrategyError: If it asks for something that cannot be cross-checked.
    """
    root = Path(task["code_dir"])
    with data_folders([Path(path) for path in task["import_paths"]]):
        strategy = load_strategy(import_entry(root, task["entry"]), task["functions"])
    params = params_from(strategy, task["params"])
    if strategy.gives_weights:
        return SignalCalls(strategy, params, account)
    return EventCalls(strategy, params, account, data, make_context(params))
