"""A project of a user's own, without Snakemake: prices, a config, strategies, scripts."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import yaml

from backtrail.artifacts.store import RunStore
from tests import warm
from tests.unit.batch.support import SMA, batch_config, write_prices

WINDOW = {"start": "2020-01-02", "end": "2020-02-26"}
HOLD = """
from backtrail.engine.api import order, record, symbol


def initialize(context):
    context.bought = False


def handle_data(context, data):
    if not context.bought:
        order(symbol("AAA"), 100)
        context.bought = True
    record(held=context.portfolio.positions["AAA"].amount)
"""


@dataclass
class ScriptProject:
    root: Path

    @classmethod
    def make(cls, root, **sections):
        project = cls(root)
        write_prices(root / "prices", sessions=40)
        project.write("strategies/sma.py", SMA)
        project.write("strategies/hold.py", HOLD)
        project.write("strategies/lib/__init__.py", "")
        project.write(
            "strategies/lib/means.py", "def mean(x):\n    return float(sum(x)) / len(x)\n"
        )
        project.configure(batch_config(**sections))
        return project

    @property
    def store(self):
        return RunStore(self.root / "backtests")

    @property
    def sma(self):
        return self.root / "strategies/sma.py"

    @property
    def hold(self):
        return self.root / "strategies/hold.py"

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def configure(self, config):
        self.write("config/config.yaml", yaml.safe_dump(config, sort_keys=False))

    def files(self):
        """Return every file of the project but runs and bundles."""
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file()
            and path.relative_to(self.root).parts[0] not in {"backtests", "bundles"}
            and "__pycache__" not in path.parts
        )

    def python(self, *arguments, folder=None, status=0, plain=False):
        """Run Python as a user would, in a folder; return what it printed.

        A plain one imports everything itself.
        """
        done = subprocess.run(
            [sys.executable if plain else warm.interpreter(), *map(str, arguments)],
            cwd=folder or self.root,
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stdout + done.stderr

    def script(self, text, name="scripts/run.py", **options):
        """Write a script and run it; return what it printed."""
        return self.python(self.write(name, text), **options)


def manifest(output_dir):
    return json.loads((Path(output_dir) / "run.json").read_bytes())
