import math
from itertools import combinations

import numpy as np
import pytest

from backtrail.validation import backtest_overfitting


def slowly(returns, blocks):
    """Return PBO, logits and selected trials by the words of the paper, split by split."""
    length = len(returns) // blocks
    parts = [returns[i * length : (i + 1) * length] for i in range(blocks)]
    logits, selected = [], []
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[i] for i in chosen])
        outside = np.concatenate([parts[i] for i in range(blocks) if i not in chosen])
        ratios = [half.mean(axis=0) / half.std(axis=0, ddof=1) for half in (inside, outside)]
        best = int(ratios[0].argmax())
        rank = int((ratios[1] < ratios[1][best]).sum()) + 1
        share = rank / (returns.shape[1] + 1)
        logits.append(math.log(share / (1 - share)))
        selected.append(best)
    return np.mean(np.array(logits) <= 0), logits, selected


@pytest.mark.parametrize(("bars", "trials", "blocks"), [(60, 5, 6), (123, 9, 8), (40, 2, 4)])
def test_it_is_the_words_of_the_paper(bars, trials, blocks):
    returns = np.random.default_rng(bars).normal(0.0005, 0.01, (bars, trials))
    found = backtest_overfitting(returns, blocks=blocks)
    probability, logits, selected = slowly(returns, blocks)
    assert found.probability == probability
    assert found.logits == pytest.approx(logits)
    assert found.selected.tolist() == selected
    assert (found.blocks, found.bars_dropped) == (blocks, bars % blocks)


def test_noise_is_a_half_and_equal_ratios_are_one():
    generator = np.random.default_rng(9)
    found = [
        backtest_overfitting(generator.normal(size=(320, 30)), blocks=8).probability
        for _ in range(150)
    ]
    error = 3.0 * np.std(found) / math.sqrt(len(found))
    assert np.mean(found) == pytest.approx(0.5, abs=error)
    noise = generator.normal(size=(320, 30))
    assert backtest_overfitting(noise - noise.mean(axis=0), blocks=8).probability == 1.0


def test_a_trial_with_an_edge_is_selected_and_stays_good():
    returns = np.random.default_rng(3).normal(0.0, 1.0, (1000, 50))
    returns[:, 17] += 0.2
    found = backtest_overfitting(returns, blocks=10)
    assert found.probability < 0.01
    assert found.probability_of_loss < 0.01
    assert np.mean(found.selected == 17) > 0.95


def test_what_noise_gains_in_sample_it_lacks_out_of_sample():
    noise = np.random.default_rng(4).normal(size=(400, 60))
    found = backtest_overfitting(noise - noise.mean(axis=0), blocks=10)
    assert found.degradation == pytest.approx(-1.0, abs=0.1)
    assert found.intercept == pytest.approx(0.0, abs=0.02)
    assert found.probability_of_loss == 1.0
    assert (found.in_sample > 0.0).all()


def test_a_trial_that_never_trades_has_the_ratio_zero():
    returns = np.random.default_rng(6).normal(-0.05, 0.01, (64, 3))
    returns[:, 1] = 0.0
    found = backtest_overfitting(returns, blocks=4)
    assert set(found.selected.tolist()) == {1}
    assert (found.in_sample == 0.0).all()
    assert (found.degradation, found.intercept) == (None, None)


def test_trials_that_tie_share_their_rank():
    one = np.random.default_rng(8).normal(size=(64, 1))
    found = backtest_overfitting(np.repeat(one, 3, axis=1), blocks=4)
    assert found.logits.tolist() == [0.0] * 6  # the rank 2 of 3
    assert found.probability == 1.0


def test_large_values_beside_small_variance_are_kept_apart():
    returns = 1.0 + 1e-9 * np.random.default_rng(2).normal(size=(64, 4))
    assert len(set(backtest_overfitting(returns, blocks=8).selected.tolist())) > 1


@pytest.mark.parametrize(
    ("shape", "blocks", "words"),
    [
        ((64, 3), 5, "blocks is 5; pass an even number from 2 to 20"),
        ((64, 3), 22, "blocks is 22"),
        ((64, 1), 4, r"shape \(64, 1\)"),
        ((64,), 4, r"shape \(64,\)"),
        ((15, 3), 8, "15 bars are too few for 8 blocks of two bars"),
    ],
)
def test_bad_input_is_refused(shape, blocks, words):
    with pytest.raises(ValueError, match=words):
        backtest_overfitting(np.ones(shape), blocks=blocks)
    returns = np.ones((64, 3))
    returns[5, 2] = np.nan
    with pytest.raises(ValueError, match="value of trial 2 at bar 5 is nan"):
        backtest_overfitting(returns, blocks=4)
