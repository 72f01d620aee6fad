import numpy as np
import pytest

from backtrail.errors import EmptySeriesError, OrderInvariantError
from backtrail.metrics import max_drawdown
from backtrail.validation import PATH_STATISTICS, reorder_trades, ruin_share

KNOWN = {  # of +10, -20, +30, -5, -5 on a capital of 100, by hand: 100 110 90 120 115 110
    "max_drawdown": -20 / 110,
    "longest_drawdown": 2.0,
    "lowest_equity": 90.0,
}


def reorder(pnl, statistic, *, seed=1, samples=999, capital=100.0):
    return reorder_trades(
        pnl, statistic, capital=capital, samples=samples, generator=np.random.default_rng(seed)
    )


@pytest.mark.parametrize(("statistic", "value"), KNOWN.items())
def test_the_observed_value_is_that_of_the_trades_as_they_came(statistic, value):
    found = reorder([10.0, -20.0, 30.0, -5.0, -5.0], statistic)
    assert found.observed == pytest.approx(value, rel=1e-15)
    assert (found.statistic, found.samples.shape) == (statistic, (999,))


def test_every_order_of_three_trades_comes_as_often_as_it_should():
    # Lowest equity of +10, +20, -30 on 100: 100 when -30 comes last (2 of 6 orders), 90 or 80 when
    # it comes between (1 each), 70 when it comes first (2).
    found = reorder([10.0, 20.0, -30.0], "lowest_equity", samples=60_000)
    values, counts = np.unique(found.samples, return_counts=True)
    assert values.tolist() == [70.0, 80.0, 90.0, 100.0]
    assert counts / 60_000 == pytest.approx([1 / 3, 1 / 6, 1 / 6, 1 / 3], abs=0.01)
    assert (found.observed, found.p_better) == (100.0, pytest.approx(1 / 3, abs=0.01))
    assert found.p_worse == 1.0


def test_the_drawdown_is_that_of_the_metrics():
    pnl = np.random.default_rng(7).normal(1.0, 10.0, 80)
    equity = 1000.0 + np.concatenate([[0.0], np.cumsum(pnl)])
    expected = max_drawdown(equity[1:] / equity[:-1] - 1.0)
    assert reorder(pnl, "max_drawdown", capital=1000.0).observed == pytest.approx(
        expected, rel=1e-12
    )


def test_losses_in_a_row_are_unusually_unkind_and_spread_ones_are_not():
    clustered = [-5.0] * 20 + [6.0] * 40
    spread = [-5.0, 6.0, 6.0] * 20
    assert reorder(clustered, "max_drawdown", capital=1000.0).p_worse == 0.001
    assert reorder(spread, "max_drawdown", capital=1000.0).p_better == 0.001
    assert reorder(clustered, "longest_drawdown", capital=1000.0).p_worse < 0.005


@pytest.mark.parametrize("statistic", PATH_STATISTICS)
def test_on_trades_in_random_order_p_values_are_uniform(statistic):
    generator = np.random.default_rng(11)
    tried = [
        reorder(generator.standard_t(4, 60), statistic, seed=number, samples=99).p_worse
        for number in range(400)
    ]
    for level in (0.05, 0.1, 0.25, 0.5):
        # Three standard errors of a share of 400; ties make a p-value larger, never smaller.
        error = 3.0 * np.sqrt(level * (1.0 - level) / 400)
        assert np.mean(np.array(tried) <= level) <= level + error
        if statistic != "longest_drawdown":
            assert np.mean(np.array(tried) <= level) >= level - error


@pytest.mark.parametrize(
    "statistic", ["total_return", "sharpe_ratio", "win_rate", "profit_factor", "expectancy"]
)
def test_17_a_statistic_that_no_order_can_change_gets_no_p_value(statistic):
    with pytest.raises(OrderInvariantError) as caught:
        reorder([10.0, -20.0, 30.0], statistic)
    assert str(caught.value) == (
        f"{statistic} is the same for every order of the trades, so reordering them says nothing "
        "about it, and a p-value would be rounding noise. Reordering is for max_drawdown, "
        f"longest_drawdown, lowest_equity; for {statistic} draw returns with replacement instead "
        "(a block bootstrap)"
    )


@pytest.mark.parametrize(
    ("pnl", "statistic"),
    [
        ([0.1, 0.2, 0.3], "max_drawdown"),
        ([0.1, 0.7, 0.2], "lowest_equity"),
        ([-0.1] * 9, "max_drawdown"),
    ],
)
def test_17_trades_whose_order_does_not_matter_get_no_p_value(pnl, statistic):
    with pytest.raises(OrderInvariantError, match=r"in every one of 999 orders of these trades"):
        reorder(pnl, statistic)


def test_17_rounding_decides_no_p_value():
    # Every order falls from 100.3 to 100: the sums differ in their last digits only.
    pnl = [0.1, 0.2, -0.3]
    found = reorder(pnl, "lowest_equity", samples=4_999)
    again = reorder([0.2, 0.1, -0.3], "lowest_equity", samples=4_999)
    assert found.p_better == pytest.approx(again.p_better, abs=0.02)
    assert found.p_better == pytest.approx(1 / 3, abs=0.03)


def test_the_seed_decides_the_orders_and_the_size_of_a_block_does_not(monkeypatch):
    pnl = np.random.default_rng(3).normal(0.0, 1.0, 50)
    one = reorder(pnl, "max_drawdown", seed=5)
    monkeypatch.setattr("backtrail.validation.reordering._BLOCK_VALUES", 500)
    assert reorder(pnl, "max_drawdown", seed=5).samples.tolist() == one.samples.tolist()
    assert reorder(pnl, "max_drawdown", seed=6).samples.tolist() != one.samples.tolist()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"pnl": [1.0]}, EmptySeriesError, "needs two trades or more, and there are 1"),
        ({"pnl": []}, EmptySeriesError, "there are 0"),
        ({"pnl": [1.0, np.nan]}, ValueError, "the profit of trade 1 is nan"),
        ({"capital": 0.0}, ValueError, "capital is 0.0; it must be positive"),
        ({"samples": 0}, ValueError, "samples is 0"),
        (
            {"statistic": "drawdwn"},
            ValueError,
            "no path statistic 'drawdwn'; use one of max_drawdown",
        ),
    ],
)
def test_bad_input_is_refused(changes, error, words):
    given = {"pnl": [1.0, -1.0], "statistic": "max_drawdown", **changes}
    with pytest.raises(error, match=words):
        reorder(given.pop("pnl"), given.pop("statistic"), **given)


def share(pnl, floor, *, samples=999, capital=100.0):
    source = np.random.default_rng(1)
    return ruin_share(pnl, capital=capital, floor=floor, samples=samples, generator=source)


def test_the_share_of_ruin_is_that_of_the_lowest_equity_of_the_same_orders():
    pnl = [10.0, 20.0, -30.0]
    lowest = reorder(pnl, "lowest_equity").samples
    assert share(pnl, 70.0) == np.mean(lowest <= 70.0)
    assert share(pnl, 70.0, samples=60_000) == pytest.approx(1 / 3, abs=0.01)


def test_there_is_a_share_of_ruin_where_no_order_differs():
    assert share([5.0, 5.0, 1.0], 50.0) == 0.0
    assert share([-30.0, -30.0], 50.0) == 1.0
    with pytest.raises(EmptySeriesError, match="two trades or more, and there are 1"):
        share([5.0], 50.0)
