"""The commands that show runs: `report`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import add_command, config_files, existing_store, read_places
from backtrail.reports.settings import REPORT_FILES

__all__ = ["add_report_commands"]


def add_report_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    text = "render the pages of finished runs anew, and say where they are"
    report = add_command(commands, "report", _report, text)
    report.add_argument("runs", nargs="+", metavar="run", help="backtest id, or its beginning")
    report.add_argument(
        "--kind",
        action="append",
        choices=tuple(REPORT_FILES),
        help="which report; may be given again (default: reports.kinds of the config)",
    )
    report.add_argument(
        "--theme",
        choices=("auto", "light", "dark"),
        help="theme that the pages open with (default: reports.theme of the config)",
    )


def _report(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.planning.reporting import read_report_config
    from backtrail.batch.stages import render_run

    store, places = existing_store(options), read_places(options)
    config = read_report_config(config_files(options), Path.cwd())
    if options.kind:
        config = replace(config, kinds=tuple(kind for kind in REPORT_FILES if kind in options.kind))
    if options.theme:
        config = replace(config, theme=options.theme)
    runs = [find_run(store, name) for name in options.runs]
    made: dict[str, list[str]] = {}
    for run in runs:
        pages = render_run(store, run.backtest_id, places.bundles, config=config)
        made[run.backtest_id] = [str(page) for page in pages]
        if not options.json:
            for page in pages:
                print(page, flush=True)
    if options.json:
        print(pretty_json(made), end="")
    return 0
