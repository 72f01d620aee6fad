"""The example notebooks are stored clean, run in a project, and show what its store says."""

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient

from backtrail.canonical import sha256_file

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples" / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")


# How they are stored


def test_there_are_ten_and_the_list_names_each_once() -> None:
    listed = re.findall(r"\]\((\d\d_\w+\.ipynb)\)", (FOLDER / "README.md").read_text())
    assert listed == NOTEBOOKS
    assert [name[:2] for name in NOTEBOOKS] == [f"{number:02}" for number in range(1, 11)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_stored_without_outputs(name: str) -> None:
    stored = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert sorted(stored["metadata"]) == ["kernelspec", "language_info"]
    assert stored["metadata"]["kernelspec"]["name"] == "python3"
    nbformat.validate(stored)
    for cell in stored["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), "clear all outputs"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_of_a_notebook_lead_to_files(name: str) -> None:
    cells = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    for target, _ in _LINK.findall("\n".join(texts)):
        assert (FOLDER / target).is_file(), target


# What they show


@dataclass
class Shown:
    """What a notebook showed when it was executed in a project."""

    project: Path
    text: str
    html: str

    @property
    def runs(self) -> list[Path]:
        """Folders of the runs that it displayed as results, in that order."""
        ids = re.findall(r"<BacktestResult (\w+),", self.text)
        return [self.project / "backtests" / name for name in ids]

    def rows(self, first: str) -> list[list[str]]:
        """Return the cells of the first frame whose first column has that name."""
        found = re.findall(rf"^│ {first}\b.*?^└", self.text, re.MULTILINE | re.DOTALL)
        lines = [line for line in found[0].splitlines() if line.startswith("│")]
        return [re.split(r"\s*[│┆]\s*", line)[1:-1] for line in lines[3:]]

    def manifests(self) -> list[dict[str, Any]]:
        """Return the manifests of every run of the store."""
        return [
            json.loads(path.read_bytes())
            for path in sorted((self.project / "backtests").glob("*/run.json"))
        ]


def table(run: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(run / "results" / f"{name}.parquet")


def documents(run: Path, name: str) -> Any:
    return json.loads((run / "results" / "validation" / name).read_bytes())


def metrics(run: Path) -> dict[str, float]:
    found: dict[str, float] = json.loads((run / "run.json").read_bytes())["metrics"]
    return found


def other_files(project: Path) -> list[str]:
    """Return every path of the project that is neither of a run nor of a bundle.

    The demo's index prices are left out: reading them the first time writes them to their place.
    """
    return sorted(
        path.relative_to(project).as_posix()
        for path in project.rglob("*")
        if path.relative_to(project).parts[0] not in {"backtests", "bundles"}
        and not path.match("resources/demo/us-indices/*.csv")
        and "__pycache__" not in path.parts
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("examples") / "project"
    for name in ("config", "examples", "resources", "strategies"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def execute(project: Path, name: str) -> Shown:
    """Execute a copy of a notebook where it lies; an error in a cell is raised."""
    folder = project / "examples" / "notebooks"
    notebook = nbformat.read(folder / name, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    texts = [
        output["text"] if output.output_type == "stream" else output["data"]["text/plain"]
        for output in outputs
    ]
    html = [output.get("data", {}).get("text/html", "") for output in outputs]
    return Shown(project, "\n".join(texts), "\n".join(html))


def check_getting_started(shown: Shown) -> None:
    (run,) = shown.runs
    equity = table(run, "backtest_results")["portfolio_value"]
    figures = {row[0]: row[1] for row in shown.rows("metric")}
    assert figures["total_return"] == f"{equity[-1] / 100_000 - 1:.6f}"
    assert figures["total_trades"] == f"{table(run, 'trades').height}.0"
    assert shown.rows("timestamp")[-1][1] == f"{equity[-1]:.6f}"
    growth = [1 + float(row[1]) for row in shown.rows("year")]
    assert math.prod(growth) == pytest.approx(equity[-1] / 100_000, abs=1e-5)
    assert "reused: True - same id: True" in shown.text
    assert f"<b>{run.name}, grade B</b>" in shown.html
    assert shown.html.count("<polyline") == 3  # drawdown, benchmark, equity
    assert (run / "results/reports/basic_report.html").is_file()
    assert str(run / "results/reports/basic_report.html") in shown.text


def check_bring_your_data(shown: Shown) -> None:
    datasets = sorted((shown.project / "bundles/notebook-prices").glob("*/bars.parquet"))
    told = {row[0]: row[1] for row in shown.rows("backtest_id")}
    assert sorted(told.values()) == sorted(path.parent.name for path in datasets)
    assert len(told) == 2
    (run,) = shown.runs
    assert told[run.name] in shown.text.split("found again: True")[1]
    assert "ACME.csv:316: ACME 2020-03-16 high = 96.08: high is below open" in shown.text
    bars = [pl.read_parquet(path).get_column("close") for path in datasets]
    assert (bars[0] != bars[1]).sum() == 1
    assert (bars[0] - bars[1]).abs().max() == pytest.approx(0.01)
    assert shown.text.count("523 bars, used by 1 run") == 2


def check_events_and_orders(shown: Shown) -> None:
    (run,) = shown.runs
    orders = table(run, "orders").group_by("style", "status").len().sort("style", "status")
    assert shown.rows("style") == [[str(value) for value in row] for row in orders.rows()]
    stops = table(run, "orders").filter(style="stop").select("order_id", "stop_price")
    worst = table(run, "fills").join(stops, on="order_id")
    beyond = max(1 - float(row["price"]) / row["stop_price"] for row in worst.to_dicts())
    assert beyond > 0.005
    assert f"{worst.height} stops filled, the worst {beyond:.2%} beyond" in shown.text
    (code,) = (run / "code").rglob("*.py")
    assert "class Breakout(TradingAlgorithm):" in code.read_text()
    assert code.read_text() in shown.text


def check_signal_form(shown: Shown) -> None:
    (run,) = shown.runs
    assert (run / "code/examples/notebooks/04_signal_form_ipynb.py").is_file()
    earned = table(run, "attribution").filter(dimension="symbol").top_k(1, by="net_pnl")
    assert shown.rows("key")[0][0] == earned["key"][0]
    assert float(shown.rows("key")[0][2]) == pytest.approx(float(earned["net_pnl"][0]))
    (checked,) = (
        item for item in shown.manifests() if item["labels"]["names"] == ["top-four-checked"]
    )
    verdict = documents(run.parent / checked["backtest_id"], "verdict.json")
    passed = {gate["name"]: gate["passed"] for gate in verdict["gates"]}
    assert (passed["look_ahead"], passed["warm_up"], passed["random_entries"]) == (
        True,
        True,
        False,
    )
    for gate in verdict["gates"]:
        said = "passed " if gate["passed"] else "FAILED "
        assert f"{said} {gate['words']}" in shown.text


def check_compare_runs(shown: Shown) -> None:
    made = [
        item for item in shown.manifests() if item["identity"]["params"] == {"fast": 5, "slow": 60}
    ]
    told = sorted(float(row[1]) for row in shown.rows("name"))
    assert told == pytest.approx(sorted(item["metrics"]["total_return"] for item in made), abs=1e-6)
    assert len(set(told)) == 6
    assert 'execution fill changed: "next_open" -> "next_close"' in shown.text
    assert "first decision that differs: None" in shown.text
    last = {f"{item['metrics']['net_pnl'] + 100_000:.6f}" for item in made}
    assert set(shown.rows("timestamp")[-1][1:]) < last


def check_search(shown: Shown) -> None:
    (run,) = shown.runs
    sets = table(run, "optimization_results")
    heat = {
        (fast, slow): f"{ratio:.2f}"
        for fast, slow, ratio in sets.select(
            "params.fast", "params.slow", "sharpe_ratio"
        ).iter_rows()
    }
    (heading, frontier) = re.findall(r"^│ params.fast\b.*?^└", shown.text, re.MULTILINE | re.DOTALL)
    lines = [re.findall(r"[-\w.]+", line) for line in heading.splitlines()]
    seen = {
        (int(line[0]), slow): value
        for line in lines
        if line and line[0].isdigit()
        for slow, value in zip(range(60, 261, 20), line[1:], strict=True)
    }
    assert seen == heat
    assert len(heat) == sets.height == 88
    best = sets.filter(pl.col("rank") == 1).row(0, named=True)
    chosen = {"fast": best["params.fast"], "slow": best["params.slow"]}
    assert best["sharpe_ratio"] == sets["sharpe_ratio"].max()
    assert f"{chosen} of 88 sets" in shown.text
    assert f"88 sets; the best is {chosen}" in shown.text  # the sweep finds the same
    assert frontier.count("┆") == 3 * (table(run, "frontier").height + 3)
    (plateau,) = (
        item for item in shown.manifests() if item["labels"]["names"] == ["search-plateau"]
    )
    assert f"{int(plateau['metrics']['total_trades'])} trades" in shown.text
    assert plateau["metrics"]["total_trades"] >= 20


def check_judge_luck(shown: Shown) -> None:
    (run,) = shown.runs
    verdict = documents(run, "verdict.json")
    assert verdict["summary"] in shown.text
    assert verdict["passed"] is False
    periods = documents(run, "walk-forward/period-results.json")["periods"]
    told = shown.rows("from")
    assert told[0][0] == periods[0]["out_of_sample"]["first_at"][:10]
    for row, period in ((told[0], periods[0]), (told[-1], periods[-1])):
        assert float(row[3]) == pytest.approx(period["out_of_sample_figure"], abs=1e-6)
    assert periods[-1]["out_of_sample"]["last_at"] < "2016-01-04"  # nobody saw the holdout
    intervals = documents(run, "monte-carlo/confidence-intervals.json")["intervals"]
    low = next(item["low"] for item in intervals if item["statistic"] == "sharpe_ratio")
    assert float(shown.rows("statistic")[0][1]) == pytest.approx(low, abs=1e-6)
    alone, deflated = re.findall(r"with (0\.\d+)", shown.text)
    assert float(alone) > 0.95 > float(deflated)


def check_own_artifacts(shown: Shown) -> None:
    (made,) = (item for item in shown.manifests() if item["labels"]["names"] == ["own-artifacts"])
    run = shown.project / "backtests" / made["backtest_id"]
    own = run / "results/signals/distance.parquet"
    assert sha256_file(own) in shown.text
    equity = [100_000.0, *table(run, "backtest_results")["portfolio_value"]]
    worst = min(after / before - 1 for before, after in zip(equity, equity[5:], strict=False))
    assert made["metrics"]["worst_week"] == pytest.approx(worst)
    assert f"worst_week {made['metrics']['worst_week']}" in shown.text
    exported = pl.read_csv(run / "results/exports/trades.csv")
    assert exported.height == table(run, "trades").height > 50
    assert str(run / "results/exports/trades.csv") in shown.text


def check_query_the_catalog(shown: Shown) -> None:
    wanted = []
    for item in shown.manifests():
        figures, params = item["metrics"], item["identity"]["params"]
        if (
            item["identity"]["strategy"]["entry"] == "strategies/sma_cross.py"
            and item["labels"]["bundle"] == "us-indices"
            and params["fast"] < params["slow"] / 5
            and figures["max_drawdown"] > -0.4
        ):
            wanted.append((figures["sharpe_ratio"], item["backtest_id"]))
    told = shown.rows("backtest_id")
    assert [row[0] for row in told] == [name for _, name in sorted(wanted, reverse=True)[:5]]
    assert "no column, metric or parameter 'sharp_ratio'; there are sharpe_ratio" in shown.text


def check_full_workflow(shown: Shown) -> None:
    (run,) = shown.runs
    (other,) = (
        item
        for item in shown.manifests()
        if item["labels"]["names"] == ["full-workflow"] and item["backtest_id"] != run.name
    )
    assert metrics(run)["sharpe_ratio"] > other["metrics"]["sharpe_ratio"]
    assert "parameter fast changed: 10 -> 30" in shown.text
    assert "1 intact" in shown.text
    assert re.search(rf"identical     {run.name}  .*, grade A", shown.text)
    attested = (shown.project / "backtests/.ledger/replays").rglob("*.json")
    assert any(run.name in path.read_text() for path in attested)
    archive, checksum = re.findall(r"written: (\S+), .*\nsha256 (\w{64})", shown.text)[0]
    assert sha256_file(Path(archive)) == checksum


CHECKS: dict[str, Callable[[Shown], None]] = {
    "01_getting_started.ipynb": check_getting_started,
    "02_bring_your_data.ipynb": check_bring_your_data,
    "03_events_and_orders.ipynb": check_events_and_orders,
    "04_signal_form.ipynb": check_signal_form,
    "05_compare_runs.ipynb": check_compare_runs,
    "06_search.ipynb": check_search,
    "07_judge_luck.ipynb": check_judge_luck,
    "08_own_artifacts.ipynb": check_own_artifacts,
    "09_query_the_catalog.ipynb": check_query_the_catalog,
    "10_full_workflow.ipynb": check_full_workflow,
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name < "03" else pytest.mark.slow, id=name[:2])
        for name in NOTEBOOKS
    ],
)
def test_a_notebook_shows_what_the_store_says_and_writes_only_runs(
    name: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the kernel makes temporary folders
    before = other_files(project)
    shown = execute(project, name)
    assert other_files(project) == before
    CHECKS[name](shown)
