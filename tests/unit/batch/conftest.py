import tempfile
from datetime import date

import pytest

from backtrail.batch.execution.sandbox import Limits, Sandbox
from backtrail.data.datasets import Dataset
from backtrail.data.manifest import read_head
from backtrail.data.windows import read_window

from .support import Project

IDENTITY = {
    "ledger": "decimal",
    "execution": {"fill": "next_open", "size_at": "signal_close", "shares": "whole",
                  "cash_policy": "clip"},
    "commission": {"model": "none", "cost": "0"},
    "capital_base": "100000",
    "benchmark": None,
    "params": {},
}  # fmt: skip


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    project = Project.make(tmp_path_factory.mktemp("sandbox") / "project")
    project.ingest()
    dataset = Dataset.open(project.bundles / "prices" / read_head(project.bundles, "prices"))
    return read_window(dataset, ["AAA"], date(2020, 1, 2), date(2020, 2, 26)).to_bytes()


@pytest.fixture(scope="module")
def sandbox():
    """Return one for the whole file: starting it takes longer than most runs."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def execute(sandbox, packed, tmp_path):
    """Run a strategy text; return the outcome and what it printed."""

    def execute(
        text, *, entry="s.py", files=(), using=sandbox, functions=None, identity=IDENTITY, **limits
    ):
        code = tmp_path / "run" / "code"
        given = {entry: text, **dict(files)}
        for name, content in given.items():
            path = code / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        request = {
            "code_dir": str(code),
            "entry": entry,
            "files": list(given),
            "functions": functions,
            "identity": identity,
            "seed": 1,
            "periods_per_year": 260.0,
            "backtest_id": "20260102_000000_000",
            "target": str(tmp_path / "run"),
        }
        with (
            tempfile.TemporaryFile() as bars,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            bars.write(packed)
            bars.flush()
            outcome = using.run(
                request, Limits(**{"seconds": 60.0, **limits}), bars=[bars], stdout=out, stderr=err
            )
            out.seek(0)
            err.seek(0)
            return outcome, out.read(), err.read()

    return execute


@pytest.fixture
def project(tmp_path):
    return Project.make(tmp_path / "project")
