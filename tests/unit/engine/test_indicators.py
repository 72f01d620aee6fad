from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.engine.indicators import Averages, common_tick

cents = st.integers(1, 10**7).map(lambda number: number / 100)
any_price = st.floats(0.01, 1e6)


def averages_of(values):
    series = np.array(values)
    return Averages(series, common_tick(series))


def exact_means(values, length):
    """Means of the decimal texts of the values, as fractions."""
    fractions = [Fraction(str(value)) for value in values]
    return [
        sum(fractions[end - length : end]) / length for end in range(length, len(fractions) + 1)
    ]


@given(st.lists(cents, min_size=1, max_size=60), st.integers(1, 12))
def test_a_mean_of_prices_in_cents_is_the_rounded_exact_mean(values, length):
    found = averages_of(values).mean(length)
    assert np.isnan(found[: length - 1]).all()
    assert found[length - 1 :].tolist() == [float(mean) for mean in exact_means(values, length)]


@given(st.lists(cents, min_size=6, max_size=40), st.integers(1, 5), st.integers(2, 6))
def test_two_means_compare_as_the_exact_fractions_do(values, fast, slow):
    averages = averages_of(values)
    exact_fast = exact_means(values, fast)[max(0, slow - fast) :]
    exact_slow = exact_means(values, slow)[max(0, fast - slow) :]
    first = max(fast, slow) - 1
    decided = (averages.mean(fast)[first:] > averages.mean(slow)[first:]).tolist()
    assert decided == [a > b for a, b in zip(exact_fast, exact_slow, strict=True)]


@given(
    st.lists(st.one_of(cents, any_price), min_size=2, max_size=40),
    st.lists(st.one_of(cents, any_price), min_size=1, max_size=40),
    st.integers(1, 8),
)
def test_not_a_bit_of_a_mean_depends_on_later_values(past, future, length):
    alone = averages_of(past).mean(length)
    among = averages_of(past + future).mean(length)[: len(past)]
    np.testing.assert_array_equal(alone, among)


def test_windows_with_a_value_off_the_ticks_are_summed_in_floats_and_others_exactly():
    third = 1 / 3
    found = averages_of([0.1, 0.2, 0.3, third, 0.1, 0.2, 0.3]).mean(3)
    assert found[2] == 0.2  # 0.1 + 0.2 + 0.3 is 0.6000000000000001 in binary
    assert found[3:6] == pytest.approx([(0.5 + third) / 3, (0.4 + third) / 3, (0.3 + third) / 3])
    assert found[6] == 0.2


def test_large_volumes_beside_many_decimals_lose_nothing():
    found = averages_of([2e11, 3e11, 0.123456789, 4e11]).mean(2)
    assert found[1:].tolist() == [2.5e11, (3e11 + 0.123456789) / 2, (0.123456789 + 4e11) / 2]


def test_a_mean_is_computed_once_and_cannot_be_written():
    averages = averages_of([1.0, 2.0, 3.0])
    assert averages.mean(2) is averages.mean(2)
    with pytest.raises(ValueError, match="read-only"):
        averages.mean(2)[0] = 1.0
