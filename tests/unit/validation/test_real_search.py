"""72 crossings of averages on the S&P 500, and the one of them that a search would have chosen.

Numbers of `tests/golden/validation_real.json`: computed apart from this library with plain NumPy,
and equal in skfolio and ffn where those have the same formula.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from backtrail.metrics import SharpeEstimate

GOLDEN = json.loads(
    (Path(__file__).resolve().parents[2] / "golden/validation_real.json").read_text()
)


@pytest.fixture(scope="module")
def chosen():
    """Return the last 4,770 returns of 30 above 220, without costs."""
    from arch.data import sp500

    prices = sp500.load()["Adj Close"].to_numpy(float)
    sums = np.concatenate([[0.0], np.cumsum(prices)])
    fast, slow = ((sums[n:] - sums[:-n]) / n for n in (30, 220))
    is_long = fast[-4771:-1] > slow[-4771:-1]
    return is_long * (prices[-4770:] / prices[-4771:-1] - 1.0)


def test_the_chosen_one_looks_superb_alone(chosen):
    found = SharpeEstimate.of(chosen).probability_above()
    assert found == pytest.approx(GOLDEN["psr0_own_pop"], rel=1e-12)
    assert found == pytest.approx(GOLDEN["psr0_skfolio"], rel=1e-12)


def test_beside_the_luck_of_72_trials_it_does_not(chosen):
    found = SharpeEstimate.of(chosen).probability_above(GOLDEN["sr0_skfolio"])
    assert found == pytest.approx(GOLDEN["dsr_skfolio"], rel=1e-12)
    assert found < 0.95
