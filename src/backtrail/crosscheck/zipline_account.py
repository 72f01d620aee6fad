"""The engine's `data`, `context` and account, answered by zipline.

A strategy that is written for backtrail sees the same functions here; prices, orders, fills, cash
and portfolio value come from zipline. Runs in zipline's environment.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from zipline.api import order as order_shares

from backtrail.engine import Bars, CommissionConfig
from backtrail.engine.orders import MARKET, Style, check_amount
from backtrail.errors import OrderError, StrategyError

__all__ = ["Account", "Context", "Data", "whole"]


class Unsupported:
    """Stands where zipline has nothing that means the same; using it says so."""

    def __init__(self, what: str) -> None:
        object.__setattr__(self, "_what", what)

    def __getattr__(self, name: str) -> Any:
        raise StrategyError(f"{self._what} cannot be cross-checked: zipline has none that means so")


class Account:
    """Takes the place of the engine's account.

    Attributes:
        row: The running bar; -1 before the first.
        accepting: Whether orders may be placed.
        targets: Holding that a target order shall lead to, by zipline's order id.
        refused: Ids of orders that the cash policy refused; they are canceled at the next bar.
    """

    guard = Unsupported("a trading control or risk hook")
    notices = Unsupported("a subscription")

    def __init__(self, bars: Bars, assets: Sequence[Any]) -> None:
        self.row = -1
        self.accepting = False
        self.algorithm: Any = None
        self.now: Any = None
        self.targets: dict[str, int] = {}
        self.refused: list[str] = []
        self.placed: list[dict[str, Any]] = []
        self.commission: CommissionConfig | None = None
        self.market = SimpleNamespace(bars=bars)
        self.assets = list(assets)
        self.book = SimpleNamespace(waiting=Unsupported("get_open_orders"), cancel=self._cancel)
        self._numbers: dict[str, int] = {}
        self._columns = {symbol: column for column, symbol in enumerate(bars.symbols)}

    def column(self, symbol: str) -> int:
        """Return the column of a symbol.

        Raises:
            OrderError: If the bars have no such symbol.
        """
        if symbol not in self._columns:
            raise OrderError(f"unknown symbol {symbol!r}; the bars have {', '.join(self._columns)}")
        return self._columns[symbol]

    def asset(self, symbol: str) -> Any:
        """Return zipline's asset of a symbol."""
        return self.assets[self.column(symbol)]

    def set_costs(self, commission: Any = None, slippage: Any = None) -> None:
        """Take the strategy's commission; zipline's slippage models mean other things.

        Raises:
            StrategyError: If it sets a slippage.
        """
        if slippage is not None:
            raise StrategyError("slippage cannot be cross-checked: zipline's models differ")
        self.commission = commission

    def place(self, symbol: str, amount: float, sizing: str, style: Style = MARKET) -> int | None:
        """Place a market order with zipline, sized by zipline's prices, cash and holdings.

        Zipline would round up an amount within 1e-4 of a whole share; here it is 1e-9.

        Raises:
            OrderError: If no bar is running.
            StrategyError: If the order has a limit or a stop: zipline looks at closes alone there.
        """
        asset, number = self.asset(symbol), check_amount(sizing, symbol, amount)
        if not self.accepting:
            raise OrderError(f"order for {symbol} outside of handle_data")
        if style is not MARKET:
            raise StrategyError(
                "limit and stop orders cannot be cross-checked: zipline triggers them by closes"
            )
        price = float(self.now.current(asset, "price"))
        if math.isnan(price) or not asset.is_alive_for_session(_session(self.now)):
            return None
        if sizing.endswith("percent"):
            number *= float(self.algorithm.portfolio.portfolio_value)
        quantity = whole(number if sizing in ("shares", "target") else number / price)
        target = quantity
        if sizing.startswith("target"):
            quantity -= self.held(asset) + self.pending(asset)
        if not quantity:
            return None
        identity = order_shares(asset, quantity)
        self._numbers[identity] = len(self.placed) + 1
        if sizing.startswith("target"):
            self.targets[identity] = target
        self.placed.append({"row": self.row, "symbol": symbol, "quantity": quantity})
        return len(self.placed)

    def number(self, identity: str) -> int:
        """Return which order it was; 1 is the first."""
        return self._numbers[identity]

    def held(self, asset: Any) -> int:
        """Return the shares held."""
        return int(self.algorithm.portfolio.positions[asset].amount)

    def pending(self, asset: Any) -> int:
        """Return the signed shares that open orders will add."""
        orders = self.algorithm.get_open_orders(asset)
        return sum(int(one.open_amount) for one in orders if one.id not in self.refused)

    def begin_bar(self, row: int, now: Any) -> None:
        """Come to a bar, after zipline has filled its orders."""
        for identity in self.refused:
            self.algorithm.cancel_order(identity)
        self.refused.clear()
        self.row, self.now = row, now

    def _cancel(self, order_id: int) -> None:
        raise StrategyError("cancel_order cannot be cross-checked yet; it has no id of zipline's")


class Data:
    """Takes the place of `BarData`; daily bars, as zipline's data portal gives them."""

    def __init__(self, account: Account) -> None:
        self._account = account

    @property
    def current_dt(self) -> Any:
        """Timestamp of the running bar, aware, UTC."""
        return _session(self._account.now).tz_localize("UTC").to_pydatetime()

    def current(self, symbol: str, field: str) -> float:
        """Return one value of the running bar; `price` is the last known close."""
        asset, now = self._account.asset(symbol), self._account.now
        if field != "price" and not self.can_trade(symbol):
            return math.nan
        return float(now.current(asset, field))

    def history(
        self, symbols: Any, field: str, bar_count: int, frequency: str | None = None
    ) -> Any:
        """Return the last own bars of a symbol, or the last rows of several."""
        if frequency not in (None, "1d"):
            raise StrategyError(f"history of {frequency} bars cannot be cross-checked")
        field = "close" if field == "price" else field
        seen = self._account.row + 1
        if not isinstance(symbols, str):
            columns = [self._grid(symbol, field, min(bar_count, seen)) for symbol in symbols]
            return np.stack(columns, axis=1)
        asked = bar_count
        while True:
            values = self._grid(symbols, field, min(asked, seen))
            values = values[~np.isnan(values)]
            if len(values) >= bar_count or asked >= seen:
                return values[-bar_count:]
            asked *= 2

    def sma(self, symbol: str, length: int, field: str = "close") -> float:
        """Return the mean of the last bars, the quotient of an exact sum of decimals."""
        values = self.history(symbol, field, length)
        if len(values) < length:
            return math.nan
        return float(sum(Fraction(repr(value)) for value in values.tolist()) / length)

    def indicator(self, name: str, symbol: str) -> float:
        """There is no counterpart.

        Raises:
            StrategyError: Always.
        """
        raise StrategyError("declared indicators cannot be cross-checked; compute from history")

    def can_trade(self, symbol: str) -> bool:
        """Return whether the symbol has a bar now."""
        return not math.isnan(
            self._account.now.current(self._account.asset(symbol), "close")
        ) and self._alive(symbol)

    def is_stale(self, symbol: str) -> bool:
        """Return whether the symbol is alive, had a bar before, and has none now."""
        asset, now = self._account.asset(symbol), self._account.now
        known = not math.isnan(now.current(asset, "price"))
        return self._alive(symbol) and known and not self.can_trade(symbol)

    def _alive(self, symbol: str) -> bool:
        asset = self._account.asset(symbol)
        return bool(asset.is_alive_for_session(_session(self._account.now)))

    def _grid(self, symbol: str, field: str, count: int) -> Any:
        account = self._account
        series = account.now.history(account.asset(symbol), field, count, "1d")
        if field != "volume":
            return series.to_numpy(dtype=np.float64)
        closes = account.now.history(account.asset(symbol), "close", count, "1d")
        return np.where(np.isnan(closes), np.nan, series.to_numpy(dtype=np.float64))


class Position:
    """A holding, as it is now."""

    def __init__(self, account: Account, symbol: str) -> None:
        self._account, self.symbol = account, symbol

    @property
    def amount(self) -> int:
        """Signed shares."""
        return self._account.held(self._account.asset(self.symbol))

    @property
    def cost_basis(self) -> float:
        """Average price paid. Zipline's contains the commission."""
        positions = self._account.algorithm.portfolio.positions
        return float(positions[self._account.asset(self.symbol)].cost_basis)

    @property
    def last_sale_price(self) -> float:
        """Last known close."""
        account = self._account
        return float(account.now.current(account.asset(self.symbol), "price"))

    @property
    def value(self) -> float:
        """Amount times last known close."""
        return self.amount * self.last_sale_price if self.amount else 0.0


class Positions(Mapping[str, Position]):
    """Holdings by symbol."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def __getitem__(self, symbol: str) -> Position:
        self._account.column(symbol)
        return Position(self._account, symbol)

    def __contains__(self, symbol: object) -> bool:
        return symbol in list(self)

    def __iter__(self) -> Iterator[str]:
        held = self._account.algorithm.portfolio.positions
        return iter([asset.symbol for asset in held if held[asset].amount])

    def __len__(self) -> int:
        return len(list(iter(self)))


class Portfolio:
    """Zipline's portfolio under the engine's names."""

    def __init__(self, account: Account, capital: float) -> None:
        self._account = account
        self.positions = Positions(account)
        self.starting_cash = capital

    def __getattr__(self, name: str) -> float:
        if name not in ("cash", "portfolio_value", "positions_value", "pnl", "returns"):
            raise AttributeError(f"portfolio has no attribute {name!r}")
        return float(getattr(self._account.algorithm.portfolio, name))


class Context:
    """What a strategy keeps between bars."""

    def __init__(self, account: Account, params: Any, capital: float, seed: int) -> None:
        self.params = params
        self.portfolio = Portfolio(account, capital)
        self.universe = account.market.bars.symbols
        self.rng = np.random.default_rng(seed)
        self.account = Unsupported("context.account")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"context has no attribute {name!r}; set it in initialize")


def whole(number: float) -> int:
    """Return whole shares, towards zero; what is within 1e-9 of a share is that share."""
    nearest = round(number)
    return nearest if abs(number - nearest) <= 1e-9 * max(1.0, abs(number)) else int(number)


def _session(now: Any) -> Any:
    return pd.Timestamp(now.current_session).tz_localize(None)
