"""The commands that judge searches: `verdict`, and `holdout open` for dates withheld."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import (
    add_command,
    add_group,
    config_files,
    existing_store,
    read_places,
)
from backtrail.errors import BacktrailError
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.batch.holdout import OpenedHoldout

__all__ = ["add_holdout_commands"]

_SHOWN = ("sharpe_ratio", "cagr", "max_drawdown", "total_trades")


def add_holdout_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    text = "rank the validated searches of the store, with what every gate found"
    verdict = add_command(commands, "verdict", _verdict, text)
    verdict.add_argument("runs", nargs="*", help="backtest ids or beginnings; all by default")
    group = add_group(commands, "holdout", "look at dates that a search withheld")
    text = "run the selected set of a search on its holdout; the ledger counts the look"
    opened = add_command(group, "open", _open, text)
    opened.add_argument("run", help="backtest id of a search, or its beginning")


def _verdict(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.history.verdicts import RANK_RULE, judged_runs, verdict_lines

    store = existing_store(options)
    runs = judged_runs(store, [find_run(store, name) for name in options.runs] or None)
    if options.json:
        found = {"rule": RANK_RULE, "runs": [run.to_dict() for run in runs]}
        print(pretty_json(found), end="")
    else:
        for line in verdict_lines(runs):
            print(line)
    return 0


def _open(options: argparse.Namespace) -> int:
    from backtrail.batch.closing.index import render_store_index
    from backtrail.batch.closing.linking import link_catalog
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.holdout import open_holdout
    from backtrail.batch.planning.limits import read_limits
    from backtrail.batch.planning.reporting import read_report_config

    places, store = read_places(options), existing_store(options)
    limits = read_limits(config_files(options), places.root)
    config = read_report_config(config_files(options), places.root)
    parent = find_run(store, options.run)
    found = open_holdout(store, parent, places.bundles, limits, config=config)
    try:
        link_catalog(places.catalog_url, places.store, places.bundles)
        render_store_index(places.store, places.bundles, config=config)
    except BacktrailError as error:
        print(f"backtrail: the holdout is opened, but {error}", file=sys.stderr)
    print(pretty_json(found.to_dict()) if options.json else _text(found), end="")
    return 0


def _seen(found: "OpenedHoldout") -> str:
    if not found.seen_before:
        return ""
    return f"; {counted(found.seen_before, 'run')} from which nothing was withheld had shown them"


def _text(found: "OpenedHoldout") -> str:
    from backtrail.reports.formatting import UNITS, metric_text

    done = "opened" if found.is_new else "was opened before"
    mark = "CONTAMINATED, " if found.contaminated else ""
    lines = [
        f"holdout {found.start} to {found.end} of {found.parent} {done}: {found.backtest_id}",
        f"    {mark}look {found.look} at these dates by this strategy file{_seen(found)}",
    ]
    for name in _SHOWN:
        here, there = (
            metric_text(values[name], UNITS.get(name, ""))
            for values in (found.figures, found.in_sample)
        )
        lines.append(f"    {name:<14}  {here:>12}  in sample {there:>12}")
    return "\n".join(lines) + "\n"
