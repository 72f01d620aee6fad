"""A grid of costs, asked in this process: cells are the run at these costs, and nothing else."""

import random
from decimal import Decimal

import numpy as np
import pytest

from backtrail.batch.execution.validation_files import cost_files
from backtrail.engine import TradingAlgorithm
from backtrail.engine.costs import commission, slippage
from backtrail.engine.strategy import Strategy
from backtrail.errors import ConfigError
from tests.unit.batch.execution.test_validation_answers import (
    BARS,
    EVENT,
    SIGNAL,
    STEP,
    Params,
    holding,
    moving,
    told,
)

FIGURES = ("total_return", "cagr", "sharpe_ratio", "max_drawdown", "final_equity", "fills",
           "total_commission", "total_slippage", "total_trades")  # fmt: skip


def grid(strategy=SIGNAL, bars=BARS, *, unit="basis_points", across=(0,), down=(0,), **changes):
    """Return what a child answers, its cells by their levels, and the run itself."""
    asked = {"unit": unit, "commission": list(down), "slippage": list(across)}
    found = told("measure_costs", strategy, bars, validate={"costs": asked, "gates": {}}, **changes)
    columns = found["cells"]
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    own, *cells = rows
    assert (own["own"], own["commission"], own["slippage"]) == (True, None, None)
    return found, {(cell["commission"], cell["slippage"]): cell for cell in cells}, own


class Fixed(TradingAlgorithm):
    """Buys 100 shares at bar 5, sells 60 at bar 20 and 40 at bar 35, whatever they cost."""

    plan = {5: 100, 20: -60, 35: -40}  # noqa: RUF012

    def initialize(self, context):
        context.bars = 0

    def handle_data(self, context, data):
        amount = self.plan.get(context.bars)
        context.bars += 1
        if amount:
            self.order(context.universe[0], amount)


FIXED = Strategy("fixed", "class", Params, algorithm=Fixed)


@pytest.mark.parametrize("strategy", [SIGNAL, EVENT, STEP], ids=["signal", "event", "step"])
@pytest.mark.parametrize("unit", ["basis_points", "multiples"])
def test_the_cell_of_the_run_s_own_costs_is_the_run_itself(strategy, unit):
    level = 10.0 if unit == "basis_points" else 1.0  # the run pays a thousandth
    found, cells, own = grid(strategy, unit=unit, down=(0, level, 3 * level))
    assert {name: cells[level, 0.0][name] for name in FIGURES} == {n: own[n] for n in FIGURES}
    lab_run = told("monte_carlo", strategy)["paths"]["observed"][-1]
    assert own["final_equity"] == pytest.approx(100_000.0 * lab_run, rel=1e-12)
    finals = [cells[down, 0.0]["final_equity"] for down in (0.0, level, 3 * level)]
    assert finals == sorted(finals, reverse=True)
    assert len(set(finals)) == 3, "costs cost"
    assert cells[0.0, 0.0]["total_commission"] == 0.0
    assert found["own"]["set_by_strategy"] == []
    assert found["own"]["paid_basis_points"] == pytest.approx(10.0)


def test_cells_of_a_strategy_with_fixed_orders_are_its_fills_priced_again():
    bars = moving(*[0.5] * 30, *[-0.25] * 29)
    _, cells, own = grid(
        FIXED, bars, cost="0", down=(0, 4, 25), across=(0, 10), execution={"shares": "whole"}
    )
    opens = [float(bars.open[row + 1, 0]) for row in (5, 20, 35)]
    shares = [100, -60, -40]
    assert own["fills"] == 3
    for (down, across), cell in cells.items():
        prices = [
            price * (1.0 + (across / 10_000) * (1 if amount > 0 else -1))
            for price, amount in zip(opens, shares, strict=True)
        ]
        traded = sum(abs(a) * price for a, price in zip(shares, prices, strict=True))
        cash = 100_000.0 - sum(a * price for a, price in zip(shares, prices, strict=True))
        cash -= traded * down / 10_000
        assert cell["final_equity"] == pytest.approx(cash, abs=1e-6)
        assert cell["total_return"] == pytest.approx(cash / 100_000.0 - 1.0, abs=1e-11)
        assert cell["total_commission"] == pytest.approx(traded * down / 10_000, abs=1e-6)
        lost = sum(abs(a) * price for a, price in zip(shares, opens, strict=True)) * across / 10_000
        assert cell["total_slippage"] == pytest.approx(lost, abs=1e-6)
        assert (cell["fills"], cell["total_trades"], cell["error"]) == (3, 1, None)


def test_the_break_even_cost_of_fixed_orders_is_gross_profit_over_traded_value():
    bars = moving(*[0.5] * 30, *[-0.25] * 29)
    found, _, own = grid(FIXED, bars, cost="0", execution={"shares": "whole"})
    # Bought at 102.5, sold at 110 and 113.75, the opens of the bars after the orders.
    assert [float(bars.open[row, 0]) for row in (6, 21, 36)] == [102.5, 110.0, 113.75]
    profit, traded = 60 * 7.5 + 40 * 11.25, 100 * 102.5 + 60 * 110.0 + 40 * 113.75
    assert own["final_equity"] == pytest.approx(100_000.0 + profit)
    even = found["break_even"]
    assert even["level"] <= profit / traded * 10_000 <= even["upper"]
    assert even["upper"] / even["level"] <= 1.0011


def test_multiples_of_both_costs_are_tried_together_for_the_break_even():
    bars = moving(*[0.5] * 30, *[-0.25] * 29)
    found, cells, _ = grid(
        FIXED, bars, unit="multiples", cost="0.001", down=(0, 1, 2), across=(0, 1, 2),
        slippage={"model": "fixed", "spread": "0.2"}, execution={"shares": "whole"},
    )  # fmt: skip
    costs = cells[0.0, 0.0]["final_equity"] - cells[1.0, 1.0]["final_equity"]
    profit = cells[0.0, 0.0]["final_equity"] - 100_000.0
    # A fixed spread moves the value that the commission is of by next to nothing.
    assert found["break_even"]["level"] == pytest.approx(profit / costs, rel=2e-3)
    assert cells[0.0, 2.0]["total_slippage"] == pytest.approx(200 * 0.2, abs=1e-9)


@pytest.mark.parametrize(
    ("own", "most"),
    [
        ({"model": "fixed", "spread": "2"}, "99.99"),  # half of it 100 times is the lowest price
        ({"model": "fixed_bps", "basis_points": "13"}, "769.154"),
    ],
    ids=["spread", "basis points"],
)
def test_multiples_at_which_nothing_is_left_of_a_price_are_told_and_not_tried(own, most):
    bars = moving(*[5.0] * 59)
    assert float(bars.low.min()) == 100.0
    found, cells, _ = grid(
        holding((0, 60)), bars, unit="multiples", cost="0", down=(1,), across=(0, 98, 800),
        slippage=own, execution={"shares": "whole"},
    )  # fmt: skip
    assert cells[1.0, 98.0]["final_equity"] < cells[1.0, 0.0]["final_equity"]
    assert cells[1.0, 800.0]["final_equity"] is None
    assert cells[1.0, 800.0]["error"] == (
        f"above {most} times its own, slippage takes the whole price of a sale: the lowest price "
        "of what it trades is 100"
    )
    even = found["break_even"]
    assert f"{even['level']:g}" == most, "bought at twice the price, and sold at the end of nothing"
    assert (even["upper"], even["why"]) == (None, None)


class OwnCosts(Fixed):
    """Sets its own commission and slippage."""

    def initialize(self, context):
        super().initialize(context)
        self.set_commission(commission.PerShare(0.01, 0.5))
        self.set_slippage(slippage.FixedSlippage(0.1))


OWN = Strategy("own", "class", Params, algorithm=OwnCosts)


def test_costs_that_the_strategy_sets_are_replaced_and_told():
    found, cells, own = grid(OWN, cost="0", down=(0, 10), across=(0,))
    assert own["total_commission"] == pytest.approx(1.0 + 0.6 + 0.5)
    assert cells[0.0, 0.0]["total_commission"] == 0.0
    assert cells[0.0, 0.0]["total_slippage"] == 0.0
    assert cells[10.0, 0.0]["total_commission"] > 5.0
    assert found["own"]["set_by_strategy"] == ["commission", "slippage"]
    assert found["own"]["commission"] == "per_share cost 0.01 min_trade_cost 0.5"
    _, cells, own = grid(OWN, cost="0", unit="multiples", down=(1, 3), across=(1,))
    assert {name: cells[1.0, 1.0][name] for name in FIGURES} == {n: own[n] for n in FIGURES}
    assert cells[3.0, 1.0]["total_commission"] == pytest.approx(3.0 + 1.8 + 1.5)
    spec = {"identity": {"validate": {"costs": {"unit": "basis_points", "commission": [10, 0],
                                                "slippage": [0]}},
                         "start": "2020-01-02", "end": "2020-02-26"}}  # fmt: skip
    told_in_file = cost_files(spec, found)["costs/cost-sensitivity.json"]
    assert told_in_file["commission"] == [0, 10]
    assert [text for text in told_in_file["assumptions"] if "set by the strategy" in text] == [
        f"{name} is set by the strategy in initialize; the grid takes its place after that"
        for name in ("commission", "slippage")
    ]


def test_multiples_of_a_cost_that_the_run_has_not_are_refused():
    with pytest.raises(ConfigError) as caught:
        grid(EVENT, unit="multiples", down=(1, 2), across=(0, 1))
    assert "validate.costs.slippage: multiples are asked for, and neither config nor strategy " in (
        str(caught.value)
    )
    assert "use unit: basis_points" in str(caught.value)
    assert "commission:" not in str(caught.value)
    with pytest.raises(ConfigError, match="commission"):
        grid(EVENT, cost="0", unit="multiples", down=(1,), across=(1,))


@pytest.mark.parametrize(
    ("strategy", "bars", "words"),
    [
        (holding((5, 40)), moving(*[-0.5] * 59),
         "There is no break-even cost: without any costs there is no profit either."),
        (holding(), BARS, "There is no break-even cost: nothing was traded."),
        (holding((0, 60)), moving(*[5.0] * 59),
         "The profit is never gone: there is still one at 1,000 basis points of the value of each "
         "fill, the most that was tried; the run itself paid 0 basis points."),
    ],
    ids=["loses", "idle", "never"],
)  # fmt: skip
def test_a_profit_that_never_was_or_never_ends_is_told(strategy, bars, words):
    found, _, _ = grid(strategy, bars, cost="0")
    spec = {"identity": {"validate": {"costs": {"unit": "basis_points", "commission": [0],
                                                "slippage": [0]}},
                         "start": "2020-01-02", "end": "2020-02-26"}}  # fmt: skip
    assert cost_files(spec, found)["costs/cost-sensitivity.json"]["break_even"]["words"] == words


def test_a_strategy_that_keeps_something_between_runs_has_no_grid():
    ran = []

    def growing(bars, params):
        ran.append(1)
        return np.where(np.arange(len(bars.close))[:, np.newaxis] < 50 * len(ran), 1.0, 0.0)

    found, cells, own = grid(Strategy("growing", "signal", Params, target_weights=growing))
    assert "keeps something from one run to the next" in found["refused"]
    assert cells[0.0, 0.0]["total_return"] is None
    assert cells[0.0, 0.0]["error"] == found["refused"]
    assert own["total_return"] is not None
    assert found["break_even"] == {"level": None, "upper": None, "why": None}


def test_chance_from_shared_generators_is_the_same_at_every_cost():
    def dice(bars, params):
        draws = [random.random() for _ in range(len(bars.close))]
        more = np.random.random(len(bars.close))  # noqa: NPY002
        return ((np.array(draws) + more)[:, np.newaxis] > 1.0) * 1.0

    found, cells, own = grid(Strategy("dice", "signal", Params, target_weights=dice), down=(10, 20))
    assert found["refused"] is None
    assert cells[10.0, 0.0]["final_equity"] == own["final_equity"]
    assert cells[20.0, 0.0]["fills"] == own["fills"]


def test_a_strategy_that_fails_at_a_cost_has_its_error_in_that_cell():
    class Proud(Fixed):
        """Refuses to go on when it is down by much."""

        def handle_data(self, context, data):
            super().handle_data(context, data)
            if context.portfolio.cash + context.portfolio.positions_value < 98_500.0:
                raise RuntimeError("I give up")

    bars = moving(*[0.5] * 30, *[-0.25] * 29)
    found, cells, _ = grid(
        Strategy("proud", "class", Params, algorithm=Proud), bars, cost="0", down=(0, 2000)
    )
    assert cells[0.0, 0.0]["error"] is None
    assert cells[2000.0, 0.0]["error"] == "RuntimeError: I give up"
    assert cells[2000.0, 0.0]["final_equity"] is None
    assert found["break_even"]["level"] > 0


def test_costs_of_a_level_are_exact_decimals():
    _, cells, _ = grid(FIXED, cost="0", down=(0.1,), ledger="decimal",
                       execution={"shares": "whole"})  # fmt: skip
    opens = [Decimal(str(float(BARS.open[row, 0]))) for row in (6, 21, 36)]
    traded = sum(abs(a) * price for a, price in zip((100, -60, -40), opens, strict=True))
    assert cells[0.1, 0.0]["total_commission"] == pytest.approx(float(traded) * 1e-5, abs=1e-7)
