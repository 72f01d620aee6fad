import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"pyarrow", "pandas", "scipy", "sqlalchemy", "numba", "jinja2", "arch"}


def modules_after(code):
    """Return the top-level modules that a fresh process has loaded after some code."""
    script = f"{code}\nimport sys\nprint(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def library_imports(text):
    """Return the import statements of this package at the head of a script or rule file."""
    return re.findall(r"^from backtrail.*$", text, re.MULTILINE)


@pytest.mark.parametrize(
    "module", ["backtrail.batch.child", "backtrail.batch.zygote", "backtrail.engine"]
)
def test_the_process_of_a_run_loads_nothing_heavy_and_no_polars(module):
    loaded = modules_after(f"import {module}")
    assert loaded & (HEAVY | {"polars", "jsonschema", "snakemake"}) == set()


@pytest.mark.parametrize(
    "script", ["run_backtest", "capture_code", "seal_run", "execute_shard", "restore_artifact"]
)
def test_the_script_of_a_run_job_loads_nothing_heavy(script):
    text = (ROOT / f"scripts/{script}.py").read_text(encoding="utf-8")
    ast.parse(text)
    imports = library_imports(text)
    assert len(imports) >= 2
    assert modules_after("\n".join(imports)) & HEAVY == set()


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
    assert "from backtrail.batch.loading import open_batch" in imports
    loaded = modules_after("\n".join(imports))
    assert loaded & (HEAVY | {"numpy", "polars", "jsonschema"}) == set()


def test_the_command_line_starts_light():
    assert modules_after("import backtrail.cli") & (HEAVY | {"numpy", "polars"}) == set()
