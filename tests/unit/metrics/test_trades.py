import pytest

from backtrail import metrics as m

PNL = [100.0, -50.0, 30.0, -10.0, 0.0]


def test_trade_metrics_of_five_trades_are_the_hand_computed_ones():
    assert m.total_trades(PNL) == 5
    assert m.win_rate(PNL) == pytest.approx(0.4)
    assert m.profit_factor(PNL) == pytest.approx(130 / 60)
    assert m.expectancy(PNL) == pytest.approx(14.0)
    assert m.average_win(PNL) == pytest.approx(65.0)
    assert m.average_loss(PNL) == pytest.approx(-30.0)
    assert m.average_bars_held([1, 2, 6]) == pytest.approx(3.0)


def test_trade_metrics_without_a_trade_are_undefined():
    assert m.total_trades([]) == 0
    for function in (m.win_rate, m.profit_factor, m.expectancy, m.average_win, m.average_bars_held):
        assert function([]) is None
    assert m.profit_factor([5.0]) is None


def test_exposure_is_the_share_of_bars_with_a_holding():
    assert m.exposure([0.0, 0.5, 1.0, 0.0]) == 0.5
    assert m.exposure([]) is None


def test_turnover_counts_buys_and_sells_per_year():
    # 100 traded in 2 bars of a 4-bar year on a mean equity of 50: 100 / 50 * 4 / 2.
    assert m.turnover([60.0, -40.0], [50.0, 50.0, 50.0], 4) == pytest.approx(4.0)
    assert m.turnover([60.0], [50.0], 4) is None
    assert m.turnover([60.0], [-50.0, -50.0], 4) is None
