import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.errors import WindowOverlapError
from backtrail.validation import Fold, Window, make_folds, require_disjoint, walk_forward

# Three folds by hand: chosen on 4 bars, judged on the 2 after, over three trials A, B, C.
#             choose: 0..3 -> 4,5   2..5 -> 6,7   4..7 -> 8,9
A = [0.02, 0.02, 0.02, 0.02, 0.01, -0.03, 0.00, 0.00, 0.00, 0.00]
B = [0.00, 0.00, 0.01, 0.01, 0.04, 0.04, -0.02, 0.06, 0.01, 0.01]
C = [0.01, 0.01, 0.00, 0.00, 0.00, 0.00, 0.05, 0.05, 0.02, -0.06]
TOY = np.column_stack([A, B, C])


def total(returns):
    return returns.sum(axis=0)


def test_three_folds_worked_by_hand():
    folds = make_folds(10, in_sample=4, out_of_sample=2)
    assert folds == (
        Fold(Window(0, 4), Window(4, 6)),
        Fold(Window(2, 6), Window(6, 8)),
        Fold(Window(4, 8), Window(8, 10)),
    )
    found = walk_forward(TOY, folds, objective=total)
    # Sums in sample: A .08 B .02 C .02; A .02 B .10 C .00; A -.02 B .12 C .10.
    assert found.selected.tolist() == [0, 1, 1]
    assert found.in_sample == pytest.approx([0.08, 0.10, 0.12])
    assert found.out_of_sample == pytest.approx([-0.02, 0.04, 0.02])
    assert found.returns == pytest.approx([0.01, -0.03, -0.02, 0.06, 0.01, 0.01])
    # Means per bar: in sample .02 .025 .03, out of sample -.01 .02 .01.
    assert found.efficiency == pytest.approx((0.02 / 3) / 0.025)
    assert found.degradation == pytest.approx(1 - 0.04 / 0.30)
    assert found.changes == 0.5


def test_anchored_windows_grow_and_gaps_are_left_out():
    folds = make_folds(
        30, in_sample=8, out_of_sample=3, step=5, purge=2, embargo=1, warm_up=4, anchored=True
    )
    assert folds == (
        Fold(Window(4, 10), Window(13, 16)),
        Fold(Window(4, 15), Window(18, 21)),
        Fold(Window(4, 20), Window(23, 26)),
    )
    rolling = make_folds(30, in_sample=8, out_of_sample=3, step=5, purge=2, embargo=1, warm_up=4)
    assert [fold.in_sample for fold in rolling] == [Window(4, 10), Window(9, 15), Window(14, 20)]


@given(
    bars=st.integers(2, 400),
    in_sample=st.integers(2, 120),
    out_of_sample=st.integers(1, 60),
    more=st.integers(0, 40),
    purge=st.integers(0, 20),
    embargo=st.integers(0, 20),
    warm_up=st.integers(0, 40),
    anchored=st.booleans(),
)
def test_windows_are_disjoint_whatever_is_asked_for(
    bars, in_sample, out_of_sample, more, purge, embargo, warm_up, anchored
):
    lengths = {
        "in_sample": in_sample,
        "out_of_sample": out_of_sample,
        "step": out_of_sample + more,
        "purge": purge,
        "embargo": embargo,
        "warm_up": warm_up,
    }
    try:
        folds = make_folds(bars, anchored=anchored, **lengths)
    except ValueError:
        assert in_sample - purge < 2 or warm_up + in_sample + embargo + out_of_sample > bars
        return
    tested = [
        bar for fold in folds for bar in range(fold.out_of_sample.start, fold.out_of_sample.stop)
    ]
    assert len(tested) == len(set(tested)) == len(folds) * out_of_sample
    assert max(tested) < bars
    for fold in folds:
        assert fold.in_sample.start >= warm_up
        assert fold.out_of_sample.start - fold.in_sample.stop == purge + embargo
        assert anchored or len(fold.in_sample) == in_sample - purge
    require_disjoint(folds)


def test_a_fold_that_knows_its_test_is_refused():
    good = make_folds(10, in_sample=4, out_of_sample=2)
    planted = (*good[:2], Fold(Window(4, 9), Window(8, 10)))
    with pytest.raises(WindowOverlapError) as caught:
        walk_forward(TOY, planted)
    assert str(caught.value) == (
        "fold 2 chose on bars 4 to 8 and was judged from bar 8 on: it knew what it was judged by"
    )
    with pytest.raises(WindowOverlapError, match="fold 0 chose on bars 5 to 7"):
        require_disjoint([Fold(Window(5, 8), Window(0, 3))])
    with pytest.raises(WindowOverlapError, match="folds 0 and 1 are judged on the same bars"):
        require_disjoint([Fold(Window(0, 4), Window(4, 7)), Fold(Window(2, 6), Window(6, 9))])


def test_what_comes_after_a_fold_changes_nothing_in_it():
    generator = np.random.default_rng(4)
    returns = generator.normal(size=(300, 20))
    folds = make_folds(300, in_sample=60, out_of_sample=20)
    before = walk_forward(returns, folds)
    scrambled = returns.copy()
    scrambled[180:] = generator.normal(size=(120, 20))
    after = walk_forward(scrambled, folds)
    known = sum(fold.out_of_sample.stop <= 180 for fold in folds)
    assert before.selected[:known].tolist() == after.selected[:known].tolist()
    assert before.returns[: known * 20].tolist() == after.returns[: known * 20].tolist()
    assert before.returns[known * 20 :].tolist() != after.returns[known * 20 :].tolist()


def test_the_edge_of_noise_is_lost_and_a_real_one_is_kept():
    returns = np.random.default_rng(8).normal(0.0, 0.01, (3000, 50))
    folds = make_folds(3000, in_sample=500, out_of_sample=100)
    noise = walk_forward(returns, folds)
    assert noise.degradation == pytest.approx(1.0, abs=0.25)
    assert noise.efficiency == pytest.approx(0.0, abs=0.25)
    returns[:, 7] += 0.004
    real = walk_forward(returns, folds)
    assert set(real.selected.tolist()) == {7}
    assert real.changes == 0.0
    assert real.degradation == pytest.approx(0.0, abs=0.2)


def test_ratios_of_losses_are_not_given():
    returns = np.column_stack([np.linspace(-0.02, -0.01, 12), np.linspace(-0.03, -0.02, 12)])
    found = walk_forward(returns, make_folds(12, in_sample=6, out_of_sample=3))
    assert (found.efficiency, found.degradation) == (None, None)
    one = walk_forward(TOY, make_folds(10, in_sample=8, out_of_sample=2))
    assert one.changes is None


def test_a_trial_without_an_objective_is_never_chosen():
    returns = TOY.copy()
    returns[:, 0] = 0.0  # no variance, no Sharpe ratio
    found = walk_forward(returns, make_folds(10, in_sample=4, out_of_sample=2))
    assert 0 not in found.selected.tolist()
    with pytest.raises(ValueError, match="no trial of fold 0 has an objective"):
        walk_forward(np.zeros((10, 2)), make_folds(10, in_sample=4, out_of_sample=2))


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        ({"in_sample": 3, "purge": 2}, "leaves 1 bars"),
        ({"out_of_sample": 0}, "out_of_sample is 0"),
        ({"embargo": -1}, "embargo -1"),
        ({"step": 1}, "bars would be tested twice"),
        ({"in_sample": 99}, "not one fold fits into 20 bars: .* take 101"),
    ],
)
def test_bad_lengths_are_refused(lengths, words):
    with pytest.raises(ValueError, match=words):
        make_folds(20, **{"in_sample": 5, "out_of_sample": 2, **lengths})


def test_bad_returns_are_refused():
    folds = make_folds(10, in_sample=4, out_of_sample=2)
    with pytest.raises(ValueError, match="9 bars do not hold the 3 folds"):
        walk_forward(TOY[:9], folds)
    with pytest.raises(ValueError, match="pass finite numbers"):
        walk_forward(np.full((10, 2), np.nan), folds)
