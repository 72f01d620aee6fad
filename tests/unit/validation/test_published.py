"""Published examples of every statistic; `tests/golden/validation_published.json` names sources."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from backtrail.metrics import SharpeEstimate, omega_ratio, sharpe_ratio, sortino_ratio
from backtrail.validation import (
    backtest_overfitting,
    deflated_sharpe_ratio,
    expected_maximum,
    expected_maximum_sharpe,
    least_years,
    most_trials,
)

GOLDEN = Path(__file__).resolve().parents[2] / "golden/validation_published.json"
CASES = json.loads(GOLDEN.read_text())


def number(value):
    """Return a number that the file writes as it was published: `2/sqrt(250)`."""
    if not isinstance(value, str):
        return value
    over, _, root = value.partition("/")
    if root.startswith("sqrt("):
        return float(over) / math.sqrt(float(root[5:-1]))
    return float(over) / float(root)


def estimate(inputs, observations=1000):
    return SharpeEstimate(
        number(inputs["sr"]), inputs.get("T", observations), inputs["g3"], inputs["g4"]
    )


def least(inputs, **options):
    found = estimate(inputs).least_observations(
        number(inputs["sr0"]), confidence=1.0 - inputs["alpha"], **options
    )
    assert found is not None
    return found


def trials():
    matrix = np.random.RandomState(0).normal(0, 0.01, (960, 40))
    matrix[:, 3] += 0.0008
    return matrix


NULL = {"convention": "null_variance"}
STATISTICS = {
    "psr": lambda i: estimate(i).probability_above(number(i["sr0"])),
    "sr_sd": lambda i: estimate(i).deviation(),
    "emax": lambda i: expected_maximum(i["N"]),
    "minbtl": lambda i: least_years(i["N"], i["target"]),
    "minbtl inverse": lambda i: most_trials(i["years"], i["target"]),
    "sr0": lambda i: expected_maximum_sharpe(i["N"], number(i["var"])),
    "dsr": lambda i: deflated_sharpe_ratio(estimate(i), trials=i["N"], variance=number(i["var"])),
    "sr_sd_2026 (T, not T-1)": lambda i: estimate(i).deviation(**NULL),
    "psr_2026": lambda i: estimate(i).probability_above(i["sr0"], **NULL),
    "mintrl_2026": lambda i: least(i, **NULL),
    "sortino per period": lambda i: sortino_ratio(i["returns"], 1.0, i["mar"]),
    "sharpe per period ddof=1": lambda i: sharpe_ratio(i["returns"], 1.0, i["rf"]),
    "omega": lambda i: omega_ratio(i["returns"], i["mar"]),
    "pbo (CSCV, Sharpe ddof=1, rank/(N+1), logit<=0)": lambda i: (
        backtest_overfitting(trials(), blocks=i["S"]).probability
    ),
}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_published_value_is_reproduced(case):
    kind, _, periods = case["stat"].partition("/")
    inputs = case["inputs"]
    found = least(inputs) / float(periods) if kind == "mintrl" else STATISTICS[case["stat"]](inputs)
    assert found == pytest.approx(case["published"], abs=case["tol"])
    assert found == pytest.approx(case["computed"], rel=1e-9)


def test_every_published_case_is_there():
    assert len(CASES) == 32
    assert len({case["stat"] for case in CASES}) == 17
