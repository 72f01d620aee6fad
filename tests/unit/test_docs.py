"""What the documents say is so: pages are fresh, configs fit, commands exist, examples run."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_packaging import load_tool

from backtrail import run_algorithm
from backtrail.batch.planning.bundles import bundle_config, bundle_definition
from backtrail.batch.planning.config import schema_problems, with_defaults
from backtrail.batch.planning.config_files import read_config
from backtrail.batch.planning.requests import expand_batch
from backtrail.cli import build_parser
from backtrail.data import ingest_bundle
from backtrail.engine import Bars, EngineConfig, load_strategy, run_event, run_signal
from backtrail.metrics.summary import metric_names, summarize_tables

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "config" / "README.md",
        ROOT / "examples" / "notebooks" / "README.md",
        ROOT / "strategies" / "README.md",
    ]
)
_FENCE = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")
_BASE = {
    "bundles": {
        "us-indices": {
            "adapter": "csv",
            "path": "resources/demo/us-indices",
            "calendar": "XNYS",
            "timeframe": "1d",
        }
    },
    "batch": {
        "one": {
            "strategy": "strategies/sma_cross.py",
            "bundle": "us-indices",
            "start": "1999-01-04",
            "end": "2018-12-31",
        }
    },
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def fenced() -> Iterator[tuple[Path, int, str, str]]:
    """Yield page, number, language and text of each fenced block."""
    for page in PAGES:
        found = _FENCE.findall(page.read_text(encoding="utf-8"))
        for number, (language, text) in enumerate(found, start=1):
            yield page, number, language, text


def blocks(wanted: str) -> list[Any]:
    return [
        pytest.param(text, id=f"{name_of(page)}-{number}")
        for page, number, language, text in fenced()
        if language == wanted
    ]


def commands() -> list[Any]:
    return [
        pytest.param(shlex.split(line), id=f"{name_of(page)}-{number}: {line.strip()}")
        for page, number, language, text in fenced()
        for line in text.splitlines()
        if language == "sh" and line.strip() and "[" not in line  # usage lines have brackets
    ]


@pytest.mark.parametrize(
    "name",
    [
        "api.md",
        "artifacts.md",
        "catalog.md",
        "cli.md",
        "config.md",
        "json-files.md",
        "metrics.md",
        "search-and-validation.md",
    ],
)
def test_reference_page_is_what_make_docs_writes(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    assert load_tool("write_reference").pages()[name] == page, "run `make docs`"


def test_every_metric_has_unit_formula_assumption_and_source() -> None:
    page = load_tool("write_reference").metrics_page()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert [row[0].strip(" `") for row in rows] == list(metric_names())
    for row in rows:
        assert len(row) == 6
        assert all(len(cell.strip()) > 2 or cell.strip() == "–" for cell in row), row
    told = {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in rows}
    assert told["sharpe_ratio"] == [
        "ratio",
        "mean(r - rf) / std(r - rf, ddof=1) * sqrt(periods_per_year). "
        "The mean is the arithmetic one",
        "arithmetic mean, 252 bars a year, risk-free rate 0 a year",
        "the returns have no variance",
        "Sharpe (1994), The Sharpe Ratio",
    ]
    assert told["cagr"][3] == "more than everything was lost, or the run is too short"
    assert told["profit_factor"][3] == "no losing trade"


def test_what_how_to_pages_import_stands_in_the_reference() -> None:
    tool = load_tool("write_reference")
    told = tool.api_page() + tool.search_page()
    for name, said in {
        "summarize": "summarize(\n    equity: npt.ArrayLike",
        "metric": "metric(\n    function: Measure | None = None",
        "load_bars": "load_bars(dataset: Dataset, symbols: Sequence[str]",
        "Dataset": "One immutable dataset on disk",
        "Bars": "Raw prices of one or more symbols",
        "EngineConfig": "- `capital_base`: ",
        "ParameterDefinition": "a stepped range or listed values",
    }.items():
        (entry,) = re.findall(rf"^## `{name}`\n(.*?)(?=^## |\Z)", told, re.MULTILINE | re.DOTALL)
        assert said in entry, name


def test_every_config_key_has_a_meaning() -> None:
    rows = re.findall(r"^\| `.*$", load_tool("write_reference").config_page(), re.MULTILINE)
    assert len(rows) > 40
    assert [row for row in rows if row.endswith("|  |")] == []


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_example_fits_the_schema(text: str, tmp_path: Path) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(text, encoding="utf-8")
    example = read_config([file])
    config = {**_BASE, **example}
    assert [str(problem) for problem in schema_problems(config, "example")] == []
    for bundle in config["bundles"]:
        definition = bundle_definition(bundle, config["bundles"])
        assert bundle_config(bundle, definition).name == bundle
    if "batch" in example and "us-indices" in config["bundles"]:
        requests, problems = expand_batch(with_defaults(config), "example")
        assert [str(problem) for problem in problems] == []
        assert len(requests) >= len(config["batch"])


@pytest.mark.parametrize("words", commands())
def test_command_in_a_page_exists(words: list[str]) -> None:
    program = Path(words[0]).name
    if program == "make":
        targets = re.findall(
            r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
        )
        assert [word for word in words[1:] if "=" not in word and word not in targets] == []
    elif program == "backtrail":
        assert build_parser().parse_args(words[1:]).command is not None
    else:
        assert words[0] == "." or program in {"snakemake", "pre-commit"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    for target, _ in _LINK.findall(page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{name_of(page)} links to {target}"


@pytest.mark.parametrize("text", blocks("python"))
def test_python_example_parses(text: str) -> None:
    ast.parse(text)


def rising_bars() -> Bars:
    rows, columns = 60, 2
    close = np.add.outer(np.linspace(100.0, 160.0, rows), np.array([0.0, 50.0]))
    return Bars(
        symbols=("AAA", "BBB"),
        timestamps=np.arange(rows, dtype=np.int64) * 86_400_000_000,
        open=close,
        high=close,
        low=close,
        close=close,
        volume=np.full((rows, columns), 1000.0),
        splits=np.ones((rows, columns)),
        dividends=np.zeros((rows, columns)),
        delisted=np.full(columns, -1, dtype=np.int64),
        calendar="24/7",
        timeframe="1d",
    )


@pytest.mark.parametrize(
    ("number", "form", "symbols"),
    [
        # Prices rise at every bar, so each example is invested at the end.
        (0, "class", ["AAA", "BBB"]),
        (1, "function", ["AAA"]),
        (2, "signal", ["AAA", "BBB"]),
        (3, "step", ["AAA", "BBB"]),
    ],
)
def test_strategy_example_runs_and_buys(
    number: int, form: str, symbols: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "how-to" / "write-a-strategy.md").read_text(encoding="utf-8")
    examples = [text for kind, text in _FENCE.findall(page) if kind == "python"]
    module = types.ModuleType(f"example_{number}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(examples[number], module.__name__, "exec"), vars(module))
    strategy = load_strategy(module)
    assert strategy.form == form
    run = run_signal if strategy.gives_weights else run_event
    fills = run(strategy, rising_bars(), EngineConfig()).tables["fills"]
    held: dict[str, Decimal] = defaultdict(Decimal)
    for symbol, quantity in zip(fills["symbol"], fills["quantity"], strict=True):
        held[symbol] += quantity
    assert sorted(held) == symbols
    assert min(held.values()) > 0


def test_the_example_of_own_metrics_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "how-to" / "write-a-strategy.md").read_text(encoding="utf-8")
    examples = [text for kind, text in _FENCE.findall(page) if kind == "python"]
    module = types.ModuleType("example_metrics")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for text in (examples[2], examples[4]):
        exec(compile(text, module.__name__, "exec"), vars(module))
    strategy = load_strategy(module)
    tables = run_signal(strategy, rising_bars(), EngineConfig()).tables
    rows = summarize_tables(tables, periods_per_year=365.0, own=strategy.metrics)[-2:]
    assert [(row.metric, row.value, row.unit) for row in rows] == [
        ("worst_five", pytest.approx(0.0, abs=1e-12), "fraction"),
        ("longest_loss", None, "bars"),
    ]
    assert rows[0].assumption == "Mean of the five worst returns of one bar."


@pytest.mark.parametrize(
    ("page", "number", "sold"),
    [
        ("place-orders", 0, False),
        ("place-orders", 1, False),
        ("schedule-and-control", 0, False),
        ("schedule-and-control", 1, True),
        ("schedule-and-control", 2, False),
    ],
)
def test_example_of_orders_and_schedules_runs_and_buys(
    page: str, number: int, sold: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text(encoding="utf-8")
    examples = [text for kind, text in _FENCE.findall(text) if kind == "python"]
    module = types.ModuleType(f"example_{number}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(examples[number], module.__name__, "exec"), vars(module))
    tables = run_event(load_strategy(module), rising_bars(), EngineConfig()).tables
    quantities = tables["fills"]["quantity"]
    assert sum(quantities) > 0
    assert any(quantity < 0 for quantity in quantities) == sold


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("measure-luck", None),
        pytest.param("search-with-optuna", "optuna", marks=pytest.mark.slow),
    ],
)
def test_a_worked_example_prints_what_its_page_says(
    name: str, extra: str | None, tmp_path: Path
) -> None:
    if extra is not None:
        pytest.importorskip(extra, reason=f"the extra `{extra}` is not installed")
    shutil.copytree(ROOT / "resources", tmp_path / "resources")
    (tmp_path / "strategies").symlink_to(ROOT / "strategies")
    bundle = bundle_config("us-indices", _BASE["bundles"]["us-indices"])
    ingest_bundle(bundle, root=tmp_path, bundles_dir=tmp_path / "bundles")
    page = (ROOT / "docs" / "how-to" / f"{name}.md").read_text(encoding="utf-8")
    found = dict(_FENCE.findall(page))
    run = subprocess.run(
        [sys.executable, "-c", found["python"]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stderr, run.stdout) == ("", found["text"])


@pytest.mark.slow
def test_the_verdict_on_the_default_search_is_what_its_page_quotes(tmp_path: Path) -> None:
    for name in ("config", "resources", "strategies"):
        shutil.copytree(ROOT / name, tmp_path / name)
    entry = read_config([tmp_path / "config" / "config.yaml"])["batch"]["sma-search"]
    strategy = tmp_path / entry.pop("strategy")
    result = run_algorithm(strategy, name="sma-search", **entry)
    page = (ROOT / "docs" / "how-to" / "judge-a-search.md").read_text(encoding="utf-8")
    first = re.search(r"(?:^> .*\n)+", page, re.MULTILINE)
    assert first is not None
    assert result.verdict is not None
    quoted = " ".join(line.removeprefix("> ") for line in first[0].splitlines())
    # What is drawn by chance is drawn anew with every version of the library: a p-value, and the
    # clause on random entries, whose share is near what its gate asks for.
    drawn = re.compile(r"(?<=SPA p-value )[\d.]+\d")
    told = [
        re.sub(r"; of 1,000 random times.*?(?=: no edge)", "", text)
        for text in (quoted, result.verdict["summary"])
    ]
    found = [float(drawn.findall(text)[0]) for text in told]
    assert found[0] == pytest.approx(found[1], abs=0.06)
    assert drawn.sub("-", told[0]) == drawn.sub("-", told[1])
