import pytest

from backtrail import metrics as m


def test_loss_on_the_first_bar_is_a_drawdown():
    assert m.max_drawdown([-0.2, 0.1]) == pytest.approx(-0.2)


def test_drawdown_series_is_the_fall_from_the_peak():
    assert m.drawdown_series([0.5, -0.5, 1.0]) == pytest.approx([0.0, -0.5, 0.0])


def test_deepest_drawdown_names_peak_valley_and_recovery():
    found = m.deepest_drawdown([0.1, -0.1, -0.1, 0.5, -0.05])
    assert (found.peak, found.valley, found.recovery) == (1, 3, 4)
    assert found.depth == pytest.approx(-0.19)


def test_drawdown_that_lasts_has_no_recovery():
    assert m.deepest_drawdown([0.1, -0.1]).recovery is None


def test_rising_wealth_has_no_drawdown_and_no_calmar_ratio():
    assert m.deepest_drawdown([0.1, 0.0, 0.1]) is None
    assert m.max_drawdown([0.1, 0.0, 0.1]) == 0.0
    assert m.calmar_ratio([0.1, 0.1], 252) is None


def test_ulcer_index_is_the_root_mean_square():
    assert m.ulcer_index([-0.5, 0.0]) == pytest.approx(0.5)
    assert m.ulcer_index_sample([-0.5, 0.0]) == pytest.approx(0.5 * 2**0.5)
    assert m.ulcer_index_sample([-0.5]) is None
