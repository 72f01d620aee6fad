import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtrail.validation import (
    ResampledHistories,
    SearchPart,
    SearchStatistics,
    backtest_overfitting,
    effective_trials,
    reality_check,
    superior_ability,
)

BARS, SETS = 211, 37
SOURCE = np.random.default_rng(5)
BENCHMARK = SOURCE.normal(0.0002, 0.01, BARS)
RETURNS = SOURCE.normal(0.0, 0.01, (SETS, BARS)) * np.geomspace(1e-6, 3.0, SETS)[:, np.newaxis]
RETURNS += 0.5 * BENCHMARK
RETURNS[11] = 0.0  # a set that never trades
RETURNS[12] = BENCHMARK  # one that is the benchmark
RETURNS[30] = RETURNS[29]  # two that are the same
SETTINGS = {"blocks": 8, "block": 6.0, "samples": 150, "seed": 77}


def measured_in(groups):
    """Measure the sets in groups of their numbers, and merge what comes out."""
    search = SearchStatistics(BENCHMARK, **SETTINGS)
    return SearchPart.merge([search.measure(RETURNS[group], group) for group in groups])


def everything(part):
    """Return all bytes of a part and of what is read from it."""
    overfitting = part.overfitting()
    return (
        {name: values.tobytes() for name, values in part.arrays().items()},
        overfitting.logits.tobytes(),
        overfitting.selected.tobytes(),
        overfitting.in_sample.tobytes(),
        overfitting.out_of_sample.tobytes(),
        (overfitting.degradation, overfitting.intercept, overfitting.probability_of_loss),
        part.superior_ability(),
        part.reality_check(),
        part.effective_trials(),
    )


WHOLE = everything(measured_in([np.arange(SETS)]))


@settings(max_examples=60, deadline=None)
@given(
    marks=st.lists(st.integers(0, 4), min_size=SETS, max_size=SETS),
    order=st.permutations(range(5)),
)
def test_every_byte_is_the_same_however_the_sets_are_divided(marks, order):
    assert everything(measured_in([np.flatnonzero(np.equal(marks, mark)) for mark in order])) == (
        WHOLE
    )


def test_sets_one_by_one_are_the_same_too():
    assert everything(measured_in([[number] for number in reversed(range(SETS))])) == WHOLE


def test_they_are_the_statistics_of_the_whole_matrix():
    part = measured_in([np.arange(20, SETS), np.arange(20)])
    found, wanted = part.overfitting(), backtest_overfitting(RETURNS.T, blocks=8)
    assert found.logits.tolist() == wanted.logits.tolist()
    assert found.selected.tolist() == wanted.selected.tolist()
    assert found.in_sample == pytest.approx(wanted.in_sample, rel=1e-12)
    assert found.out_of_sample == pytest.approx(wanted.out_of_sample, rel=1e-12)
    differences = (RETURNS - BENCHMARK).T
    tests = {superior_ability: part.superior_ability(), reality_check: part.reality_check()}
    for test, own in tests.items():
        other = test(differences, block=6.0, samples=150, generator=np.random.default_rng(77))
        assert own == other
    assert part.effective_trials() == pytest.approx(effective_trials(RETURNS.T), rel=1e-12)


def test_the_resampled_statistics_are_means_of_the_drawn_bars():
    """By the words of Hansen's paper, history by history, without sums that are made exact."""
    differences = RETURNS[:8] - BENCHMARK
    means = differences.mean(axis=1)
    histories = ResampledHistories(BARS, block=6.0, samples=150, seed=77)
    counts = np.concatenate(list(histories.counts()))
    assert (counts.sum(axis=1) == BARS).all()
    white = [
        max(np.sqrt(BARS) * (np.repeat(row, drawn).mean() - row.mean()) for row in differences)
        for drawn in counts
    ]
    part = SearchStatistics(BENCHMARK, **SETTINGS).measure(RETURNS[:8])
    assert part.maxima.maxima[0] == pytest.approx(white, rel=1e-12)
    assert part.maxima.scores[0] == pytest.approx(np.sqrt(BARS) * means.max(), rel=1e-12)
    # The long-run deviation by the autocovariances of the formula, lag by lag.
    deviations = []
    for row in differences - means[:, np.newaxis]:
        found = (row**2).mean()
        for lag in range(1, BARS):
            kernel = (1 - lag / BARS) * (5 / 6) ** lag + lag / BARS * (5 / 6) ** (BARS - lag)
            found += 2 * kernel * (row[lag:] * row[:-lag]).sum() / BARS
        deviations.append(np.sqrt(found))
    upper = [
        max(
            np.sqrt(BARS) * (np.repeat(row, drawn).mean() - row.mean()) / deviation
            for row, deviation in zip(differences, deviations, strict=True)
        )
        for drawn in counts
    ]
    assert part.maxima.maxima[3] == pytest.approx(upper, rel=1e-11)


def test_histories_too_long_to_keep_are_drawn_again_alike(monkeypatch):
    kept = ResampledHistories(50, block=4.0, samples=30, seed=3)
    first = np.concatenate(list(kept.counts()))
    monkeypatch.setattr("backtrail.validation.resampling._KEPT_VALUES", 10)
    monkeypatch.setattr("backtrail.validation.resampling._AT_ONCE", 200)
    again = ResampledHistories(50, block=4.0, samples=30, seed=3)
    for _ in range(2):
        assert (np.concatenate(list(again.counts())) == first).all()
    other = ResampledHistories(50, block=4.0, samples=30, seed=4)
    assert (np.concatenate(list(other.counts())) != first).any()


def test_a_chunk_whose_sets_all_failed_adds_nothing():
    search = SearchStatistics(BENCHMARK, **SETTINGS)
    empty = search.measure(np.empty((0, BARS)))
    assert everything(SearchPart.merge([empty, search.measure(RETURNS)])) == WHOLE
    with pytest.raises(ValueError, match="no trial ever differs"):
        empty.superior_ability()
    with pytest.raises(ValueError, match="there is no trial"):
        empty.reality_check()
    with pytest.raises(ValueError, match="there are 0 trials; overfitting needs two"):
        empty.overfitting()


def test_a_part_comes_back_from_its_arrays(tmp_path):
    part = measured_in([np.arange(SETS)])
    np.savez(tmp_path / "part.npz", **part.arrays())
    with np.load(tmp_path / "part.npz", allow_pickle=False) as stored:
        assert everything(SearchPart.from_arrays(stored)) == WHOLE


def test_parts_that_do_not_belong_together_are_refused():
    search = SearchStatistics(BENCHMARK, **SETTINGS)
    one = search.measure(RETURNS[:3], [0, 1, 2])
    with pytest.raises(ValueError, match="a trial is in two parts"):
        SearchPart.merge([one, search.measure(RETURNS[2:4], [2, 3])])
    longer = SearchStatistics(BENCHMARK, **{**SETTINGS, "block": 9.0}).measure(RETURNS[:2], [7, 8])
    with pytest.raises(ValueError, match="different resampled histories"):
        SearchPart.merge([one, longer])


@pytest.mark.parametrize(
    ("returns", "numbers", "words"),
    [
        (RETURNS[:, 1:], None, "the sets have 210 bars and the benchmark 211"),
        (RETURNS[0], None, r"shape \(211,\); pass one row per trial"),
        (RETURNS[:2], [1, 1], "as many numbers, in ascending order"),
        (RETURNS[:2], [1], "2 trials need as many numbers"),
        (np.where(np.arange(BARS) == 7, np.nan, RETURNS[:2]), [4, 9], "trial 4 at bar 7 is nan"),
    ],
)
def test_bad_input_is_refused(returns, numbers, words):
    with pytest.raises(ValueError, match=words):
        SearchStatistics(BENCHMARK, **SETTINGS).measure(returns, numbers)
