import math

import numpy as np
import pytest

from backtrail.validation import (
    DEFAULT_GATES,
    BlockMoments,
    Check,
    SearchStatistics,
    backtest_overfitting,
    cluster_trials,
    deflated_sharpe_ratio,
    judge,
    make_folds,
    measure_luck,
    superior_ability,
    walk_forward,
)

BARS, TRIALS = 1000, 50


def luck_of(returns, benchmark=None, **more):
    """Measure a search whose best set by Sharpe ratio is the chosen one."""
    benchmark = np.zeros(returns.shape[1]) if benchmark is None else benchmark
    search = SearchStatistics(benchmark, blocks=8, block=1.0, samples=199, seed=1)
    part = search.measure(returns)
    best = int(part.moments.sharpe_ratios().argmax())
    return measure_luck(part, returns[best], **more)


def verdict_of(returns):
    """Send a search through the statistical gates, at their default thresholds."""
    luck = luck_of(returns)
    folds = make_folds(returns.shape[1], in_sample=400, out_of_sample=100, embargo=2)
    figures = {
        "psr": luck.psr,
        "dsr": luck.dsr,
        "pbo": luck.overfitting.probability,
        "spa": luck.superiority.p_value,
        "walk_forward_efficiency": walk_forward(returns.T, folds).efficiency,
    }
    return judge(figures, {}, sets=len(returns), trials=len(returns), benchmark="cash")


def searches(numbers, edge=0.0):
    """Yield searches of independent noise; one set has an edge of this annual Sharpe ratio."""
    for number in numbers:
        returns = np.random.default_rng(number).normal(0.0, 0.01, (TRIALS, BARS))
        returns[number % TRIALS] += 0.01 * edge / math.sqrt(252)
        yield returns


def pass_rate(numbers, edge=0.0):
    return np.mean([verdict_of(returns).passed for returns in searches(numbers, edge)])


def test_searches_without_skill_do_not_pass_and_a_planted_edge_does():
    assert pass_rate(range(30)) <= 1 / 30
    assert pass_rate(range(1000, 1020), edge=3.0) >= 0.75


@pytest.mark.slow
def test_the_pass_rate_is_below_nominal_on_noise_and_high_on_a_planted_edge():
    """Nominal is 5 %. Of 500 searches of 50 sets without skill, none passed.

    Of 200 searches in which one set of 50 has a true annual Sharpe ratio of 3 over four years, 178
    passed, 89 %.
    """
    assert pass_rate(range(500)) <= 0.05
    assert pass_rate(range(1000, 1200), edge=3.0) > 0.8


@pytest.mark.slow
def test_each_gate_rejects_noise_at_its_nominal_rate():
    """Of 500 searches of 50 sets of noise each gate alone lets through, at a nominal 25:

    DSR 0, SPA 25; PBO at most 0.5: 253, its mean 0.501 with an error of 0.008; walk-forward
    efficiency 57. PSR lets 456 through: it forgets the search, and is there to show it.
    """
    passed = {name: 0 for name in ("psr", "dsr", "pbo", "spa")}
    probabilities = []
    for returns in searches(range(500)):
        gates = {gate.name: gate for gate in verdict_of(returns).gates}
        probabilities.append(gates["pbo"].figure)
        for name in passed:
            passed[name] += gates[name].passed
    error = 3.0 * math.sqrt(0.05 * 0.95 / 500)
    assert passed["psr"] / 500 > 0.8
    assert passed["dsr"] / 500 <= 0.05 + error
    assert passed["spa"] / 500 == pytest.approx(0.05, abs=error)
    assert np.mean(probabilities) == pytest.approx(0.5, abs=3 * np.std(probabilities) / 500**0.5)


def test_luck_is_what_each_function_says():
    returns = next(searches([7], edge=2.0))
    luck = luck_of(returns, all_trials=300, clusters=cluster_trials(returns))
    ratios = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    assert BlockMoments.of(returns, blocks=8).sharpe_ratios() == pytest.approx(ratios, rel=1e-12)
    assert (luck.own_trials, luck.all_trials, luck.clusters.count) == (50, 300, 50)
    assert luck.effective_trials == pytest.approx(50, abs=0.5)
    assert luck.sharpe_variance == pytest.approx(ratios.var(ddof=1))
    assert luck.best.ratio == pytest.approx(ratios.max())
    assert luck.psr > 0.999
    assert luck.dsr == deflated_sharpe_ratio(luck.best, trials=300, variance=luck.sharpe_variance)
    assert luck.dsr_clusters > luck.dsr  # fifty ideas in place of three hundred trials
    assert luck_of(returns).dsr > luck.dsr  # the more was tried, the less is left
    assert luck.overfitting.probability == backtest_overfitting(returns.T, blocks=8).probability
    whole = superior_ability(returns.T, block=1.0, samples=199, generator=np.random.default_rng(1))
    assert luck.superiority == whole
    assert luck.least_years == pytest.approx(8.4, abs=0.5)
    assert 100 < luck.least_bars < 1000


def test_a_search_with_nothing_to_measure_says_so():
    flat = luck_of(np.zeros((3, 100)))
    assert (flat.best, flat.psr, flat.dsr, flat.superiority) == (None, None, None, None)
    assert flat.overfitting.probability == 1.0
    single = luck_of(np.random.default_rng(1).normal(size=(1, 100)))
    assert (single.overfitting, single.sharpe_variance) == (None, 0.0)
    with pytest.raises(ValueError, match=r"the search has 3 sets .* and the ledger 2 trials"):
        luck_of(np.zeros((3, 100)), all_trials=2)


FIGURES = {
    "psr": 0.9937, "dsr": 0.921, "pbo": 0.54, "spa": 0.44, "walk_forward_efficiency": 0.31,
    "parameter_noise": 1.0, "price_noise": 0.85, "ruin": 0.0, "reality_check": 0.6,
}  # fmt: skip
CLEAN = Check("look_ahead", True, 0.0, 0.0, 0.0, "No decision changed.")


def judged(changes=None, checks=(CLEAN,), gates=DEFAULT_GATES):
    return judge(
        {**FIGURES, **(changes or {})}, {check.name: check for check in checks},
        sets=72, trials=144, benchmark="holding SPX", gates=gates,
    )  # fmt: skip


def test_superb_by_itself_and_no_edge_is_said_in_plain_words():
    found = judged()
    assert found.passed is False
    assert found.summary == (
        "The best of 72 sets looks superb by itself (PSR 0.994), but it does not stand out from "
        "the luck of 144 trials (DSR 0.92, asked 0.95); choosing in one half of the history tells "
        "nothing about the other half (PBO 0.54, at most 0.5); none of them surely beats holding "
        "SPX (SPA p-value 0.44, at most 0.05); what was chosen earned 31% of its in-sample return "
        "on the bars that followed (asked 50%): no edge."
    )
    assert [gate.name for gate in found.gates if gate.passed] == [
        "psr", "ruin", "parameter_noise", "price_noise", "look_ahead"
    ]  # fmt: skip


def test_who_passes_everything_is_told_so():
    good = {"dsr": 0.97, "pbo": 0.1, "spa": 0.02, "walk_forward_efficiency": 0.7}
    found = judged(good)
    assert found.passed is True
    assert found.summary == (
        "The best of 72 sets looks superb by itself (PSR 0.994), and passes all 9 gates: an edge "
        "that no test took away."
    )


def test_a_fault_outweighs_every_figure():
    good = {"dsr": 0.97, "pbo": 0.1, "spa": 0.02, "walk_forward_efficiency": 0.7}
    ahead = Check("look_ahead", False, 3.0, 0.0, 0.0, "The strategy looks ahead: row 40.")
    assert judged(good, [ahead]).summary.endswith(
        "but the strategy looks ahead: row 40: the result cannot be trusted."
    )


def test_a_figure_that_cannot_be_computed_does_not_pass():
    found = judged({"dsr": None, "psr": None})
    assert not {gate.name: gate for gate in found.gates}["dsr"].passed
    assert "The best of 72 sets has no Sharpe ratio, and the deflated Sharpe ratio could not" in (
        found.summary
    )
    asked = Check("random_entries", None, None, 0.05, 0.05, "There is no timing to judge.")
    assert judged(checks=[asked]).passed is False


def test_gates_are_those_of_the_config():
    found = judged(gates={"psr": 0.999, "spa": None})
    assert [(gate.name, gate.passed) for gate in found.gates] == [("psr", False)]
    assert found.summary == "The best of 72 sets looks superb by itself (PSR 0.994): no edge."
    weak = judged({"psr": 0.7}, gates={"psr": 0.95, "pbo": 0.6})
    assert weak.summary == (
        "The best of 72 sets does not even look good by itself (PSR 0.70): no edge."
    )
    entries = Check("random_entries", True, 0.03, 0.05, 0.05, "Of 99 times few did as well.")
    assert judged(checks=[entries], gates={"random_entries": 0.01}).gates[0].passed is False
    strict = judged(gates={"reality_check": 0.1, "ruin": 0.0})
    assert strict.summary.endswith(
        "but none of them surely beats holding SPX, not studentized (Reality Check p-value 0.60, "
        "at most 0.1): no edge."
    )
    assert strict.gates[1].words == "0.0% of other orders of its trades end in ruin (at most 0%)"
    unasked = judged(gates={"psr": 0.95, "ruin": 0.05})
    assert (unasked.passed, unasked.judged) == (False, False)
    assert unasked.summary == (
        "The best of 72 sets looks superb by itself (PSR 0.994); it passes all 2 gates, none of "
        "which takes the search into account."
    )
    assert (strict.passed, strict.judged) == (False, True)
    alone = judge({"ruin": 0.5}, {}, sets=1, trials=1, benchmark="cash")
    assert alone.summary == (
        "The strategy was not compared with luck, and 50.0% of other orders of its trades end in "
        "ruin (at most 5%): no edge."
    )
    nothing = judged(gates={})
    assert (nothing.passed, nothing.judged) == (False, False)
    assert nothing.summary == "The best of 72 sets was not judged: no gate was set or measured."
    with pytest.raises(ValueError, match="there is no gate 'sharpe'; use psr, dsr"):
        judged(gates={"sharpe": 1.0})


def test_one_set_beside_trials_of_the_ledger_does_not_tell_how_lucky_they_were():
    returns = next(searches([4], edge=4.0))[4:5]
    alone, beside = luck_of(returns), luck_of(returns, all_trials=301)
    assert alone.dsr == alone.psr > 0.99
    assert (beside.dsr, beside.luck_sharpe, beside.all_trials) == (None, None, 301)
    assert beside.psr == alone.psr
    judged = judge({"dsr": beside.dsr}, {}, sets=1, trials=301, benchmark="cash")
    assert not judged.passed


def test_a_figure_that_cannot_be_computed_is_told_with_its_reason():
    found = judge(
        {"dsr": 0.99, "ruin": None}, {}, sets=2, trials=2, benchmark="cash",
        reasons={"ruin": "reordering needs two trades or more, and there are 1"},
    )  # fmt: skip
    assert found.passed is False
    assert found.gates[1].words == (
        "the share of orders that end in ruin could not be computed (reordering needs two trades "
        "or more, and there are 1)"
    )
