import math

import numpy as np
import pytest

from backtrail.errors import EmptySeriesError
from backtrail.metrics import drawdown_series
from backtrail.validation import (
    block_length,
    bootstrap_intervals,
    draw_positions,
    resample_paths,
)


def generator(seed=1):
    return np.random.default_rng(seed)


def returns_of(seed=1, bars=500):
    noise = np.random.default_rng(seed).normal(0.0004, 0.01, bars)
    return noise + 0.3 * np.concatenate([[0.0], noise[:-1]])


def drawn(bars, block, samples, seed=1):
    return np.concatenate(list(draw_positions(bars, block, samples, generator(seed))))


def test_blocks_run_on_around_the_end_and_have_the_length_asked_for():
    positions = drawn(100, 8.0, 400)
    assert positions.shape == (400, 100)
    goes_on = (positions[:, 1:] - positions[:, :-1]) % 100 == 1
    # A new block begins with probability 1/8; one in a hundred of those goes on by chance.
    assert goes_on.mean() == pytest.approx(7 / 8 + 1 / 800, abs=0.01)
    assert ((positions[:, :-1] == 99) & (positions[:, 1:] == 0)).any()
    counts = np.bincount(positions.ravel(), minlength=100) / positions.size
    assert counts == pytest.approx(np.full(100, 0.01), abs=0.002)


def test_blocks_of_one_bar_are_independent_draws():
    positions = drawn(50, 1.0, 2000)
    goes_on = (positions[:, 1:] - positions[:, :-1]) % 50 == 1
    assert goes_on.mean() == pytest.approx(1 / 50, abs=0.002)


def test_how_many_are_drawn_at_a_time_changes_nothing(monkeypatch):
    before = drawn(60, 5.0, 33)
    monkeypatch.setattr("backtrail.validation.resampling._AT_ONCE", 60 * 4)
    assert (drawn(60, 5.0, 33) == before).all()
    assert (drawn(60, 5.0, 33, seed=2) != before).any()


def test_intervals_agree_with_those_of_arch():
    series = returns_of()

    def sharpe(x):
        return np.array([x.mean() / x.std(ddof=1) * math.sqrt(252)])

    from arch.bootstrap import StationaryBootstrap

    oracle = StationaryBootstrap(6.0, series, seed=generator(7))
    low, high = oracle.conf_int(sharpe, reps=4000, method="percentile", size=0.9)[:, 0]
    found, *_ = bootstrap_intervals(
        series, periods_per_year=252, block=6.0, samples=4000, generator=generator(), level=0.9
    )
    width = high - low
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.06 * width)
    assert found.observed == pytest.approx(sharpe(series)[0])
    assert (found.statistic, found.level, found.samples.shape) == ("sharpe_ratio", 0.9, (4000,))


def test_growth_is_that_of_the_drawn_returns():
    series = np.array([0.5, -0.5, 0.1])
    _, total, cagr = bootstrap_intervals(
        series, periods_per_year=3, block=1.0, samples=5000, generator=generator()
    )
    assert (total.statistic, cagr.statistic) == ("total_return", "cagr")
    assert total.observed == pytest.approx(1.5 * 0.5 * 1.1 - 1)
    possible = {round(a * b * c - 1, 9) for a in (1.5, 0.5, 1.1) for b in (1.5, 0.5, 1.1)
                for c in (1.5, 0.5, 1.1)}  # fmt: skip
    assert {round(float(value), 9) for value in total.samples} == possible
    assert cagr.samples == pytest.approx(total.samples)  # three bars are a year


def test_an_account_that_lost_everything_stays_at_nothing():
    _, total, _ = bootstrap_intervals(
        [0.1, -1.0, 0.2, 0.1], periods_per_year=4, block=1.0, samples=500, generator=generator()
    )
    lost = np.mean(total.samples == -1.0)
    assert lost == pytest.approx(1 - 0.75**4, abs=0.07)
    assert total.low == -1.0


def test_without_variance_there_is_no_interval_of_a_ratio():
    sharpe, total, _ = bootstrap_intervals(
        [0.01] * 20, periods_per_year=252, block=2.0, samples=50, generator=generator()
    )
    assert (sharpe.observed, len(sharpe.samples), math.isnan(sharpe.low)) == (None, 0, True)
    assert [total.low, total.high] == pytest.approx([1.01**20 - 1] * 2, rel=1e-12)


def test_intervals_hold_the_truth_as_often_as_they_say():
    source, held = np.random.default_rng(12), 0
    for number in range(200):
        series = source.normal(0.0005, 0.01, 250)
        sharpe, *_ = bootstrap_intervals(
            series, periods_per_year=252, block=1.0, samples=400,
            generator=generator(number), level=0.9,
        )  # fmt: skip
        held += sharpe.low <= 0.05 * math.sqrt(252) <= sharpe.high
    assert held / 200 == pytest.approx(0.9, abs=3 * math.sqrt(0.09 / 200) + 0.02)


@pytest.mark.parametrize("bars", [12, 40, 157, 500, 5000])
@pytest.mark.parametrize("memory", [0.0, 0.3, -0.5, 0.95])
def test_the_block_length_is_that_of_arch_and_at_least_one(bars, memory):
    noise = np.random.default_rng(bars).normal(0.0004, 0.01, bars)
    series = noise.copy()
    for bar in range(1, bars):
        series[bar] += memory * series[bar - 1]
    from arch.bootstrap import optimal_block_length

    wanted = optimal_block_length(series)["stationary"].iloc[0]
    assert block_length(series) == pytest.approx(max(1.0, wanted), rel=1e-9)


def test_a_series_without_variance_or_length_has_blocks_of_one_bar():
    assert block_length([0.01] * 50) == 1.0
    assert block_length([0.01, 0.02]) == 1.0


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"returns": []}, EmptySeriesError, "no value"),
        ({"returns": [0.1, np.inf]}, ValueError, "inf"),
        ({"block": 0.5}, ValueError, "blocks of 0.5"),
        ({"samples": 0}, ValueError, "0 samples"),
        ({"level": 1.0}, ValueError, "level is 1.0"),
    ],
)
def test_bad_input_is_refused(changes, error, words):
    given = {"returns": [0.1, 0.2], "block": 2.0, "samples": 5, "level": 0.9, **changes}
    with pytest.raises(error, match=words):
        bootstrap_intervals(
            given.pop("returns"), periods_per_year=252, generator=generator(), **given
        )


def paths_of(returns, *, samples=5000, rows=(0,)):
    return resample_paths(
        returns, block=1.0, samples=samples, generator=generator(), rows=np.array(rows)
    )


def test_paths_fall_from_their_running_peak_and_the_start_is_one():
    # Two bars of +100 % or -50 %: 1 -> 2 -> 4, 1 -> 2 -> 1, 1 -> 0.5 -> 1, 1 -> 0.5 -> 0.25.
    drawn = paths_of([1.0, -0.5], rows=(0, 1))
    found = np.column_stack(
        [drawn.growth, drawn.max_drawdowns, drawn.longest_drawdowns, drawn.lowest]
    )
    kinds, counts = np.unique(found, axis=0, return_counts=True)
    assert kinds.tolist() == [
        [0.5, 0.25, -0.75, 2.0, 0.25],
        [0.5, 1.0, -0.5, 1.0, 0.5],
        [2.0, 1.0, -0.5, 1.0, 1.0],
        [2.0, 4.0, 0.0, 0.0, 2.0],
    ]
    assert counts / 5000 == pytest.approx([0.25] * 4, abs=0.03)


def test_a_path_that_lost_everything_stays_at_nothing():
    drawn = paths_of([0.1, -1.2, 0.2, 0.1], rows=(3,))
    lost = drawn.growth[:, 0] == 0.0
    assert lost.mean() == pytest.approx(1 - 0.75**4, abs=0.03)
    assert set(drawn.max_drawdowns[lost]) == {-1.0}
    assert (drawn.lowest >= 0.0).all()


def test_paths_have_the_drawdowns_of_the_metrics():
    series = np.random.default_rng(3).normal(0.001, 0.02, 250)
    drawn = paths_of(series, samples=20, rows=(249,))
    again = np.concatenate(list(draw_positions(250, 1.0, 20, generator())))
    for number, positions in enumerate(again):
        falls = drawdown_series(series[positions])
        assert drawn.max_drawdowns[number] == pytest.approx(falls.min(), rel=1e-12)
        spans = "".join("u" if fall < 0.0 else "." for fall in falls).split(".")
        longest = max(map(len, spans))
        assert drawn.longest_drawdowns[number] == longest
