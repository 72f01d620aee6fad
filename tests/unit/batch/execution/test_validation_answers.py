"""What a validation child answers, asked in this process, with strategies good and bad."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from backtrail.batch.execution.laboratory import Laboratory
from backtrail.batch.execution.validation_answers import answer
from backtrail.engine import TradingAlgorithm
from backtrail.engine.stepping import Step
from backtrail.engine.strategy import Strategy
from tests.unit.engine.support import make_bars
from tests.unit.validation.test_histories import market

BARS = market(bars=420, symbols=1, seed=11)


@dataclass(frozen=True)
class Params:
    fast: int = 5
    slow: int = 20

    def __post_init__(self):
        if self.fast == 7:
            raise ValueError("seven is no length")


def crossing(bars, params):
    return (bars.sma(params.fast) > bars.sma(params.slow)) * 1.0


def tomorrow(bars, params):
    """Weights by the move after the open at which they are filled."""
    weights = np.zeros(bars.close.shape)
    weights[:-2] = bars.close[2:] > bars.close[1:-1]
    return weights


def since_the_first_bar(bars, params):
    return (np.cumsum(np.log(bars.close), axis=0) % 1.0 > 0.5) * 1.0


class Crossing(TradingAlgorithm):
    """The same crossing, bar by bar."""

    def initialize(self, context):
        context.asset = context.universe[0]

    def handle_data(self, context, data):
        fast, slow = context.params.fast, context.params.slow
        closes = data.history(context.asset, "close", slow)
        if len(closes) == slow:
            is_up = np.mean(closes[-fast:]) > np.mean(closes)
            self.order_target_percent(context.asset, 1.0 if is_up else 0.0)


def averages(bars, params):
    return {"fast_mean": bars.sma(params.fast), "slow_mean": bars.sma(params.slow)}


def of_tomorrow(bars, params):
    rises = np.zeros(bars.close.shape)
    rises[:-2] = bars.close[2:] > bars.close[1:-1]
    return {"fast_mean": rises, "slow_mean": np.full(bars.close.shape, 0.5)}


def pausing(fast_mean, slow_mean, weight, memory):
    """The same crossing, with two bars of rest after a sale."""
    if weight > 0.0 and not fast_mean > slow_mean:
        memory[0] = 2.0
        return 0.0
    if memory[0] > 0.0:
        memory[0] -= 1.0
        return None
    return 1.0 if fast_mean > slow_mean else None


SIGNAL = Strategy("crossing", "signal", Params, target_weights=crossing)
EVENT = Strategy("crossing", "class", Params, algorithm=Crossing)
STEP = Strategy(
    "pausing", "step", Params, target_weights=Step("pausing", pausing, averages, Params)
)
VALIDATE = {
    "walk_forward": {
        "in_sample": 120, "out_of_sample": 60, "purge": 1, "embargo": 2, "warm_up": 30,
        "anchored": False,
    },
    "monte_carlo": {
        "paths": 200, "block": 5, "confidence": 0.9, "ruin": 0.5, "noise_runs": 20,
        "parameter_noise": 0.1, "price_noise": 0.1,
    },
    "overfitting": {
        "blocks": 4, "bootstraps": 100, "block": 5, "against": "cash", "warm_up": 30,
    },
    "bias": {
        "look_ahead": True, "warm_up": 40, "random_entries": 99, "noise": 20, "costs": True,
        "false_alarm_rate": 0.01,
    },
    "gates": {},
}  # fmt: skip


def asked_of(
    task, *, cost="0.001", objective="sharpe_ratio", select="best", params=None, validate=VALIDATE,
    execution=None, rate=None, **changes,
):  # fmt: skip
    """Return a request as the parent makes it; other keys are those of the identity."""
    identity = {
        "ledger": "float64",
        "execution": {
            "fill": "next_open", "size_at": "signal_close", "shares": "fractional",
            "cash_policy": "clip", **(execution or {}),
        },
        "commission": {"model": "per_dollar" if float(cost) else "none", "cost": cost},
        "capital_base": "100000",
        "params": {},
        "benchmark": "A",
        "seed": 5,
        "search": {
            "space": [
                {"name": "fast", "values": [3, 5, 7, 10]}, {"name": "slow", "values": [15, 20, 30]}
            ],
            "where": None, "method": "grid", "samples": None, "objective": objective,
            "constraints": [], "select": select,
        },
        "validate": validate,
        **changes,
    }  # fmt: skip
    if rate is not None:
        identity["risk_free_rate"] = rate
    return {
        "task": task, "identity": identity, "run_key": "ab" * 32, "numbers": None, "seed": 1,
        "periods_per_year": 252.0, "params": params or {"fast": 5, "slow": 20},
        "code_dir": str(Path(__file__).parent),
    }  # fmt: skip


def told(task, strategy=SIGNAL, bars=BARS, **changes):
    found = answer(strategy, asked_of(task, **changes), bars, None, {})
    json.dumps(found, allow_nan=False)  # plain values
    return found


@pytest.mark.parametrize("strategy", [SIGNAL, EVENT, STEP], ids=["signal", "event", "step"])
def test_folds_read_nothing_of_what_comes_after_them(strategy):
    found = told("walk_forward", strategy)
    assert len(found["folds"]) == 4
    for number, fold in enumerate(found["folds"]):
        begins = 30 + 120 + 2 + 60 * number
        assert fold["out_of_sample"]["first_bar"] == begins
        assert fold["out_of_sample"]["last_bar"] == begins + 59
        assert fold["read_in_sample"]["last_bar"] == begins - 4  # the embargo and the purged bar
        assert fold["read_out_of_sample"]["last_bar"] == begins + 59
        # One bar for the first return, and the warm-up before it.
        assert fold["read_in_sample"]["first_bar"] == max(0, begins - 122 - 31)
        assert fold["set"] is not None
        assert fold["params"]["fast"] != 7  # those sets fail, and are never chosen
    assert len(found["equity"]["returns"]) == 240
    assert found["equity"]["timestamp"][0] == int(BARS.timestamps[152])
    assert {item["name"] for item in found["stability"]} == {"fast", "slow"}


def test_both_forms_choose_alike_and_earn_nearly_the_same():
    signal, event = told("walk_forward"), told("walk_forward", EVENT)
    assert [fold["set"] for fold in signal["folds"]] == [fold["set"] for fold in event["folds"]]
    # In event form an account is in the market already when its window begins.
    assert signal["equity"]["equity"][-1] == pytest.approx(event["equity"]["equity"][-1], rel=0.1)


def test_another_future_leaves_the_folds_before_it_as_they_were():
    from backtrail.validation import scrambled_future

    other = scrambled_future(BARS, 272, np.random.default_rng(1))
    before, after = told("walk_forward"), told("walk_forward", bars=other)
    assert before["folds"][:2] == after["folds"][:2]
    assert before["equity"]["returns"][:120] == after["equity"]["returns"][:120]
    assert before["equity"]["returns"][120:] != after["equity"]["returns"][120:]


def test_a_plateau_and_weights_are_followed_in_every_fold():
    plateau = told("walk_forward", select="plateau")
    weighted = told("walk_forward", objective={"sharpe_ratio": 1.0, "annual_volatility": -1.0})
    assert [fold["set"] for fold in plateau["folds"]] != [
        fold["set"] for fold in told("walk_forward")["folds"]
    ]
    assert weighted["metric"] == "sharpe_ratio"
    assert all(isinstance(fold["in_sample_figure"], float) for fold in weighted["folds"])


def test_monte_carlo_tells_orders_draws_parameters_and_prices_apart():
    found = told("monte_carlo")
    assert found["bars"] == 419
    assert [item["statistic"] for item in found["intervals"]] == [
        "sharpe_ratio", "total_return", "cagr"
    ]  # fmt: skip
    assert found["reordering"]["refused"] is None
    assert 0.0 <= found["reordering"]["ruin"] <= 1.0
    noise = found["parameter_noise"]
    assert noise["samples"] + noise["undefined"] == 20
    assert found["price_noise"]["samples"] == 20
    assert found["paths"]["bars"][-1] == 419
    assert found["paths"]["quantile_05"][-1] < found["paths"]["quantile_95"][-1]
    assert found["paths"]["quantile_50"][0] == pytest.approx(1.0, abs=0.05)


def test_a_run_without_trades_cannot_be_reordered_and_says_why():
    still = Strategy("still", "signal", Params, target_weights=lambda b, p: np.zeros(b.close.shape))
    found = told("monte_carlo", still)
    assert "reordering needs two trades or more" in found["reordering"]["refused"]
    assert found["reordering"]["ruin"] is None
    assert found["price_noise"] is None


def holding(*spans):
    """Return a strategy that holds its symbol between these rows."""

    def weights(bars, params):
        found = np.zeros(bars.close.shape)
        for first, last in spans:
            found[first:last] = 1.0
        return found

    return Strategy("holding", "signal", Params, target_weights=weights)


def moving(*steps):
    """Return bars whose closes move by so much from row to row, opening at the close before."""
    closes = 100.0 + np.cumsum([0.0, *steps])
    return make_bars({"A": closes}, {"A": [closes[0], *closes[:-1]]})


def test_trades_without_a_loss_cannot_end_in_ruin_and_are_no_reason_to_ask_nothing():
    bars = moving(*[1.0] * 59)
    found = told("monte_carlo", holding((5, 10), (20, 25)), bars, cost="0")["reordering"]
    assert (found["trades"], found["refused"], found["ruin"]) == (2, None, 0.0)
    assert sorted(found["invariant"]) == ["longest_drawdown", "lowest_equity", "max_drawdown"]
    assert "max_drawdown is 0 in every one of 200 orders" in found["invariant"]["max_drawdown"]


def test_a_statistic_that_no_order_changes_takes_no_other_with_it():
    bars = moving(*[1.0] * 20, *[-1.0] * 20, *[0.5] * 19)
    found = told("monte_carlo", holding((5, 10), (25, 30)), bars, cost="0")["reordering"]
    assert list(found["invariant"]) == ["longest_drawdown"]  # one trade below the peak, always
    assert {"max_drawdown", "lowest_equity"} < set(found)
    assert found["lowest_equity"]["quantiles"]["0.05"] < 100_000.0
    assert found["ruin"] == 0.0


def test_a_book_that_never_goes_flat_has_a_drawdown_risk():
    found = told("monte_carlo", holding((0, 420)))
    assert found["reordering"]["trades"] == 0
    risk = found["drawdown"]
    assert (risk["histories"], risk["level"], risk["ruin"]["fall"]) == (1000, 0.95, 0.5)
    deep, long = risk["max_drawdown"], risk["longest_drawdown"]
    assert -1.0 < deep["worst"] < deep["median"] < 0.0
    assert 0 < long["median"] < long["worst"] <= 419
    assert 0.0 <= risk["ruin"]["probability"] < 0.5
    lab = Laboratory(holding((0, 420)), asked_of("monte_carlo"), BARS, None, {})
    curve = lab.result.tables["backtest_results"]["drawdown"]
    assert deep["observed"] == pytest.approx(min(curve), rel=1e-12)
    spans = "".join("u" if fall < 0.0 else "." for fall in curve).split(".")
    assert long["observed"] == max(map(len, spans))


def test_luck_is_measured_on_the_bars_after_the_warm_up():
    found = told("measure_overfitting")
    assert len(found["chosen"]) == 419 - 30
    assert len(found["clusters"]["labels"]) == 9  # of twelve sets three fail
    assert 1 <= found["clusters"]["count"] <= 9


def test_what_validation_measures_is_over_the_risk_free_rate():
    """In two bars of a year 21 percent are 10 percent each, by 252 bars 0.0007567."""
    plain, found = (told("measure_overfitting", rate=rate) for rate in (None, "0.21"))
    lower = np.array(plain["chosen"]) - np.array(found["chosen"])
    assert lower == pytest.approx(np.full(389, 0.00075673), rel=1e-4)
    plain, found = (told("monte_carlo", rate=rate) for rate in (None, "0.21"))
    (before, *growth), (after, *same) = plain["intervals"], found["intervals"]
    assert same == growth
    for name in ("observed", "low", "high"):
        assert after[name] < before[name]
    lab = Laboratory(SIGNAL, asked_of("monte_carlo", rate="0.21"), BARS, None, {})
    assert lab.chosen(lab.bars)[1] == pytest.approx(after["observed"], rel=1e-9)
    walked = [told("walk_forward", rate=rate)["folds"][0] for rate in (None, "0.21")]
    assert walked[1]["in_sample_figure"] < walked[0]["in_sample_figure"]


def checks(strategy, **changes):
    return {check["name"]: check for check in told("check_bias", strategy, **changes)["checks"]}


@pytest.mark.parametrize("strategy", [SIGNAL, EVENT, STEP], ids=["signal", "event", "step"])
def test_a_clean_strategy_passes_every_check_but_that_of_its_timing(strategy):
    found = checks(strategy)
    assert list(found) == ["look_ahead", "warm_up", "random_entries", "noise", "costs"]
    for name in ("look_ahead", "warm_up", "noise", "costs"):
        assert found[name]["passed"] is True, found[name]
    assert 0.0 < found["random_entries"]["figure"] <= 1.0
    assert found["costs"]["figure"] < 0.0  # a thousandth of what is traded
    assert found["warm_up"]["figure"] <= 40


def test_a_planted_look_ahead_is_caught_by_its_decisions_and_on_noise():
    found = checks(Strategy("tomorrow", "signal", Params, target_weights=tomorrow))
    assert found["look_ahead"]["passed"] is False
    assert found["noise"]["passed"] is False
    assert found["warm_up"]["passed"] is True


def test_a_step_cannot_look_ahead_but_by_its_inputs_which_is_caught():
    step = Step("tomorrow", pausing, of_tomorrow, Params)
    found = checks(Strategy("tomorrow", "step", Params, target_weights=step))
    assert found["look_ahead"]["passed"] is False
    assert found["noise"]["passed"] is False


def test_a_planted_memory_of_the_first_bar_is_caught():
    own = Strategy("recursive", "signal", Params, target_weights=since_the_first_bar)
    found = checks(own)
    assert found["warm_up"]["passed"] is False
    assert found["look_ahead"]["passed"] is True

    class Counter(TradingAlgorithm):
        """Trades by the number of bars since the first."""

        def initialize(self, context):
            context.bars = 0

        def handle_data(self, context, data):
            context.bars += 1
            share = 1.0 if context.bars % 60 < 30 else 0.0
            self.order_target_percent(context.universe[0], share)

    found = checks(Strategy("counter", "class", Params, algorithm=Counter))
    assert found["warm_up"]["passed"] is False
    assert found["look_ahead"]["passed"] is True


def test_held_shares_follow_the_positions_through_a_split():
    lab = Laboratory(SIGNAL, asked_of("check_bias"), BARS, None, {})
    held = lab.held(BARS, lab.result)
    invested = np.array(
        [0.0 if x is None else x for x in lab.result.tables["backtest_results"]["net_exposure"]]
    )
    assert held[:, 0] == pytest.approx(invested, abs=1e-9)
    assert BARS.splits[210, 0] == 2.0
    # Without orders between two closes the account earns what it holds.
    returns = np.array([0.0, *lab.result.tables["backtest_results"]["returns"][1:]])
    quiet = np.flatnonzero((held[1:-1, 0] > 0) & (held[:-2, 0] > 0) & (held[2:, 0] > 0))
    moved = lab.moved(BARS)[:, 0]
    fills = set(lab.result.tables["fills"]["timestamp"])
    rows = [row for row in quiet + 1 if int(BARS.timestamps[row + 1]) not in fills]
    earned = [held[row, 0] * moved[row] for row in rows]
    assert len(rows) > 30
    assert [returns[row + 1] for row in rows] == pytest.approx(earned, abs=1e-9)


def test_a_strategy_that_fails_on_other_histories_has_found_nothing():
    def picky(bars, params):
        if len(bars.close) != 420 or bars.close[5, 0] != BARS.close[5, 0]:
            raise RuntimeError("not my history")
        return crossing(bars, params)

    own = Strategy("picky", "signal", Params, target_weights=picky)
    found = checks(own)
    assert {name: check["passed"] for name, check in found.items()} == {
        "look_ahead": None, "warm_up": None, "random_entries": found["random_entries"]["passed"],
        "noise": None, "costs": True,
    }  # fmt: skip
    assert found["random_entries"]["figure"] is not None
    assert (
        "failed on a part or a variant of its history: RuntimeError: "
        in (found["look_ahead"]["words"])
    )
    noise = told("monte_carlo", own)["price_noise"]
    assert (noise["samples"], noise["undefined"], noise["kept"]) == (0, 20, None)
    assert [fold["set"] for fold in told("walk_forward", own)["folds"]] == [None] * 4


def test_a_fault_that_is_not_the_strategy_s_is_not_told_as_its_failure():
    asked = asked_of("check_bias")
    wrong = {**VALIDATE["bias"], "false_alarm_rate": "one in a hundred"}
    asked["identity"]["validate"] = {**VALIDATE, "bias": wrong}
    with pytest.raises(TypeError):
        answer(SIGNAL, asked, BARS, None, {})


def test_memory_that_runs_out_ends_the_checks_and_what_the_engine_refuses_does_not():
    def greedy(bars, params):
        if bars.close[5, 0] != BARS.close[5, 0]:
            raise MemoryError
        return crossing(bars, params)

    with pytest.raises(MemoryError):
        checks(replace(SIGNAL, target_weights=greedy))

    def endless(bars, params):
        return np.full(bars.close.shape, 1.0 if len(bars.close) == 420 else np.inf)

    found = checks(replace(SIGNAL, target_weights=endless))
    assert found["warm_up"]["passed"] is None
    assert "StrategyError: " in found["warm_up"]["words"]
    assert "infinite weight for A at bar 0" in found["warm_up"]["words"]
