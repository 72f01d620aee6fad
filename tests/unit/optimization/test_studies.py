from dataclasses import dataclass, replace

import numpy as np
import pytest

from backtrail.engine.strategy import Strategy
from backtrail.optimization.parameters import ParameterSet
from backtrail.optimization.studies import search_study, seeded_study
from backtrail.optimization.sweep import Sweep
from tests.unit.engine.support import config
from tests.unit.optimization.test_sweep import random_bars

optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
optuna.logging.set_verbosity(optuna.logging.WARNING)

SPACE = ParameterSet.from_grid(
    {"fast": {"min": 2, "max": 12, "step": 1}, "slow": [30, 5, 10, 20], "side": ["long", "short"]},
    where="fast < slow",
    fixed={"scale": 0.5},
)


@dataclass(frozen=True)
class Params:
    fast: int = 3
    slow: int = 8
    side: str = "long"
    scale: float = 1.0


def weights(bars, params):
    if params.fast == 7:
        raise RuntimeError("no sevens")
    sign = 1.0 if params.side == "long" else -1.0
    return (bars.sma(params.fast) > bars.sma(params.slow)) * params.scale * sign


def make_sweep(rows=300):
    strategy = Strategy("averages", "signal", Params, target_weights=weights)
    return Sweep(
        strategy, random_bars(4, rows=rows), config(capital="100000"), periods_per_year=252
    )


def searched(seed=1, **keys):
    study = seeded_study(seed, startup=10)
    return study, search_study(study, make_sweep(), SPACE, **{"sets": 30, "block": 7, **keys})


def test_every_set_is_evaluated_once_and_is_what_the_sweep_says_of_it():
    study, found = searched(keep_returns=True)
    assert len(set(found.numbers.tolist())) == len(found.numbers) == 30
    assert list(found.sets) == [SPACE.combination(number) for number in found.numbers.tolist()]
    assert all(item["fast"] < item["slow"] and item["scale"] == 0.5 for item in found.sets)
    direct = make_sweep().evaluate(found.sets, keep_returns=True)
    assert direct.errors == found.errors
    for name, column in direct.metrics.items():
        np.testing.assert_array_equal(found.metrics[name], column)
    np.testing.assert_array_equal(found.returns, direct.returns)
    failed = np.array([error is not None for error in found.errors])
    assert failed.tolist() == [item["fast"] == 7 for item in found.sets]
    assert 0 < failed.sum() < 10
    np.testing.assert_array_equal(np.isnan(found.values), failed)
    assert found.values[found.best] == np.nanmax(found.metrics["sharpe_ratio"])
    assert study.best_value == found.values[found.best]


def test_a_seed_and_a_block_decide_what_is_found_and_nothing_else_does():
    (_, one), (_, same), (_, other) = searched(), searched(), searched(seed=2)
    assert one.numbers.tolist() == same.numbers.tolist() != other.numbers.tolist()
    np.testing.assert_array_equal(one.values, same.values)


def test_the_study_learns():
    """On a space of which one corner is good it finds the best of 1,600 sets with 150."""
    space = ParameterSet.from_grid(
        {"a": {"min": 0, "max": 39, "step": 1}, "b": {"min": 0, "max": 39, "step": 1}}
    )

    @dataclass(frozen=True)
    class Place:
        a: int = 0
        b: int = 0

    def hill(bars, params):
        near = 1.0 - ((params.a - 31) ** 2 + (params.b - 8) ** 2) / 2000
        return np.where(np.arange(len(bars.close))[:, None] > 0, near, 0.0)

    bars = random_bars(1, rows=30)
    rising = np.linspace(50.0, 80.0, 30)[:, np.newaxis]
    bars = replace(bars, open=rising, high=rising, low=rising, close=rising)
    rules = config(capital="100000", shares="fractional")
    strategy = Strategy("hill", "signal", Place, target_weights=hill)
    sweep = Sweep(strategy, bars, rules, periods_per_year=252)
    found = search_study(
        seeded_study(3, startup=30), sweep, space, sets=150, block=15, objective="total_return"
    )
    every = sweep.evaluate(space.generate_combinations()).metrics["total_return"]
    rank = 1 + np.count_nonzero(every > found.values[found.best])
    assert rank <= 10
    assert np.median(found.values[100:]) > np.quantile(every, 0.8)


def test_a_set_that_misses_a_constraint_is_evaluated_and_never_the_best():
    _, free = searched(sets=60)
    wanted = f"total_trades <= {int(np.nanmedian(free.metrics['total_trades']))}"
    _, found = searched(sets=60, constraints=[wanted])
    trades = found.metrics["total_trades"]
    limit = float(wanted.split()[-1])
    known = np.array([error is None for error in found.errors])
    assert (trades[known] > limit).any()
    np.testing.assert_array_equal(np.isnan(found.values), ~(known & (trades <= limit)))
    assert found.best is not None
    assert trades[found.best] <= limit


def test_a_space_without_more_sets_ends_the_search():
    space = ParameterSet.from_grid({"fast": [2, 3, 9], "slow": [5, 20]}, where="fast < slow")
    found = search_study(seeded_study(1, startup=3), make_sweep(), space, sets=50, block=4)
    assert sorted(found.numbers.tolist()) == [0, 1, 2, 3, 5]


def test_no_set_that_gets_through_is_no_best_one():
    _, found = searched(constraints=["total_trades > 1000000"])
    assert found.best is None
    assert len(found.numbers) == 30


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"objective": "sharp"}, "there is no metric 'sharp' of parameter sets; metrics: total_re"),
        ({"constraints": ["beta > 0"]}, "there is no metric 'beta' of parameter sets"),
        ({"sets": 0}, "sets is 0 and block 7; ask for one set at least"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        searched(**keys)


def test_a_study_that_minimizes_is_refused():
    with pytest.raises(ValueError, match="the study has to maximize one value"):
        search_study(optuna.create_study(), make_sweep(), SPACE, sets=5)
