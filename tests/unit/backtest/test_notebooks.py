"""Real kernels, started in nested folders: files, notebooks and the session as strategies."""

import json
import re

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from backtrail import run_algorithm

from .project import WINDOW, manifest

IMPORTS = "from backtrail import TradingAlgorithm, run_algorithm\n"
SHOW = "import json\nprint('RESULT', json.dumps([result.backtest_id, result.reused, result.grade]))"
CALL = 'result = run_algorithm({strategy}bundle="prices", start="2020-01-02", end="2020-02-26")'
SESSION = CALL.format(strategy="initialize=initialize, handle_data=handle_data, ")
INITIALIZE = "def initialize(context):\n    context.bought = False\n"
HANDLE_DATA = """from backtrail.engine.api import order, symbol

AMOUNT = 100


def handle_data(context, data):
    if not context.bought:
        order(symbol("AAA"), AMOUNT)
        context.bought = True
"""


def write_notebook(path, cells):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(text) for text in cells]
    notebook.metadata["kernelspec"] = {
        "name": "python3", "language": "python", "display_name": "Python 3",
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return notebook


def execute(notebook, folder):
    """Execute a notebook in a kernel of its own, started in a folder; return its results."""
    folder.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute()
    printed = "".join(
        output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    )
    keys = ("backtest_id", "reused", "grade")
    return [
        dict(zip(keys, json.loads(line.removeprefix("RESULT ")), strict=True))
        for line in printed.splitlines()
        if line.startswith("RESULT ")
    ]


def run_cells(project, *cells, folder="notebooks/january"):
    nested = project.root / folder
    return execute(write_notebook(nested / "work.ipynb", [IMPORTS, *cells]), nested)


def captured(project, backtest_id):
    code = project.root / "backtests" / backtest_id / "code"
    return {
        path.relative_to(code).as_posix(): path.read_text()
        for path in code.rglob("*")
        if path.is_file()
    }


# A strategy file from a kernel


def test_a_file_run_from_a_nested_kernel_is_the_run_of_the_project(project):
    before = project.files()
    strategy = CALL.format(strategy='"../../strategies/sma.py", symbols=["AAA"], ')
    (made,) = run_cells(project, f"{strategy}\n{SHOW}")
    here = run_algorithm(project.sma, **WINDOW, symbols=["AAA"])
    assert (here.backtest_id, here.reused) == (made["backtest_id"], True)
    assert made["grade"] == "B"
    assert project.files() == [*before[:1], "notebooks/january/work.ipynb", *before[1:]]


# A notebook as the strategy


def test_the_cells_of_a_notebook_are_a_strategy(project):
    cells = [IMPORTS, "# Notes", INITIALIZE, HANDLE_DATA, SESSION, "raise SystemExit"]
    path = project.root / "notebooks/hold.ipynb"
    write_notebook(path, cells)
    result = run_algorithm(path, **WINDOW)
    assert result.grade == "B"
    strategy = manifest(result.output_dir)["identity"]["strategy"]
    assert strategy["entry"] == "notebooks/hold_ipynb.py"
    metadata = result.artifact_manager.load_metadata()
    assert metadata["strategy_entry_point"] == str(path)
    assert metadata["captured_files"] == ["notebooks/hold_ipynb.py"]
    assert "def handle_data" in captured(project, result.backtest_id)["notebooks/hold_ipynb.py"]
    assert result.fills["quantity"].to_list() == [100]


def test_a_notebook_that_runs_itself_is_the_same_run_as_from_outside(project):
    call = CALL.format(strategy='"work.ipynb", ')
    (made,) = run_cells(project, INITIALIZE, HANDLE_DATA, f"{call}\n{SHOW}")
    result = run_algorithm(project.root / "notebooks/january/work.ipynb", **WINDOW)
    assert (result.backtest_id, result.reused) == (made["backtest_id"], True)


# The session as the strategy


def test_functions_of_a_session_run_from_what_they_use_of_its_cells(project):
    before = project.files()
    (made,) = run_cells(
        project,
        INITIALIZE,
        HANDLE_DATA,
        "import polars as pl\nframe = pl.DataFrame({'a': [1, 2]})\nframe.height",
        f"{SESSION}\n{SHOW}",
    )
    assert made["grade"] == "B"
    files = captured(project, made["backtest_id"])
    assert list(files) == ["notebooks/january/notebook_session.py"]
    (text,) = files.values()
    assert text == (
        "# What the strategy uses of the cells of its session.\n"
        "from backtrail.engine.api import order\n"
        "from backtrail.engine.api import symbol\n"
        "\n"
        "\n\n"
        "def initialize(context):\n    context.bought = False\n"
        "\n\n"
        "def handle_data(context, data):\n"
        "    if not context.bought:\n"
        '        order(symbol("AAA"), AMOUNT)\n'
        "        context.bought = True\n"
        "AMOUNT = 100\n"
    )
    run = project.root / "backtests" / made["backtest_id"]
    assert manifest(run)["identity"]["strategy"]["functions"] == {
        "initialize": "initialize", "handle_data": "handle_data",
    }  # fmt: skip
    assert not (project.root / "notebooks/january/notebook_session.py").exists()
    assert [name for name in project.files() if name not in before] == [
        "notebooks/january/work.ipynb"
    ]


def test_the_same_definitions_are_the_same_run_whatever_else_was_typed(project):
    first, second, third = run_cells(
        project,
        INITIALIZE,
        HANDLE_DATA,
        f"{SESSION}\n{SHOW}",
        "result.performance.height",
        "x = 1 / 0 if False else 5",
        f"{SESSION}\n{SHOW}",
        HANDLE_DATA.replace("AMOUNT = 100", "AMOUNT = 50 * 2  # as before"),
        f"{SESSION}\n{SHOW}",
    )
    assert (second["backtest_id"], second["reused"]) == (first["backtest_id"], True)
    assert (third["backtest_id"], third["reused"]) == (first["backtest_id"], True)


def test_a_definition_that_is_changed_in_the_session_is_another_run(project):
    first, second, third = run_cells(
        project,
        INITIALIZE,
        HANDLE_DATA,
        f"{SESSION}\n{SHOW}",
        "AMOUNT = 7",
        f"{SESSION}\n{SHOW}",
        HANDLE_DATA.replace('"AAA"', '"BBB"'),
        f"{SESSION}\n{SHOW}",
    )
    assert len({item["backtest_id"] for item in (first, second, third)}) == 3
    texts = ["".join(captured(project, item["backtest_id"]).values()) for item in (second, third)]
    assert "AMOUNT = 7\n" in texts[0]
    assert 'symbol("BBB"), AMOUNT' in texts[1]
    assert "AMOUNT = 100\n" in texts[1]


def test_a_class_and_its_helpers_of_a_session_are_taken_with_their_module_imports(project):
    project.write("notebooks/january/helper.py", "FACTOR = 3\n")
    (made,) = run_cells(
        project,
        "from dataclasses import dataclass, field\nimport math, helper\n",
        "@dataclass(frozen=True)\nclass Params:\n    amount: int = 4\n",
        "def deep(x):\n    return math.ceil(x)\n",
        "def amount(x):\n    return deep(x) * helper.FACTOR\n",
        "LIMITS = {}\nLIMITS['most'] = 1000\nclass Base(TradingAlgorithm):\n    unit = 1\n",
        "class Hold(Base):\n    def handle_data(self, context, data):\n"
        "        wanted = min(amount(self.params.amount), LIMITS['most'])\n"
        "        self.order_target(self.symbol('AAA'), wanted)\n",
        "Hold.unit = 2",
        f'result = Hold().run(bundle="prices", start="2020-01-02", end="2020-02-26")\n{SHOW}',
    )  # fmt: skip
    assert made["grade"] == "B"
    files = captured(project, made["backtest_id"])
    assert sorted(files) == [
        "notebooks/january/helper.py", "notebooks/january/notebook_session.py",
    ]  # fmt: skip
    text = files["notebooks/january/notebook_session.py"]
    for part in ("import helper\n", "import math\n", "def deep(x)", "LIMITS = {'most': 1000}\n",
                 "class Base(TradingAlgorithm)", "Hold.unit = 2", "class Params"):  # fmt: skip
        assert part in text
    assert text.index("class Base") < text.index("class Hold") < text.index("Hold.unit = 2")
    assert "field" not in text
    assert "run(" not in text


def test_mistakes_and_magics_of_a_session_are_no_matter(project):
    (made,) = run_cells(
        project,
        "%matplotlib --list\n!echo hello\n",
        INITIALIZE,
        "try:\n    undefined_name\nexcept NameError:\n    pass\n",
        HANDLE_DATA,
        f"{SESSION}\n{SHOW}",
    )
    assert made["grade"] == "B"


def test_a_session_run_replays_from_its_captured_code(project):
    from backtrail.artifacts.manifest import inspect_run
    from backtrail.artifacts.rundir import RunDir
    from backtrail.batch import stages
    from backtrail.batch.execution.executor import Executor
    from backtrail.batch.execution.sandbox import Limits

    (made,) = run_cells(project, INITIALIZE, HANDLE_DATA, f"{SESSION}\n{SHOW}")
    run = RunDir(project.root / "backtests" / made["backtest_id"])
    for name in ("fills.parquet", "backtest_results.parquet"):
        (run.results / name).unlink()
    with Executor(project.root / "bundles", Limits(), csv_twins=True) as executor:
        stages.restore_run(project.store, run.backtest_id, executor)
    assert not inspect_run(run)


def said(error):
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error.value))


def test_a_value_that_is_no_plain_data_is_named_in_the_manifest(project):
    (made,) = run_cells(
        project,
        "import numpy as np\nWEIGHTS = np.ones(3)\nWEIGHTS[0] = 5\n",
        INITIALIZE,
        HANDLE_DATA.replace("AMOUNT)", "int(WEIGHTS.sum()))"),
        f"{SESSION}\n{SHOW}",
    )
    run = project.root / "backtests" / made["backtest_id"]
    recorded = json.loads((run / "metadata/code_manifest.json").read_bytes())
    assert recorded["warnings"] == [
        "'WEIGHTS' is made by its cell anew; it is not the object of the session"
    ]
    assert "WEIGHTS = np.ones(3)\nWEIGHTS[0] = 5\n" in "".join(
        captured(project, made["backtest_id"]).values()
    )
    fills = pl.read_parquet(run / "results/fills.parquet")
    assert fills["quantity"].cast(float).to_list() == [7.0]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["handle_data = lambda context, data: None"], "handle_data is a lambda"),
        (
            ["def make():\n    def handle_data(context, data):\n        pass\n"
             "    return handle_data\nhandle_data = make()"],
            "handle_data is defined inside of make",
        ),
    ],
)  # fmt: skip
def test_a_function_without_a_name_in_the_session_is_refused(project, cells, message):
    call = CALL.format(strategy="handle_data=handle_data, ")
    with pytest.raises(CellExecutionError) as caught:
        run_cells(project, *cells, call)
    assert message in said(caught)
    assert project.store.run_dirs() == []
