"""What decides how orders become fills: execution rules, costs, margin, ledger, capital, seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from backtrail.errors import ConfigError, Problem

__all__ = [
    "CommissionConfig",
    "EngineConfig",
    "ExecutionRules",
    "InstrumentConfig",
    "MarginConfig",
    "SlippageConfig",
]

_CHOICES: Final = {
    "fill": ("next_open", "next_close", "same_close"),
    "size_at": ("signal_close", "fill"),
    "shares": ("whole", "fractional"),
    "cash_policy": ("clip", "reject", "overdraw"),
}
_COMMISSIONS: Final = ("none", "per_dollar", "per_share", "per_trade")
# Which values each slippage model has; any other has to stay at its default.
_SLIPPAGES: Final = {
    "none": (),
    "fixed": ("spread",),
    "fixed_bps": ("basis_points", "volume_limit"),
    "volume_share": ("volume_limit", "price_impact"),
}


def _refuse_unknown(where: str, found: object, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise ConfigError([Problem(where, repr(found), f"one of {', '.join(allowed)}")])


def _check(where: str, value: object, *, positive: bool = False, most: int | None = None) -> None:
    lowest = "above zero" if positive else "zero or above"
    wanted = f"a Decimal, {lowest}" + ("" if most is None else f", at most {most}")
    if (
        not isinstance(value, Decimal)
        or not value.is_finite()
        or value < 0
        or (positive and not value)
        or (most is not None and value > most)
    ):
        raise ConfigError([Problem(where, repr(value), wanted)])


@dataclass(frozen=True, slots=True)
class ExecutionRules:
    """How an order becomes a fill.

    Attributes:
        fill: At which price a market order fills: `next_open` or `next_close` of the symbol's next
            bar, or `same_close`, the close of the bar it was placed on.
        size_at: When an amount of money or a target becomes a number of shares. `signal_close`:
            when the order is placed, at the last close and the equity then. `fill`: when it fills,
            at the fill price and the equity at that bar's fill prices before any of its fills.
        shares: `whole` shares, or `fractional` in lots of 1e-9; both round towards zero.
        cash_policy: What happens to a buy that costs more than the cash, commission included.
            `clip`: it is made as small as the cash allows; `reject`: it is refused whole;
            `overdraw`: it fills, and cash becomes negative.
    """

    fill: str = "next_open"
    size_at: str = "signal_close"
    shares: str = "whole"
    cash_policy: str = "clip"

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            _refuse_unknown(f"execution.{name}", getattr(self, name), allowed)


@dataclass(frozen=True)
class CommissionConfig:
    """What a fill costs.

    Attributes:
        model: `none`; `per_dollar`: `cost` times the absolute value of the fill; `per_share`:
            `cost` for every share, at least `min_trade_cost` for an order; `per_trade`: `cost` for
            an order, taken at its first fill.
        cost: Zero or positive; with `per_dollar` a fraction, 0.001 is ten basis points.
        min_trade_cost: Least commission of an order, with `per_share`.
    """

    model: str = "none"
    cost: Decimal = Decimal(0)
    min_trade_cost: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        _refuse_unknown("commission.model", self.model, _COMMISSIONS)
        _check("commission.cost", self.cost)
        _check("commission.min_trade_cost", self.min_trade_cost)
        if self.model == "none" and self.cost:
            raise ConfigError([Problem("commission.cost", str(self.cost), "0 with model none")])
        if self.model != "per_share" and self.min_trade_cost:
            found = f"{self.min_trade_cost} with model {self.model}"
            raise ConfigError(
                [Problem("commission.min_trade_cost", found, "only per_share has it")]
            )


@dataclass(frozen=True)
class SlippageConfig:
    """How far a fill's price is from the bar's price, and how much of an order a bar fills.

    Attributes:
        model: `none`; `fixed`: half the `spread` against the order; `fixed_bps`: `basis_points` of
            the price against the order; `volume_share`: the price times `price_impact` times the
            squared share of the bar's volume that the run's orders took, against the order.
        spread: In money per share.
        basis_points: 5 is 0.05 percent.
        volume_limit: Largest share of a bar's volume that the run's orders of a symbol may take;
            what is left of an order waits for the next bar. None for no limit.
        price_impact: Relative move of the price if the whole volume were taken.
    """

    model: str = "none"
    spread: Decimal = Decimal(0)
    basis_points: Decimal = Decimal(0)
    volume_limit: Decimal | None = None
    price_impact: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        _refuse_unknown("slippage.model", self.model, tuple(_SLIPPAGES))
        for name in ("spread", "basis_points", "price_impact"):
            _check(f"slippage.{name}", getattr(self, name))
        _check("slippage.basis_points", self.basis_points, most=9999)
        if self.volume_limit is not None:
            _check("slippage.volume_limit", self.volume_limit, positive=True, most=1)
        if self.model == "volume_share" and self.volume_limit is None:
            wanted = "a share of the volume, such as 0.025"
            raise ConfigError([Problem("slippage.volume_limit", "none", wanted)])
        for name in ("spread", "basis_points", "volume_limit", "price_impact"):
            if name not in _SLIPPAGES[self.model] and getattr(self, name):
                found = f"{getattr(self, name)} with model {self.model}"
                remedy = f"its values are {', '.join(_SLIPPAGES[self.model]) or 'none'}"
                raise ConfigError([Problem(f"slippage.{name}", found, remedy)])

    @property
    def values(self) -> dict[str, Decimal | None]:
        """The values that the model has, by name."""
        return {name: getattr(self, name) for name in _SLIPPAGES[self.model]}


@dataclass(frozen=True, slots=True)
class MarginConfig:
    """What an account may owe.

    Attributes:
        initial: Equity that a fill has to leave per unit of gross exposure: 0.5 allows twice the
            equity, long and short together. A fill that would leave less is handled as the cash
            policy says of cash (with `overdraw` it is clipped). Fills that reduce a holding always
            pass. None for no limit.
        maintenance: When equity at a bar's closes is less than this part of gross exposure, open
            orders are canceled and all holdings are closed at the next bar. None for never.
    """

    initial: Decimal | None = None
    maintenance: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("initial", "maintenance"):
            if getattr(self, name) is not None:
                _check(f"margin.{name}", getattr(self, name), positive=True)
        if self.initial and self.maintenance and self.maintenance > self.initial:
            found = f"{self.maintenance} is above the initial margin {self.initial}"
            raise ConfigError([Problem("margin.maintenance", found, "make it smaller")])


@dataclass(frozen=True, slots=True)
class InstrumentConfig:
    """What is particular to a symbol.

    Attributes:
        tick: Step of its prices. Limit and stop prices are rounded to it so that no order trades at
            a worse price than asked; prices with slippage are rounded against the order.
        lot: Step of its quantities, in place of that of `shares`.
    """

    tick: Decimal | None = None
    lot: Decimal | None = None

    def __post_init__(self) -> None:
        for name in ("tick", "lot"):
            if getattr(self, name) is not None:
                _check(f"instruments.{name}", getattr(self, name), positive=True)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that decides a run besides strategy, bars and parameters.

    Attributes:
        ledger: `decimal`, exact sums and exact cents, or `float64`.
        rules: How orders fill.
        commission: What fills cost.
        capital_base: Cash at the start, positive.
        seed: Seed of `context.rng`, zero or positive.
        slippage: How far fills are from the bar's price.
        margin: What the account may owe.
        instruments: Ticks and lots by symbol, for those that have their own.
    """

    ledger: str = "decimal"
    rules: ExecutionRules = field(default_factory=ExecutionRules)
    commission: CommissionConfig = field(default_factory=CommissionConfig)
    capital_base: Decimal = Decimal(100_000)
    seed: int = 0
    slippage: SlippageConfig = field(default_factory=SlippageConfig)
    margin: MarginConfig = field(default_factory=MarginConfig)
    instruments: Mapping[str, InstrumentConfig] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def __post_init__(self) -> None:
        _refuse_unknown("ledger", self.ledger, ("decimal", "float64"))
        _check("capital_base", self.capital_base, positive=True)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError([Problem("seed", repr(self.seed), "an integer, zero or above")])
        for symbol, item in self.instruments.items():
            if self.rules.shares == "whole" and item.lot is not None and item.lot % 1:
                where = f"instruments.{symbol}.lot"
                remedy = "a whole number, or shares: fractional"
                raise ConfigError([Problem(where, f"{item.lot} with whole shares", remedy)])
            least = Decimal("1e-9")
            if item.lot is not None and item.lot % least:
                where = f"instruments.{symbol}.lot"
                raise ConfigError([Problem(where, str(item.lot), f"a multiple of {least}")])
