import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtrail.metrics._series import quantile


@given(
    st.lists(st.floats(-10, 10).map(lambda x: x + 0.0), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.01, 0.05, 0.5, 0.95, 0.99, 1.0]) | st.floats(0, 1),
)
def test_quantile_is_that_of_numpy_to_the_last_digit(values, level):
    array = np.array(values)
    assert quantile(array, level) == np.quantile(array, level)
    assert array.tolist() == values


def test_quantile_interpolates():
    assert quantile(np.array([4.0, 1.0, 2.0]), 0.25) == 1.5
    assert quantile(np.array([4.0, 1.0, 2.0]), 1.0) == 4.0
    assert quantile(np.array([7.0]), 0.3) == 7.0
