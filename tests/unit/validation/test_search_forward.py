import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtrail.errors import WindowOverlapError
from backtrail.validation import (
    Fold,
    Window,
    WindowResult,
    make_folds,
    parameter_stability,
    search_forward,
    walk_forward,
)

# By hand: set 0 is long, set 1 short, set 2 undefined; chosen on 4 bars, judged on the 2 after.
#          choose: 0..3 -> 4,5        2..5 -> 6,7        4..7 -> 8,9
MARKET = [0.02, 0.02, -0.01, 0.01, 0.03, -0.01, -0.04, -0.02, -0.01, 0.03]


class LongOrShort:
    """Runs the sets on a market of returns, and keeps what it was asked."""

    def __init__(self, market=MARKET, *, ahead=0, behind=0, extra=0):
        self.market = np.asarray(market)
        self.ahead, self.behind, self.extra = ahead, behind, extra
        self.asked = []

    def __call__(self, sets, window, *, keep_returns):
        self.asked.append((sets.tolist(), window))
        read = Window(max(0, window.start - self.behind), window.stop + self.ahead)
        judged = Window(window.start - self.extra, window.stop) if len(sets) == 1 else window
        sides = np.array([1.0, -1.0, np.nan])[sets]
        returns = sides[:, np.newaxis] * self.market[judged.start : judged.stop]
        return WindowResult(returns.sum(axis=1), returns if keep_returns else None, judged, read)


FOLDS = make_folds(10, in_sample=4, out_of_sample=2)


def test_three_folds_worked_by_hand():
    run = LongOrShort(behind=1)
    found = search_forward(run, 3, FOLDS, periods_per_year=10)
    # Sums of the market in sample: .04, .02, -.04, so long, long, short.
    assert [fold.chosen for fold in found.folds] == [0, 0, 1]
    assert [fold.in_sample for fold in found.folds] == pytest.approx([0.04, 0.02, 0.04])
    assert [fold.out_of_sample for fold in found.folds] == pytest.approx([0.02, -0.06, -0.02])
    # Means per bar times ten bars a year.
    assert [fold.in_sample_annual for fold in found.folds] == pytest.approx([0.1, 0.05, 0.1])
    assert [fold.out_of_sample_annual for fold in found.folds] == pytest.approx([0.1, -0.3, -0.1])
    assert found.returns == pytest.approx([0.03, -0.01, -0.04, -0.02, 0.01, -0.03])
    assert found.bars.tolist() == [4, 5, 6, 7, 8, 9]
    assert found.efficiency == pytest.approx(-0.1 / (0.25 / 3))
    assert found.degradation == pytest.approx(1 - (-0.06 / 3) / (0.10 / 3))
    assert found.changes == 0.5
    assert [fold.read_in_sample for fold in found.folds] == [
        Window(0, 4), Window(1, 6), Window(3, 8)
    ]  # fmt: skip
    assert found.folds[2].read_out_of_sample == Window(7, 10)


def test_each_fold_searches_all_sets_and_runs_the_chosen_one_on():
    run = LongOrShort()
    search_forward(run, 3, FOLDS[:1], periods_per_year=10)
    assert run.asked == [
        ([0, 1, 2], Window(0, 4)), ([0], Window(0, 4)), ([0], Window(4, 6))
    ]  # fmt: skip


@given(
    bars=st.integers(4, 160),
    in_sample=st.integers(2, 60),
    out_of_sample=st.integers(1, 30),
    more=st.integers(0, 20),
    purge=st.integers(0, 12),
    embargo=st.integers(0, 12),
    warm_up=st.integers(0, 20),
    anchored=st.booleans(),
    seed=st.integers(0, 5),
)
def test_no_bar_is_known_before_it_is_judged(
    bars, in_sample, out_of_sample, more, purge, embargo, warm_up, anchored, seed
):
    try:
        folds = make_folds(
            bars, in_sample=in_sample, out_of_sample=out_of_sample, step=out_of_sample + more,
            purge=purge, embargo=embargo, warm_up=warm_up, anchored=anchored,
        )  # fmt: skip
    except ValueError:
        return
    market = np.random.default_rng(seed).normal(size=bars)
    run = LongOrShort(market, behind=warm_up)
    found = search_forward(run, 2, folds, periods_per_year=252)
    judged = set()
    for fold in found.folds:
        known = set(range(fold.read_in_sample.start, fold.read_in_sample.stop))
        tested = range(fold.fold.out_of_sample.start, fold.fold.out_of_sample.stop)
        assert known.isdisjoint(tested)
        assert max(known) + purge + embargo < min(tested)
        assert judged.isdisjoint(tested)
        judged.update(tested)
    assert found.bars.tolist() == sorted(judged)
    # The same as cutting returns that are there already.
    cut = walk_forward(np.column_stack([market, -market]), folds, objective=lambda r: r.sum(axis=0))
    assert [fold.chosen for fold in found.folds] == cut.selected.tolist()
    assert found.returns.tolist() == cut.returns.tolist()


def test_bars_after_a_window_fail_the_walk():
    with pytest.raises(WindowOverlapError) as caught:
        search_forward(LongOrShort(ahead=1), 2, FOLDS, periods_per_year=10)
    assert str(caught.value) == (
        "fold 0 read bars 0 to 4 for the window 0 to 3: it had bars at hand that come after it"
    )


def test_bars_of_the_choice_among_those_judged_fail_the_walk():
    with pytest.raises(WindowOverlapError, match="to be judged on bars 0 to 3 and was judged on"):
        search_forward(LongOrShort(extra=1), 2, FOLDS, periods_per_year=10)

    def planted(sets, window, *, keep_returns):
        found = LongOrShort()(sets, window, keep_returns=keep_returns)
        if window not in {fold.out_of_sample for fold in FOLDS}:
            return found
        judged = Window(window.start - 1, window.stop)
        returns = np.array([MARKET[judged.start : judged.stop]])
        return WindowResult(found.figures, returns, judged, found.read)

    with pytest.raises(WindowOverlapError, match="judged on bars 4 to 5 and was judged on 3 to 5"):
        search_forward(planted, 2, FOLDS, periods_per_year=10)


def test_folds_that_overlap_are_refused_before_anything_is_run():
    run = LongOrShort()
    with pytest.raises(WindowOverlapError, match="it knew what it was judged by"):
        search_forward(run, 2, [Fold(Window(0, 5), Window(4, 6))], periods_per_year=10)
    assert run.asked == []


def test_a_fold_without_an_objective_stays_in_cash():
    def no_trades_at_first(sets, window, *, keep_returns):
        found = LongOrShort()(sets, window, keep_returns=keep_returns)
        figures = np.full(len(sets), np.nan) if window.start == 0 else found.figures
        return WindowResult(figures, found.returns, found.judged, found.read)

    found = search_forward(no_trades_at_first, 2, FOLDS, periods_per_year=10)
    assert [fold.chosen for fold in found.folds] == [None, 0, 1]
    assert found.returns[:2].tolist() == [0.0, 0.0]
    # Of the two folds that chose: annual -.3 and -.1 after .05 and .1.
    assert found.efficiency == pytest.approx(-0.4 / 0.15)
    nothing = search_forward(no_trades_at_first, 2, FOLDS[:1], periods_per_year=10)
    assert (nothing.efficiency, nothing.degradation, nothing.changes) == (None, None, None)


def test_a_rule_of_choice_is_followed():
    worst = search_forward(
        LongOrShort(), 2, FOLDS, periods_per_year=10, choose=lambda figures: int(figures.argmin())
    )
    assert [fold.chosen for fold in worst.folds] == [1, 1, 0]
    assert worst.efficiency is None  # what was chosen lost in sample already


def test_nothing_to_walk_is_refused():
    with pytest.raises(ValueError, match="0 parameter sets and 3 folds"):
        search_forward(LongOrShort(), 0, FOLDS, periods_per_year=10)


SPACE = {"fast": [5, 10, 15, 20, 25, 30], "slow": [50, 100], "kind": ["a"], "side": ["x", "y", "z"]}


def chosen(fast, slow, side):
    return [
        {"fast": f, "slow": s, "kind": "a", "side": x}
        for f, s, x in zip(fast, slow, side, strict=True)
    ]


def test_stable_parameters_and_wandering_ones():
    fast, slow, side = parameter_stability(
        chosen([10, 15, 10, 10, 30], [50, 50, 50, 50, 50], ["x", "y", "z", "x", "y"]), SPACE
    )
    # 10 and 15 hold four of five choices; 10 to 15 to 10 are steps to a neighbor.
    assert (fast.name, fast.values) == ("fast", (10, 15, 10, 10, 30))
    assert (fast.changes, fast.jumps) == (0.75, 0.25)
    assert (fast.low, fast.high, fast.share) == (10, 15, 0.8)
    assert (slow.low, slow.high, slow.share, slow.changes) == (50, 50, 1.0, 0.0)
    assert (side.low, side.high, side.share, side.changes) == (None, None, None, 1.0)


def test_one_fold_and_none():
    (fast, _, _) = parameter_stability(chosen([20], [50], ["x"]), SPACE)
    assert (fast.changes, fast.jumps, fast.low, fast.high) == (None, None, 20, 20)
    assert parameter_stability([], SPACE)[0].share is None
    with pytest.raises(ValueError, match="choice 0 has fast 11, not in the space"):
        parameter_stability(chosen([11], [50], ["x"]), SPACE)
