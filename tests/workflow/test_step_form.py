"""A search over a strategy in step form, as Snakemake runs it."""

import json

import polars as pl
import pytest

from tests.workflow.project import nothing_to_do
from tests.workflow.test_search import search_config, search_project

STEP = '''"""Above the average with a trailing stop, in step form."""

from dataclasses import dataclass

from lib.constants import SCALE


@dataclass(frozen=True)
class Params:
    length: int = 5
    stop: float = 0.05


def below(close, peak, stop):
    return close < peak * (1.0 - stop)


def inputs(bars, params):
    return {"mean": bars.sma(params.length)}


def step(close, mean, weight, memory, stop):
    if weight == 0.0:
        if close > mean:
            memory[0] = close
            return SCALE
        return None
    memory[0] = max(memory[0], close)
    return 0.0 if below(close, memory[0], stop) else None
'''


@pytest.mark.slow
def test_a_search_over_steps_selects_what_its_run_confirms_and_replays(tmp_path):
    space = {"length": {"min": 3, "max": 10, "step": 1}, "stop": [0.004, 0.01, 0.02, 0.04]}
    config = search_config(
        strategy="strategies/steps.py", optimize={"space": space}, where="length > 2"
    )
    project = search_project(tmp_path / "project")
    project.write("strategies/steps.py", STEP)
    project.configure(config)
    output = project.snakemake()
    assert "32 parameter sets in 4 jobs" in output
    run = project.named("search")
    table = pl.read_parquet(run / "results/optimization_results.parquet")
    assert table["error"].null_count() == 32
    assert table["total_trades"].n_unique() > 4
    selection = json.loads((run / "results/selection.json").read_bytes())
    metrics = json.loads((run / "results/performance-metrics.json").read_bytes())
    for name, value in selection["metrics"].items():
        assert metrics[name]["value"] == pytest.approx(value, rel=1e-6), name
    manifest = json.loads((run / "run.json").read_bytes())
    assert manifest["grade"] == "B"
    code = {path.name for path in (run / "code").rglob("*") if path.is_file()}
    assert {"steps.py", "constants.py"} <= code
    assert all(name.endswith(".py") for name in code)
    again = project.snakemake()
    assert nothing_to_do(again), again
    (replay,) = project.backtrail_json("replay", "--all")
    assert replay["state"] == "identical"
