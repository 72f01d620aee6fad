from decimal import Decimal

import pytest

from backtrail.engine import CommissionConfig, SlippageConfig
from backtrail.errors import ConfigError
from backtrail.validation import BreakEven, break_even, costs_at, has_costs, most_level

SHARES = CommissionConfig("per_share", Decimal("0.005"), Decimal("1.5"))
IMPACT = SlippageConfig("volume_share", volume_limit=Decimal("0.025"), price_impact=Decimal("0.1"))


def test_basis_points_take_the_place_of_the_costs_and_leave_the_volume_limit():
    paid, lost = costs_at("basis_points", (SHARES, IMPACT), 7.5, 2.0)
    assert paid == CommissionConfig("per_dollar", Decimal("0.00075"))
    assert lost == SlippageConfig(
        "fixed_bps", basis_points=Decimal(2), volume_limit=Decimal("0.025")
    )
    free = costs_at("basis_points", (SHARES, SlippageConfig()), 0.0, 0.0)
    assert free == (CommissionConfig(), SlippageConfig())
    limited = costs_at("basis_points", (SHARES, IMPACT), 0.0, 0.0)[1]
    assert (limited.basis_points, limited.volume_limit) == (0, Decimal("0.025"))


def test_multiples_scale_every_amount_and_leave_the_volume_limit():
    paid, lost = costs_at("multiples", (SHARES, IMPACT), 2.0, 0.5)
    assert paid == CommissionConfig("per_share", Decimal("0.01"), Decimal(3))
    assert lost == SlippageConfig(
        "volume_share", volume_limit=Decimal("0.025"), price_impact=Decimal("0.05")
    )
    spread = SlippageConfig("fixed", spread=Decimal("0.02"))
    assert costs_at("multiples", (SHARES, spread), 1.0, 3.0) == (
        SHARES,
        SlippageConfig("fixed", spread=Decimal("0.06")),
    )
    assert costs_at("multiples", (SHARES, IMPACT), 1.0, 1.0) == (SHARES, IMPACT)


def test_costs_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="basis_points"):
        costs_at("basis_points", (SHARES, IMPACT), 0.0, 10_000.0)
    with pytest.raises(ValueError, match="there is no unit 'percent'"):
        costs_at("percent", (SHARES, IMPACT), 1.0, 1.0)


@pytest.mark.parametrize(
    ("slippage", "expected"),
    [
        (SlippageConfig("fixed_bps", basis_points=Decimal(50)), 199.98),
        (SlippageConfig("fixed", spread=Decimal("0.5")), 79.992),  # half of it 80 times is 20
        (SlippageConfig("fixed", spread=Decimal(100)), 1.0),
        (IMPACT, 1000.0),
        (SlippageConfig(), 1000.0),
    ],
    ids=["basis points", "spread", "taken by the run itself", "slight", "none"],
)
def test_multiples_stop_where_slippage_would_take_the_whole_price(slippage, expected):
    own = (SHARES, slippage)
    most = most_level("multiples", own, 20.0)
    assert most == pytest.approx(expected, rel=1e-12)
    costs_at("multiples", own, 1.0, most)
    assert most_level("basis_points", own, 20.0) == 1000.0


def test_the_greatest_multiple_of_a_slippage_can_be_asked_however_its_quotient_is_rounded():
    for points in ("13", "19", "29.7", "9998.99"):
        own = (SHARES, SlippageConfig("fixed_bps", basis_points=Decimal(points)))
        _, lost = costs_at("multiples", own, 1.0, most_level("multiples", own, 20.0))
        assert lost.basis_points == pytest.approx(Decimal(9999), rel=Decimal("1e-12"))


def test_a_limit_of_volume_is_no_cost():
    only = SlippageConfig("fixed_bps", volume_limit=Decimal("0.1"))
    assert [has_costs(item) for item in (only, IMPACT, SHARES, CommissionConfig())] == [
        False, True, True, False,
    ]  # fmt: skip
    least = CommissionConfig("per_share", Decimal(0), Decimal(1))
    assert has_costs(least)


def test_the_end_of_a_profit_is_found_to_a_thousandth():
    tried = []

    def gain(level):
        tried.append(level)
        return 14.3 - level

    found = break_even(gain)
    assert found.level < 14.3 <= found.upper
    assert found.upper - found.level <= 0.0143
    assert tried[:5] == [0.0, 1.0, 2.0, 5.0, 10.0]
    assert len(tried) < 20
    small = break_even(lambda level: 0.25 - level)
    assert small.level < 0.25 <= small.upper <= 0.25 + 1e-3


def test_the_first_end_counts_when_a_profit_comes_back():
    found = break_even(lambda level: -1.0 if 4.0 <= level <= 60.0 else 1.0)
    assert found.level < 4.0 <= found.upper < 4.01


def test_no_profit_without_costs_and_profit_at_every_cost_are_told_apart():
    assert break_even(lambda level: -level) == BreakEven(None, 0.0)
    assert break_even(lambda level: 1.0) == BreakEven(1000.0, None)
    tried = []
    assert break_even(lambda level: tried.append(level) or 1.0, most=7.0) == BreakEven(7.0, None)
    assert tried == [0.0, 1.0, 2.0, 5.0, 7.0]
