"""Every execution rule against the engines that follow it; tests/golden/parity.json says how."""

import importlib.util
import json
import sys

import numpy as np
import pytest

from .support import ROOT

GOLDEN = json.loads((ROOT / "tests/golden/parity.json").read_text())
ENGINES = ROOT / "benchmarks/engines"


def load(path):
    spec = importlib.util.spec_from_file_location(f"parity_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ours():
    """The strategies and rules that the benchmark runs, too."""
    sys.path.insert(0, str(ENGINES / "peers"))
    try:
        return load(ENGINES / "peers/run_backtrail.py")
    finally:
        sys.path.remove(str(ENGINES / "peers"))


@pytest.fixture(scope="module")
def workload():
    return load(ENGINES / "workload.py")


@pytest.fixture(scope="module")
def outcome_of(ours, workload):
    known = {}

    def run(rule, case, ledger):
        if (rule, case, ledger) not in known:
            measuring = sys.modules["measuring"]
            task = measuring.Task(**workload.make(case), rate=workload.RATES[case], details=True)
            known[rule, case, ledger] = ours.variants()[f"{rule}, {ledger}"](task)()
        return known[rule, case, ledger]

    return run


def allowed(result):
    """Return how far a final value may be off, in money."""
    exact = 1e-9 * result["final"]
    if "digits" in result:
        return 0.51 * 10.0 ** -result["digits"]
    if result["peer"] == "nautilus":  # rounds the commission of every fill to cents
        return exact + result["unit"] / 2 * result["fills"]
    return exact + 0.51 * result["unit"]


def test_workload_is_the_one_the_peers_ran_on(workload):
    assert set(GOLDEN["checksums"]) == {"daily1", "daily50", "sp500"}
    for case, checksum in GOLDEN["checksums"].items():
        assert workload.checksum(workload.make(case)) == checksum, case


def test_no_average_of_the_workload_is_tied(workload):
    close = workload.make("daily50")["close"]
    cents = np.rint(close * 100).astype(np.int64)
    assert not [column for column in cents.T if len(workload.ties_of(column))]


def test_every_rule_has_a_peer_and_every_peer_an_answer():
    found = {(one["rule"], one["case"]) for one in GOLDEN["results"]}
    single = {(f"R{number}", case) for number in range(1, 8) for case in ("daily1", "sp500")}
    assert found == single | {("R1", "daily50"), ("R3", "daily50")}
    assert {one["peer"] for one in GOLDEN["results"]} == {
        "backtesting", "backtrader", "bt", "nautilus", "pybroker", "raptorbt", "vectorbt", "zipline"
    }  # fmt: skip


def test_fifty_symbols_with_shared_cash_end_where_zipline_ends(outcome_of):
    (zipline,) = (
        one for one in GOLDEN["results"] if (one["peer"], one["case"]) == ("zipline", "daily50")
    )
    assert round(zipline["final"], 4) == 1_420_920.3628
    assert round(outcome_of("R3", "daily50", "decimal").final, 4) == 1_420_920.3628


@pytest.mark.parametrize("ledger", ["decimal", "float64"])
@pytest.mark.parametrize(
    "result",
    GOLDEN["results"],
    ids=lambda one: f"{one['rule']}-{one['case']}-{one['peer']}",
)
def test_engine_equals_peer(result, ledger, outcome_of):
    found = outcome_of(result["rule"], result["case"], ledger)
    assert abs(found.final - result["final"]) <= allowed(result)
    if "fills" in result:
        assert found.fills == result["fills"]
    for row, value in (result.get("equity") or {}).items():
        assert abs(found.equity[int(row)] - value) <= 1e-9 * value + 0.51 * result["unit"], row
    trades = result.get("trades")
    if trades:
        rows, quantities, prices = zip(*trades, strict=True)
        own_rows, own_quantities, own_prices = zip(*found.trades, strict=True)
        assert own_rows == rows
        assert np.allclose(own_prices, prices, rtol=1e-12, atol=0)
        assert np.allclose(own_quantities, quantities, rtol=1e-9, atol=0)


def test_rules_do_not_give_each_others_results(outcome_of):
    finals = sorted(outcome_of(f"R{number}", "daily1", "decimal").final for number in range(1, 8))
    # The closest two, R1 and R2, differ by what whole shares leave over.
    assert min(np.diff(finals)) > 10.0
