"""The commands that show runs: `report` and `compare`."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import add_command, config_files, existing_store, read_places
from backtrail.commands.tables import write_frame
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
        help="which report; may be given again (default: reports.kinds of the config, and search "
        "for a run that searched)",
    )
    report.add_argument(
        "--theme",
        choices=("auto", "light", "dark"),
        help="theme that the pages open with (default: reports.theme of the config)",
    )
    text = "put runs side by side: parameters, data, code and every metric that differs"
    compare = add_command(commands, "compare", _compare, text)
    compare.add_argument("runs", nargs="+", metavar="run", help="backtest id, or its beginning")
    compare.add_argument("--all", action="store_true", help="show equal values, too")
    compare.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the whole table there, as its name ends: .csv, .parquet or .json",
    )


def _report(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.planning.reporting import read_report_config
    from backtrail.batch.stages import render_run
    from backtrail.reports.search import is_search

    store, places = existing_store(options), read_places(options)
    config = read_report_config(config_files(options), places.root)
    if options.kind:
        config = replace(config, kinds=tuple(kind for kind in REPORT_FILES if kind in options.kind))
    if options.theme:
        config = replace(config, theme=options.theme)
    runs = [find_run(store, name) for name in options.runs]
    made: dict[str, list[str]] = {}
    for run in runs:
        wanted = config
        if not options.kind and is_search(run.path):
            wanted = replace(config, kinds=(*config.kinds, "search"))
        pages = render_run(store, run.backtest_id, places.bundles, config=wanted)
        made[run.backtest_id] = [str(page) for page in pages]
        if not options.json:
            for page in pages:
                print(page, flush=True)
    if options.json:
        print(pretty_json(made), end="")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from backtrail.batch.history.comparing import compare_runs, comparison_lines
    from backtrail.batch.history.reading import find_run

    store = existing_store(options)
    comparison = compare_runs([find_run(store, name) for name in options.runs])
    if options.out is not None:
        write_frame(comparison.frame, options.out)
    if options.json:
        rows = comparison.frame.to_dicts()
        print(pretty_json({"runs": rows, "differing": list(comparison.differing())}), end="")
    else:
        for line in comparison_lines(comparison, every=options.all):
            print(line)
    return 0
