"""What decides how orders become fills: execution rules, commission, ledger, capital, seed."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from backtrail.errors import ConfigError, Problem

__all__ = ["CommissionConfig", "EngineConfig", "ExecutionRules"]

_CHOICES: Final = {
    "fill": ("next_open", "next_close"),
    "size_at": ("signal_close", "fill"),
    "shares": ("whole", "fractional"),
    "cash_policy": ("clip", "reject", "overdraw"),
}


def _refuse_unknown(where: str, found: object, allowed: tuple[str, ...]) -> None:
    if found not in allowed:
        raise ConfigError([Problem(where, repr(found), f"one of {', '.join(allowed)}")])


@dataclass(frozen=True, slots=True)
class ExecutionRules:
    """How an order becomes a fill.

    Attributes:
        fill: At which price of the symbol's next bar an order fills: `next_open` or `next_close`.
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


@dataclass(frozen=True, slots=True)
class CommissionConfig:
    """What a fill costs.

    Attributes:
        model: `none`, or `per_dollar`: `cost` times the absolute value of the fill.
        cost: A fraction, zero or positive; 0.001 is ten basis points.
    """

    model: str = "none"
    cost: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        _refuse_unknown("commission.model", self.model, ("none", "per_dollar"))
        if not isinstance(self.cost, Decimal) or not self.cost.is_finite() or self.cost < 0:
            raise ConfigError(
                [Problem("commission.cost", repr(self.cost), "a Decimal, zero or above")]
            )
        if self.model == "none" and self.cost:
            raise ConfigError([Problem("commission.cost", str(self.cost), "0 with model none")])


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that decides a run besides strategy, bars and parameters.

    Attributes:
        ledger: `decimal`, exact sums and exact cents, or `float64`.
        rules: How orders fill.
        commission: What fills cost.
        capital_base: Cash at the start, positive.
        seed: Seed of `context.rng`, zero or positive.
    """

    ledger: str = "decimal"
    rules: ExecutionRules = field(default_factory=ExecutionRules)
    commission: CommissionConfig = field(default_factory=CommissionConfig)
    capital_base: Decimal = Decimal(100_000)
    seed: int = 0

    def __post_init__(self) -> None:
        _refuse_unknown("ledger", self.ledger, ("decimal", "float64"))
        capital = self.capital_base
        if not isinstance(capital, Decimal) or not capital.is_finite() or capital <= 0:
            raise ConfigError([Problem("capital_base", repr(capital), "a Decimal above zero")])
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ConfigError([Problem("seed", repr(self.seed), "an integer, zero or above")])
