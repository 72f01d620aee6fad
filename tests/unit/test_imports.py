import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from batch.support import Project

import backtrail.data
from backtrail.batch import stages

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"pyarrow", "pandas", "scipy", "sqlalchemy", "numba", "jinja2", "arch"}


def modules_after(code, *arguments):
    """Return what a fresh process has loaded after some code: our modules, and top-level others."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    names = result.stdout.split()
    ours = {name for name in names if name.startswith("backtrail.")}
    return ours | {name.partition(".")[0] for name in names}


def script_imports(script):
    """Return the imports of this package that a script makes."""
    text = (ROOT / f"scripts/{script}.py").read_text(encoding="utf-8")
    ast.parse(text)
    imports = library_imports(text)
    assert len(imports) >= 2
    return "\n".join(imports)


def library_imports(text):
    """Return the import statements of this package at the head of a script or rule file."""
    return re.findall(r"^from backtrail.*$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "module",
    ["backtrail.batch.execution.child", "backtrail.batch.execution.zygote", "backtrail.engine"],
)
def test_the_process_of_a_run_loads_nothing_heavy_and_no_polars(module):
    loaded = modules_after(f"import {module}")
    assert loaded & (HEAVY | {"polars", "jsonschema", "snakemake"}) == set()


@pytest.mark.parametrize(
    "script", ["run_backtest", "capture_code", "seal_run", "execute_shard", "restore_artifact"]
)
def test_the_script_of_a_run_job_starts_without_tables_and_numbers(script):
    assert modules_after(script_imports(script)) & (HEAVY | {"numpy", "polars"}) == set()


JOB = """
import sys
from pathlib import Path

project, backtest_id = Path(sys.argv[1]), sys.argv[2]
with Executor(project / "bundles", Limits(60.0), csv_twins=True) as executor:
    stages.run_backtest(RunStore(project / "backtests"), backtest_id, executor)
"""


def test_a_job_that_executes_a_run_reads_and_writes_tables_and_leaves_numbers_to_its_child(
    tmp_path,
):
    project = Project.make(tmp_path / "project")
    (planned,) = project.plan().runs
    stages.capture_code(project.store, planned.backtest_id)
    imports = script_imports("run_backtest")
    loaded = modules_after(imports + JOB, project.root, planned.backtest_id)
    run = project.store.run(planned.backtest_id)
    assert run.read_manifest()["status"] == "executed"
    assert (run.results / "summary_statistics.csv").exists()
    assert {"polars", "backtrail.batch.execution.results", "backtrail.data.windows"} <= loaded
    numbers = {"numpy", "backtrail.engine", "backtrail.metrics", "backtrail.batch.execution.child"}
    making_data = {"backtrail.data.bundles", "backtrail.data.sources", "backtrail.data.ingest"}
    assert loaded & (HEAVY | numbers | making_data | {"yaml", "jsonschema"}) == set()


def test_a_job_that_finds_its_run_executed_loads_no_table(tmp_path):
    project = Project.make(tmp_path / "project")
    plan, failed = project.run()
    assert failed == []
    imports = script_imports("run_backtest")
    loaded = modules_after(imports + JOB, project.root, plan.runs[0].backtest_id)
    assert loaded & (HEAVY | {"numpy", "polars"}) == set()


def test_names_of_the_data_package_are_loaded_when_they_are_used():
    loaded = modules_after("import backtrail.data")
    assert {name for name in loaded if name.startswith("backtrail.")} == {"backtrail.data"}
    every = "from backtrail.data import *\nassert callable(load_bars), read_head"
    assert {"backtrail.data.ingest", "backtrail.data.arrays", "polars"} <= modules_after(every)
    with pytest.raises(AttributeError, match=r"'backtrail\.data' has no attribute 'nothing'"):
        backtrail.data.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_of_it():
    loaded = modules_after("import backtrail")
    assert loaded & (HEAVY | {"numpy", "polars", "yaml"}) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "from backtrail import TradingAlgorithm, run_algorithm",
        "from backtrail.backtest import TradingAlgorithm, run_algorithm",
    ],
)
def test_what_a_script_imports_loads_no_more_than_the_engine(statement):
    """A script is imported again by the process of its run."""
    loaded = modules_after(statement)
    assert loaded & (HEAVY | {"polars", "yaml", "jsonschema", "IPython"}) == set()


def test_every_name_that_the_package_offers_is_there():
    import backtrail
    from backtrail import backtest

    for module in (backtrail, backtest):
        for name in module.__all__:
            assert getattr(module, name) is not None
            assert name in dir(module)
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            getattr(module, "nothing")  # noqa: B009  reading it is the test


def test_what_the_snakefile_imports_at_parse_time_is_light():
    imports = library_imports((ROOT / "workflow/rules/common.smk").read_text(encoding="utf-8"))
    assert "from backtrail.batch.planning.loading import open_batch" in imports
    loaded = modules_after("\n".join(imports))
    assert loaded & (HEAVY | {"numpy", "polars", "jsonschema"}) == set()


def test_the_command_line_starts_light():
    assert modules_after("import backtrail.cli") & (HEAVY | {"numpy", "polars"}) == set()
