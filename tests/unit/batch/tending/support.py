"""What the tests of tending share: a store of several runs, copied with its hard links."""

import subprocess
from datetime import UTC, datetime

from tests.unit.batch.support import Project, batch_config, entry, functions

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOLD = functions(
    initialize="context.bought = False",
    handle_data="""
import backtrail.engine.api as api
if not context.bought:
    api.order(api.symbol("AAA"), 10)
    context.bought = True
""",
)


READER = """
def initialize(context):
    with open({!r}) as stream:
        context.text = stream.read()


def handle_data(context, data):
    pass
"""


def make_project(root):
    """Make a project of six runs: three of one strategy, one that reads a file, one that fails."""
    project = Project.make(root)
    project.write("strategies/hold.py", HOLD)
    project.write("strategies/bad.py", "raise ValueError('no luck')\n")
    project.write("notes.txt", "read from outside\n")
    project.write("strategies/reader.py", READER.format(str(root / "notes.txt")))
    grid = {"extends": "sma", "grid": {"fast": [2, 3, 4]}}
    named = {name: entry(strategy=f"strategies/{name}.py") for name in ("hold", "bad", "reader")}
    project.configure(batch_config(batch={"sma": entry(), "sma-grid": grid, **named}))
    project.run()
    return project


def copy_project(project, target):
    """Copy a project as it is, with the links among its files."""
    subprocess.run(["cp", "-a", project.root, target], check=True)
    return Project(target)


def ids_by_name(project):
    """Return the newest id of each name."""
    return {
        name: run.backtest_id
        for run in project.store.run_dirs()
        for name in run.read_spec()["labels"]["names"]
    }
