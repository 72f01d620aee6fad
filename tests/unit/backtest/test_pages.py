"""The examples of the pages on scripts and notebooks, executed in order in a project."""

import contextlib
import io
import re
import shlex
import shutil
import textwrap
from pathlib import Path

import pytest

from backtrail.cli import main
from tests.unit.batch.support import batch_config

from .project import ScriptProject, manifest

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page, language="python"):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [code for kind, code in FENCE.findall(text) if kind == language]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A project with the repository's strategies, and short invented prices for its bundle."""
    root = tmp_path_factory.mktemp("demo") / "project"
    project = ScriptProject.make(root)
    shutil.rmtree(root / "strategies")
    shutil.copytree(ROOT / "strategies", root / "strategies")
    config = batch_config()
    config["bundles"] = {"us-indices": config["bundles"]["prices"]}
    config["batch"]["sma"] |= {"strategy": "strategies/sma_cross.py", "bundle": "us-indices"}
    project.configure(config)
    (root / "prices/AAA.csv").rename(root / "prices/SPX.csv")
    return project


def fitted(code):
    """Return an example with the dates that the short prices have."""
    code = re.sub(r"\d{4}-01-0[24]", "2020-01-02", code)
    return code.replace("2018-12-31", "2020-02-26").replace('"slow": 50', '"slow": 20')


def execute(project, code, name, names=None):
    """Execute an example as a script of the project, and return its names and what it printed."""
    path = project.write(name, fitted(code))
    printed = io.StringIO()
    names = {"__name__": "__main__", "__file__": str(path)} if names is None else names
    with contextlib.redirect_stdout(printed):
        exec(compile(path.read_bytes(), str(path), "exec"), names)
    return names, printed.getvalue()


@pytest.fixture
def here(demo, monkeypatch):
    monkeypatch.chdir(demo.root)
    return demo


def test_the_tutorial_can_be_followed(here):
    first, look, export, own, again = examples("tutorials/scripts-and-notebooks.md")
    names, printed = execute(here, first, "one.py")
    result = names["result"]
    assert result.backtest_id in printed
    _, printed = execute(here, look, "one.py", names)
    assert printed.splitlines()[0] == str(result.metrics["sharpe_ratio"])
    _, printed = execute(here, export, "one.py", names)
    assert printed.strip() == str(result.output_dir / "results/exports/trades.csv")
    # A script of its own: functions are found in the module they were defined in.
    said = here.script(fitted(own), name="notebooks/hold.py", folder=here.root / "notebooks")
    folder = Path(said.strip())
    assert (folder / "code/notebooks/hold.py").read_text() == fitted(own)
    (held,) = (run for run in here.store.run_dirs() if run.path == folder)
    names["held"] = type("Held", (), {"backtest_id": held.backtest_id})
    _, printed = execute(here, again, "one.py", names)
    assert "'bundle_name': 'us-indices'" in printed


def test_the_class_of_the_guide_runs_itself(here):
    trend, notes, *_ = examples("how-to/use-scripts-and-notebooks.md")
    said = here.script(fitted(trend), name="strategies/trend.py")
    assert said.startswith("<BacktestResult ")
    newest = here.store.run_dirs()[-1]
    assert manifest(newest.path)["identity"]["params"] == {"window": 100}
    assert manifest(newest.path)["grade"] == "B"
    here.write("strategies/notes.py", notes)
    dates = ("--start", "2020-01-02", "--end", "2020-02-26")
    assert main(["run", "strategies/notes.py", *dates, "--symbols", "SPX"]) == 0
    newest = here.store.run_dirs()[-1]
    lines = (newest.results / "notes/values.csv").read_text().splitlines()
    assert len(lines) == 40
    assert "results/notes/values.csv" in manifest(newest.path)["inventory"]


def test_the_other_examples_of_the_guide_run(here):
    trend, _, quick, search, by_hand, catalog = examples("how-to/use-scripts-and-notebooks.md")
    before = len(here.store.run_dirs())
    names, printed = execute(here, quick, "quick.py")
    assert printed.strip() == str(names["quick"].metrics["total_return"])
    assert len(here.store.run_dirs()) == before
    short = search.replace('{"min": 50, "max": 200, "step": 50}', "[12, 20]")
    names, printed = execute(here, short, "search.py")
    assert names["result"].selection["params"]["slow"] in (12, 20)
    assert "The best of 4 sets" in printed
    names, printed = execute(here, by_hand, "by_hand.py")
    assert printed == "['answer.txt']\n"
    manager = names["manager"]
    assert manager.load_metadata() == {"engine": "another one"}
    assert (manager.code_dir / "strategies/lib/indicators.py").is_file()
    here.script(fitted(trend), name="strategies/trend.py")
    _, printed = execute(here, catalog, "catalog.py")
    counted, found = printed.splitlines()
    dataset = counted.split()[0]
    specs = [run.read_spec() for run in here.store.run_dirs() if run.spec.exists()]
    used = sum(spec["identity"]["dataset"]["dataset_id"] == dataset for spec in specs)
    assert counted.endswith(f"bars, {used} runs")
    assert used >= 1
    # The prices of this test begin later than the guide's.
    assert found == "[]"
    asked = catalog.replace("2010, 1, 4", "2020, 1, 2").replace("2018, 12, 31", "2020, 2, 26")
    _, printed = execute(here, asked, "catalog.py")
    assert printed.splitlines()[1].endswith(f"us-indices/{dataset}')]")


def test_the_command_of_the_guide_runs(here, capsys):
    (line,) = examples("how-to/use-scripts-and-notebooks.md", "sh")
    words = shlex.split(fitted(textwrap.dedent(line)).replace("fast=10", "fast=3"))
    assert words[0] == "backtrail"
    assert main([*words[1:], "--param", "slow=20"]) == 0
    assert "grade       B" in capsys.readouterr().out
