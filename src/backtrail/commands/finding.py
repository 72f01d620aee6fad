"""The commands that find runs again: `list`, `catalog-query` and `history`."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json
from backtrail.catalog import GRADES, GROUPS, RUN_TYPES, STATUSES
from backtrail.commands.options import (
    add_command,
    count_from_zero,
    existing_store,
    read_places,
)
from backtrail.commands.tables import write_frame
from backtrail.errors import BacktrailError
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.catalog.catalog import Catalog
    from backtrail.catalog.queries import RunQuery
    from backtrail.catalog.run_frame import RunFrame

__all__ = ["add_finding_commands", "open_catalog"]

_TEXTS = (
    ("strategy", "strategy file"),
    ("bundle", "bundle name"),
    ("name", "name in a batch; the name of an entry means all runs of its grid"),
    ("tag", "tag"),
    ("dataset", "dataset id, or its beginning"),
    ("commit", "git commit, or its beginning"),
)


def add_finding_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    runs = add_command(commands, "list", _list, "list the runs of the store")
    _add_filters(runs)
    runs.add_argument("--by", choices=GROUPS, help="a line per group of runs, not per run")
    runs.add_argument(
        "--metric",
        metavar="NAME",
        default="sharpe_ratio",
        help="whose best (largest) and median value a group shows (default: sharpe_ratio)",
    )
    text = "query the table of runs, with parameters and metrics as columns"
    query = add_command(commands, "catalog-query", _query, text)
    _add_filters(query)
    query.add_argument(
        "--columns",
        type=_names,
        metavar="A,B,C",
        help="columns to show or write, in this order (default: the main ones to show, all to "
        "write and with --json)",
    )
    query.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the table there, as its name ends: .csv, .parquet or .json",
    )
    query.add_argument(
        "--artifact",
        metavar="NAME",
        help="give the paths of this file of every run found: trades, summary_statistics.csv, "
        "metadata/run_spec.json",
    )
    query.add_argument(
        "--stats", action="store_true", help="count the runs found, their bytes and trials"
    )
    text = "list the versions of a strategy file: when, how many runs, what changed, how they did"
    history = add_command(commands, "history", _history, text)
    history.add_argument("strategy", help="strategy file, or the end of its path")
    history.add_argument(
        "--metric",
        metavar="NAME",
        default="sharpe_ratio",
        help="whose best (largest) and median value to show (default: sharpe_ratio)",
    )


def _add_filters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", choices=STATUSES, help="only runs that ended like this")
    parser.add_argument("--grade", choices=GRADES, help="only runs with this provenance grade")
    for name, text in _TEXTS:
        parser.add_argument(f"--{name}", help=f"only runs with this {text}")
    parser.add_argument("--run-type", choices=RUN_TYPES, help="only runs of this kind")
    parser.add_argument(
        "--dirty", action="store_true", help="only runs planned with uncommitted changes"
    )
    for name, text in (("since", "on this day or later"), ("until", "on this day or before")):
        parser.add_argument(
            f"--{name}", metavar="DATE", help=f"only runs that began {text} (UTC), as 2026-01-31"
        )
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        help="only runs for which this holds of their metrics, parameters and columns, such as "
        "'sharpe_ratio > 1 and fast = 10'",
    )
    parser.add_argument(
        "--sort",
        metavar="[-]NAME",
        help="order by a metric, parameter or column; - before it puts the largest first",
    )
    parser.add_argument(
        "--limit", type=count_from_zero, metavar="N", help="show the first N of them"
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def open_catalog(options: argparse.Namespace) -> "Catalog":
    """Return the catalog that the config files of a command name."""
    from backtrail.catalog.catalog import Catalog

    places = read_places(options)
    if places.catalog_url.startswith("sqlite"):  # another catalog may serve many machines
        existing_store(options)
    return Catalog(places.catalog_url, places.store, places.bundles)


def _query_of(options: argparse.Namespace) -> "RunQuery":
    from backtrail.catalog.filters import RunFilter
    from backtrail.catalog.queries import RunQuery

    keys = ("status", "grade", "run_type", "dirty", "since", "until", *(key for key, _ in _TEXTS))
    wanted = RunFilter.of({key: getattr(options, key) for key in keys})
    return RunQuery(wanted, options.where, options.sort, options.limit)


def _find(catalog: "Catalog", query: "RunQuery") -> tuple["RunFrame", str]:
    """Return the runs asked for, and a line that says why there is none, or that there are more."""
    from backtrail.batch.history.listing import explain_nothing
    from backtrail.catalog.queries import select_runs

    found = select_runs(catalog, replace(query, limit=None))
    if not len(found):
        return found, f"{explain_nothing(catalog.find_runs(), query)}\n"
    if query.limit is None or query.limit >= len(found):
        return found, ""
    return found.head(query.limit), f"{query.limit:,} of {counted(len(found), 'run')}\n"


def _list(options: argparse.Namespace) -> int:
    from backtrail.batch.history.listing import runs_table, with_looks

    query = _query_of(options)
    if options.by is not None:
        return _list_groups(query, options)
    with open_catalog(options) as catalog:
        runs, note = _find(catalog, query)
        rows = with_looks(catalog.store, runs.rows.to_dicts())
    if options.json:
        print(pretty_json(rows), end="")
    else:
        print(f"{runs_table(rows) if rows else ''}{note}", end="")
    return 0


def _list_groups(query: "RunQuery", options: argparse.Namespace) -> int:
    from backtrail.batch.history.finding import groups_table
    from backtrail.batch.history.listing import rates_note
    from backtrail.catalog.groups import group_runs, order_groups

    with open_catalog(options) as catalog:
        # Not the runs are put in order and counted, but the groups.
        runs, nothing = _find(catalog, replace(query, sort=None, limit=None))
    groups = group_runs(runs, options.by, options.metric)
    groups = order_groups(groups, options.sort, options.limit)
    if options.json:
        print(pretty_json(groups.to_dicts()), end="")
    else:
        note = rates_note(runs.rows["settings_json"])
        print(nothing or f"{groups_table(groups, options.by, options.metric)}{note}", end="")
    return 0


def _query(options: argparse.Namespace) -> int:
    from backtrail.batch.history.finding import frame_table, main_columns, statistics_text
    from backtrail.batch.history.listing import rates_note
    from backtrail.catalog.queries import locate_artifacts, run_statistics

    for name, others in (("stats", ("artifact", "out", "columns")), ("artifact", ("columns",))):
        clash = next((other for other in others if getattr(options, other)), None)
        if getattr(options, name) and clash is not None:
            raise BacktrailError(f"--{name} and --{clash} cannot go together; give one of them")
    with open_catalog(options) as catalog:
        runs, note = _find(catalog, _query_of(options))
        if options.stats:
            found = run_statistics(catalog, runs)
            print(pretty_json(found) if options.json else statistics_text(found), end="")
            return 0
        if options.artifact is not None:
            frame = locate_artifacts(catalog, runs, options.artifact)
        else:
            is_shown = not (options.columns or options.out or options.json)
            frame = runs.wide(main_columns(runs) if is_shown else options.columns)
    if options.out is not None:
        write_frame(frame, options.out)
    if options.json:
        print(pretty_json(frame.to_dicts()), end="")
    elif options.out is not None:
        print(f"{counted(len(frame), 'row')} in {options.out}")
    elif options.artifact is not None and not frame.is_empty():
        print(*frame["file"], sep="\n")
    else:
        rates = rates_note(runs.rows["settings_json"])
        print(f"{'' if frame.is_empty() else frame_table(frame)}{rates}{note}", end="")
    return 0


def _history(options: argparse.Namespace) -> int:
    from backtrail.batch.history.listing import rates_note
    from backtrail.batch.history.versions import runs_of, strategy_versions, versions_text

    with open_catalog(options) as catalog:
        versions = strategy_versions(catalog, options.strategy, options.metric)
        rates = rates_note(runs_of(catalog, options.strategy)["settings_json"])
    if options.json:
        print(pretty_json([asdict(version) for version in versions]), end="")
    else:
        print(f"{versions_text(versions, options.metric)}{rates}", end="")
    return 0
