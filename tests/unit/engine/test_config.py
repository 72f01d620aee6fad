from decimal import Decimal

import pytest

from backtrail.engine import CommissionConfig, EngineConfig, ExecutionRules
from backtrail.errors import ConfigError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExecutionRules(fill="last"), "next_open, next_close, same_close"),
        (lambda: ExecutionRules(size_at="open"), "signal_close, fill"),
        (lambda: ExecutionRules(shares="half"), "whole, fractional"),
        (lambda: ExecutionRules(cash_policy="borrow"), "clip, reject, overdraw"),
        (lambda: CommissionConfig("per_ton"), "none, per_dollar, per_share, per_trade"),
        (lambda: CommissionConfig("per_dollar", Decimal(-1)), "zero or above"),
        (lambda: CommissionConfig("none", Decimal(1)), "0 with model none"),
        (lambda: EngineConfig(ledger="int"), "decimal, float64"),
        (lambda: EngineConfig(capital_base=Decimal(0)), "above zero"),
        (lambda: EngineConfig(seed=-1), "zero or above"),
    ],
)
def test_config_refuses_what_it_does_not_know(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
