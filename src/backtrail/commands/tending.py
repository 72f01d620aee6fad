"""The commands that make room: `delete` and `cleanup`."""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import add_command, config_files, existing_store, read_places
from backtrail.errors import BacktrailError
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.batch.tending.deleting import Deletion, RunDeletion

__all__ = ["add_tending_commands"]


def add_tending_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    text = "say what deleting runs would take and what stays, and delete them"
    delete = add_command(commands, "delete", _delete, text)
    delete.add_argument("runs", nargs="+", metavar="RUN", help="backtest ids, or their beginnings")
    delete.add_argument("--yes", action="store_true", help="delete them")


def _delete(options: argparse.Namespace) -> int:
    from backtrail.batch.tending.deleting import delete_runs, find_claimed, preview_deletion

    store = existing_store(options)
    ids = list(dict.fromkeys(find_claimed(store, name) for name in options.runs))
    if options.yes:
        found = delete_runs(store, ids, now=datetime.now(UTC))
        _link(options)
    else:
        found = preview_deletion(store, ids)
    print(pretty_json(found.to_dict()) if options.json else _text(found), end="")
    return 0


def _link(options: argparse.Namespace) -> None:
    """Let catalog and comparison page forget what was deleted; they can also do so later."""
    from backtrail.batch.closing.index import render_store_index
    from backtrail.batch.closing.linking import link_catalog
    from backtrail.batch.planning.reporting import read_report_config

    places = read_places(options)
    try:
        link_catalog(places.catalog_url, places.store, places.bundles)
        config = read_report_config(config_files(options), Path.cwd())
        render_store_index(places.store, places.bundles, config=config)
    except BacktrailError as error:
        print(f"backtrail: the runs are deleted, but {error}", file=sys.stderr)


def _text(found: "Deletion") -> str:
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: "Deletion") -> Iterator[str]:
    for run in found.runs:
        yield from _run_lines(run)
    for name in found.busy:
        yield f"{name}  left: it is being executed, or its batch is"
    said = f"{counted(len(found.runs), 'run')}, {_megabytes(found.bytes)}"
    if found.objects:
        said += (
            f" with {counted(found.objects, 'object')} that no other run needs "
            f"({_megabytes(found.objects_bytes)})"
        )
    if found.remark is not None:
        yield f"no object goes: {found.remark}"
    if found.deleted:
        yield f"deleted {said}; {found.kept:,} kept"
    elif found.runs or found.objects:
        yield f"{said}; {found.kept:,} kept. Nothing was deleted: give --yes"
    else:
        yield f"nothing to delete; {found.kept:,} kept"


def _run_lines(run: "RunDeletion") -> Iterator[str]:
    called = f"{', '.join(run.names)}, " if run.names else ""
    yield f"{run.backtest_id}  {called}{run.status}, {_megabytes(run.bytes)}"
    yield from (f"    {sentence}" for sentence in run.needed)
    if run.stays:
        yield f"    stays in the ledger: {', '.join(run.stays)}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
