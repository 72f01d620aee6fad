"""A project in a folder, taken through the stages by library calls alone."""

import atexit
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.sandbox import Limits, Sandbox
from backtrail.batch.planning.loading import open_batch
from backtrail.batch.planning.plan import make_plan
from backtrail.data import ingest_bundle
from backtrail.errors import RunFailedError
from tests.projects import PRICES, SMA, write_prices

FUNCTIONS = """
def initialize(context):
{initialize}

def handle_data(context, data):
{handle_data}
"""


def functions(*, top="", initialize="pass", handle_data="pass"):
    """Return a strategy in function form from the bodies of its functions."""
    bodies = [textwrap.indent(textwrap.dedent(text), "    ") for text in (initialize, handle_data)]
    body = FUNCTIONS.format(initialize=bodies[0], handle_data=bodies[1])
    return textwrap.dedent(top) + body


def on_first_bar(text, top=""):
    """Return a strategy that does something once, at its first bar."""
    return functions(
        top=top,
        initialize="context.done = False",
        handle_data="if not context.done:\n    context.done = True\n"
        + textwrap.indent(text, "    "),
    )


def batch_config(**sections):
    config = {
        "bundles": {"prices": {**PRICES}},
        "batch": {
            "sma": {
                "strategy": "strategies/sma.py",
                "bundle": "prices",
                "symbols": ["AAA"],
                "start": "2020-01-02",
                "end": "2020-02-26",
            }
        },
    }
    return {**config, **sections}


def entry(**keys):
    return {**batch_config()["batch"]["sma"], **keys}


@cache
def shared_sandbox():
    """Return the sandbox of this test process; starting one takes longer than most runs."""
    sandbox = Sandbox()
    atexit.register(sandbox.close)
    return sandbox


@dataclass
class Project:
    root: Path

    @classmethod
    def make(cls, root, config=None):
        project = cls(root)
        write_prices(root / "prices", sessions=40)
        project.write("strategies/sma.py", SMA)
        project.write("strategies/lib/__init__.py", "")
        project.write(
            "strategies/lib/means.py", "def mean(x):\n    return float(sum(x)) / len(x)\n"
        )
        project.configure(config or batch_config())
        return project

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def configure(self, config):
        self.write("config.yaml", yaml.safe_dump(config, sort_keys=False))

    def batch(self, **overrides):
        files = [Path("config.yaml")]
        return open_batch(files, root=self.root, overrides=overrides, sandbox=shared_sandbox())

    def ingest(self):
        batch = self.batch()
        for name in batch.used_bundles:
            ingest_bundle(batch.bundle(name), root=self.root, bundles_dir=batch.places.bundles)
        return batch

    @property
    def store(self):
        return RunStore(self.root / "backtests", self.root)

    @property
    def bundles(self):
        return self.root / "bundles"

    def executor(self, **limits):
        return Executor(
            self.bundles,
            Limits(**{"seconds": 60.0, **limits}),
            csv_twins=True,
            sandbox=shared_sandbox(),
        )

    def plan(self, **overrides):
        self.ingest()
        return make_plan(self.batch(**overrides), sandbox=shared_sandbox())

    def run(self, plan=None, **limits):
        """Take every run of the batch through its stages; return the ids of failed ones."""
        plan, failed = plan or self.plan(), []
        with self.executor(**limits) as executor:
            for planned in plan.runs:
                try:
                    stages.capture_code(self.store, planned.backtest_id)
                    stages.run_backtest(self.store, planned.backtest_id, executor)
                    stages.seal_run(self.store, planned.backtest_id)
                except RunFailedError:
                    failed.append(planned.backtest_id)
        return plan, failed
