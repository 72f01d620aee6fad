"""Cross-checks on an engine made for the test, and on zipline where one is installed."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from batch.support import Project, batch_config, entry, functions

from backtrail.cli import main
from backtrail.crosscheck.checking import cross_check
from backtrail.crosscheck.protocol import CrossCheckError, adapter_of

ROOT = Path(__file__).resolve().parents[3]
# Holds the first symbol from the third bar on, as the strategy `hold` does.
OTHER_ENGINE = """
import json, sys
from pathlib import Path
import numpy as np

folder = Path(sys.argv[1])
task = json.loads((folder / "task.json").read_text())
bars = np.load(folder / "bars.npz")
shares = task["params"].get("shares", 100)
price = float(bars["open"][3, 0])
cash = float(task["capital_base"]) - shares * price
equity = [float(task["capital_base"])] * 3 + [cash + shares * c for c in bars["close"][3:, 0]]
fill = dict(row=3, symbol=task["symbols"][0], quantity=shares, price=price, commission=0.0)
answer = dict(engine="own", versions={"own": "1"}, fills=[fill], equity=equity, notes=["by hand"])
if task["entry"].endswith("broken.py"):
    answer = {"error": "ValueError: no luck", "trace": ""}
(folder / "answer.json").write_text(json.dumps(answer))
"""
HOLD = functions(
    initialize="context.bar = 0",
    handle_data="import backtrail.engine.api as api\n"
    "context.bar += 1\n"
    "if context.bar == 3:\n    api.order(context.universe[0], {shares})",
)


@dataclass
class OwnAdapter:
    script: Path
    name: str = "own"
    package: str = "numpy"
    install: str = "nothing"
    environments: tuple = ()

    def refusal(self, identity):
        return "next_close" if identity["execution"]["fill"] == "next_close" else None


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("cross") / "project")
    project.write("other.py", OTHER_ENGINE)
    for name, shares in (("hold", 100), ("more", 101), ("broken", 100)):
        project.write(f"strategies/{name}.py", HOLD.format(shares=shares))
    project.write("strategies/bad.py", "raise ValueError('no luck')\n")
    names = ("hold", "more", "broken", "bad")
    batch = {name: entry(strategy=f"strategies/{name}.py") for name in names}
    batch["close"] = entry(strategy="strategies/hold.py", fill="next_close")
    batch["parts"] = entry(shares="fractional")
    project.configure(batch_config(batch=batch))
    project.run()
    return project


def run_of(project, name):
    (found,) = (
        run for run in project.store.run_dirs() if run.read_spec()["labels"]["names"] == [name]
    )
    return found


def check(project, name):
    adapter = OwnAdapter(project.root / "other.py")
    run, bundles = run_of(project, name), project.root / "bundles"
    return cross_check(run, bundles, adapter, python=Path(sys.executable))


def test_a_run_that_another_engine_repeats_agrees(made):
    found = check(made, "hold")
    assert found.agrees
    assert (found.fills, found.difference, found.explanation) == ((1, 1), None, None)
    assert found.final_values[0] == pytest.approx(found.final_values[1], rel=1e-12)
    assert found.versions == {"own": "1"}
    assert found.notes == ("by hand",)


def test_the_first_difference_names_bar_order_and_both_values(made):
    found = check(made, "more")
    assert not found.agrees
    assert (found.difference.what, found.difference.ours, found.difference.theirs) == (
        "quantity", 101.0, 100.0,
    )  # fmt: skip
    assert found.explanation == (
        "bar 4 of 40, 2020-01-07: the quantity of a fill of AAA is 101.0 in backtrail, 100 in own"
        " (order 1, shares 101 placed 2020-01-06)"
    )


def test_what_cannot_be_compared_is_said(made):
    with pytest.raises(CrossCheckError, match=r"the strategy fails on own: ValueError: no luck"):
        check(made, "broken")
    with pytest.raises(CrossCheckError, match="own has nothing for next_close"):
        check(made, "close")
    with pytest.raises(CrossCheckError, match="failed; only a sealed run has results"):
        check(made, "bad")
    with pytest.raises(CrossCheckError, match=r"no engine 'nautilus'.*known: zipline"):
        adapter_of("nautilus")


def test_an_altered_run_is_refused(made):
    run = run_of(made, "hold")
    path = run.results / "summary_statistics.csv"
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(before + b"\n")
    try:
        with pytest.raises(CrossCheckError, match=r"not what its manifest says.*summary_stat"):
            check(made, "hold")
    finally:
        path.write_bytes(before)


def test_settings_that_zipline_lacks_are_named_before_it_is_started(made):
    for name, said in (("parts", "shares: fractional; it has whole"),):
        with pytest.raises(CrossCheckError, match=f"zipline has nothing for {said}"):
            cross_check(run_of(made, name), made.root / "bundles", "zipline")


def test_without_zipline_the_error_says_how_to_get_it(made, tmp_path):
    with pytest.raises(CrossCheckError) as raised:
        cross_check(
            run_of(made, "hold"),
            made.root / "bundles",
            "zipline",
            python=tmp_path / "python",
        )
    assert f"no Python with zipline (looked at {tmp_path / 'python'})" in str(raised.value)
    assert "pip install 'zipline-reloaded>=3.2,<4'" in str(raised.value)


ZIPLINE = next(
    (
        path
        for path in (
            Path(os.environ.get("BACKTRAIL_ZIPLINE_PYTHON", "-")),
            ROOT / ".venv-zipline/bin/python",
            ROOT / "benchmarks/engines/.venvs/zipline/bin/python",
        )
        if path.exists()
        and not subprocess.run([path, "-c", "import zipline"], capture_output=True).returncode
    ),
    None,
)
needs_zipline = pytest.mark.skipif(
    ZIPLINE is None,
    reason="no zipline-reloaded in .venv-zipline or benchmarks/engines/.venvs/zipline",
)
SCHEDULED = functions(
    top="import backtrail.engine.api as api",
    initialize="api.schedule_function(rotate, api.date_rules.week_start())\n"
    "api.set_commission(api.commission.PerShare(0.01, 1.0))",
) + (
    "\n\ndef rotate(context, data):\n"
    "    for number, symbol in enumerate(context.universe):\n"
    "        growth = data.history(symbol, 'close', 5)[-1] / data.history(symbol, 'close', 5)[0]\n"
    "        share = 0.7 if growth > 1 else -0.2\n"
    "        if data.can_trade(symbol) and data.sma(symbol, 3) == data.sma(symbol, 3):\n"
    "            api.order_target_percent(symbol, share)\n"
    "    api.record(cash=context.portfolio.cash, held=len(context.portfolio.positions))\n"
)
SIGNAL = (
    "def target_weights(bars, params):\n"
    "    return (bars.sma(3) > bars.sma(8)) / len(bars.symbols)\n"
)
STEP = (
    "def inputs(bars, params):\n"
    "    return {'mean': bars.sma(8)}\n\n\n"
    "def step(close, mean, weight, memory, symbols):\n"
    "    memory[0] = max(memory[0], close) if weight else close\n"
    "    if weight and close < memory[0] * 0.99:\n"
    "        return 0.0\n"
    "    return 1.0 / symbols if close > mean else None\n"
)
SPLIT_ROW, PAID_ROW = 17, 26


def write_actions(folder):
    """Add a split and a dividend to the first symbol."""
    path = folder / "AAA.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    rows[0] += ["split", "dividend"]
    for number, row in enumerate(rows[1:]):
        if number >= SPLIT_ROW:
            row[1:5] = [f"{float(value) / 2:.3f}" for value in row[1:5]]
        row += ["2" if number == SPLIT_ROW else "1", "0.75" if number == PAID_ROW else "0"]
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


@pytest.fixture(scope="module")
def for_zipline(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("zipline") / "project")
    write_actions(project.root / "prices")
    project.write("strategies/scheduled.py", SCHEDULED)
    project.write("strategies/signal.py", SIGNAL)
    project.write("strategies/step.py", STEP)
    project.write(
        "strategies/limits.py",
        functions(
            handle_data="import backtrail.engine.api as api\napi.order('AAA', 1, limit_price=5.0)"
        ),
    )
    cost = {"model": "per_dollar", "cost": 0.001}
    both = {"symbols": ["AAA", "BBB"]}
    batch = {
        "sma": entry(commission=cost),
        "close": entry(commission=cost, fill="next_close", cash_policy="reject"),
        "scheduled": entry(strategy="strategies/scheduled.py", cash_policy="overdraw", **both),
        "signal": entry(strategy="strategies/signal.py", commission=cost, **both),
        "step": entry(strategy="strategies/step.py", commission=cost, **both),
        "limits": entry(strategy="strategies/limits.py"),
    }
    project.configure(batch_config(batch=batch))
    project.run()
    return project


@needs_zipline
@pytest.mark.slow
@pytest.mark.parametrize("name", ["sma", "close", "scheduled", "signal", "step"])
def test_zipline_gets_the_same_fills_and_equity(for_zipline, name):
    run = run_of(for_zipline, name)
    found = cross_check(run, for_zipline.root / "bundles", "zipline", python=ZIPLINE)
    assert found.agrees, found.explanation
    assert found.fills[0] == found.fills[1] > 2
    assert found.final_values[0] != 100_000.0


@needs_zipline
@pytest.mark.slow
def test_what_means_another_thing_in_zipline_is_refused(for_zipline):
    run = run_of(for_zipline, "limits")
    with pytest.raises(CrossCheckError, match="limit and stop orders cannot be cross-checked"):
        cross_check(run, for_zipline.root / "bundles", "zipline", python=ZIPLINE)


@needs_zipline
@pytest.mark.slow
def test_the_command_prints_text_and_json(for_zipline, monkeypatch, capsys):
    monkeypatch.chdir(for_zipline.root)
    asked = ["cross-check", run_of(for_zipline, "sma").backtest_id, "--python", str(ZIPLINE)]
    assert main([*asked, "--configfile", "config.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["agrees"], found["engine"], found["difference"]) == (True, "zipline", None)
    # With the tolerance of nothing the binary ledger's last digits are a difference.
    status = main([*asked, "--configfile", "config.yaml", "--tolerance", "0"])
    out = capsys.readouterr().out
    assert status == 0
    assert out.startswith(f"agrees  {asked[1]}  sma  with zipline (numpy ")
    assert str(date(2020, 1, 2) + timedelta(days=0)) not in out
