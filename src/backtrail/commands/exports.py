"""The commands that hand runs to other tools and to people: `export` and `views`."""

import argparse
from pathlib import Path
from typing import Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import add_command, existing_store
from backtrail.wording import counted

__all__ = ["add_export_commands"]


def add_export_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    text = "write runs for another tool: a folder that MLflow opens"
    export = add_command(commands, "export", _export, text)
    export.add_argument("runs", nargs="+", metavar="RUN", help="backtest ids, or their beginnings")
    export.add_argument(
        "--mlflow", required=True, metavar="DIR", help="folder of MLflow's file store, as mlruns"
    )
    export.add_argument(
        "--link", action="store_true", help="hard links to the files of the runs instead of copies"
    )
    text = "write a tree of links to the runs: by month, strategy, symbol and tag"
    views = add_command(commands, "views", _views, text)
    views.add_argument(
        "--to", default="views", metavar="DIR", help="where it goes (default: %(default)s)"
    )


def _export(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.tending.mlflow_files import export_mlflow

    store = existing_store(options)
    names = dict.fromkeys(find_run(store, name).backtest_id for name in options.runs)
    runs = [store.run(name) for name in names]
    found = export_mlflow(store, runs, Path(options.mlflow), link=options.link)
    if options.json:
        print(pretty_json([run.to_dict() for run in found]), end="")
        return 0
    for run in found:
        print(f"{run.backtest_id}  run {run.run_id} of experiment {run.experiment}")
    print(f"{counted(len(found), 'run')} in {options.mlflow}")
    return 0


def _views(options: argparse.Namespace) -> int:
    from backtrail.batch.tending.views import write_views

    found = write_views(existing_store(options), Path(options.to))
    if options.json:
        print(pretty_json(found.to_dict()), end="")
        return 0
    for view, count in found.folders.items():
        print(f"{found.path}/{view}  {counted(count, 'folder')}")
    print(f"{counted(found.links, 'link')} to {counted(found.runs, 'run')}")
    return 0
