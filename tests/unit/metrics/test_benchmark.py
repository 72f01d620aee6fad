import pytest

from backtrail import metrics as m

INDEX = [0.01, -0.02, 0.03, 0.0]


def test_doubled_benchmark_has_beta_two_and_no_alpha():
    doubled = [2 * value for value in INDEX]
    assert m.beta(doubled, INDEX) == pytest.approx(2.0)
    assert m.alpha_arithmetic(doubled, INDEX, 252) == pytest.approx(0.0, abs=1e-12)
    assert m.r_squared(doubled, INDEX) == pytest.approx(1.0)


def test_constant_advantage_is_alpha_but_no_information_ratio():
    ahead = [value + 0.001 for value in INDEX]
    assert m.alpha_arithmetic(ahead, INDEX, 100) == pytest.approx(0.1)
    assert m.alpha(ahead, INDEX, 2) == pytest.approx(1.001**2 - 1)
    assert m.information_ratio(INDEX, INDEX, 252) is None
    assert m.period_information_ratio(INDEX, INDEX) is None
    assert m.tracking_error(INDEX, INDEX, 252) == 0.0


def test_flat_benchmark_leaves_beta_undefined():
    assert m.beta(INDEX, [0.0] * 4) is None
    assert m.alpha_arithmetic(INDEX, [0.0] * 4, 252) is None
    assert m.r_squared(INDEX, [0.0] * 4) is None


def test_series_of_different_length_are_refused():
    with pytest.raises(ValueError, match="4 returns and 3 of the benchmark"):
        m.beta(INDEX, INDEX[:3])


def test_alpha_of_a_year_that_is_no_float_is_undefined():
    generous = [value + 0.01 for value in INDEX]
    assert m.alpha(generous, INDEX, 252) == pytest.approx(1.01**252 - 1)
    assert m.alpha(generous, INDEX, 252 * 390) is None
    assert m.alpha([value - 2.0 for value in INDEX], INDEX, 252) is None
