"""The commands that make room: `delete` and `cleanup`."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import (
    add_command,
    count_from_zero,
    existing_store,
)
from backtrail.commands.showing import show_in_store
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.batch.tending.cleaning import Cleanup
    from backtrail.batch.tending.deleting import Deletion, RunDeletion

__all__ = ["add_tending_commands"]


def add_tending_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    text = "say what deleting runs would take and what stays, and delete them"
    delete = add_command(commands, "delete", _delete, text)
    delete.add_argument("runs", nargs="+", metavar="RUN", help="backtest ids, or their beginnings")
    delete.add_argument("--yes", action="store_true", help="delete them")
    text = "delete runs that are old or failed, and what no run needs any more"
    cleanup = add_command(commands, "cleanup", _cleanup, text)
    cleanup.add_argument(
        "--older-than", metavar="AGE", help="only runs that began so long ago: 90d, 12h, 6w"
    )
    cleanup.add_argument(
        "--status",
        choices=("completed", "failed", "planned", "captured", "running", "executed"),
        help="only runs with this status",
    )
    cleanup.add_argument(
        "--keep-tag",
        action="append",
        default=[],
        metavar="TAG",
        help="spare runs with this tag; may be repeated",
    )
    cleanup.add_argument(
        "--keep-best",
        type=count_from_zero,
        default=0,
        metavar="N",
        help="spare the N completed runs of the store with the largest value of --metric",
    )
    cleanup.add_argument("--metric", metavar="NAME", help="metric for --keep-best")
    cleanup.add_argument("--yes", action="store_true", help="delete them")


def _delete(options: argparse.Namespace) -> int:
    from backtrail.batch.tending.deleting import delete_runs, find_claimed, preview_deletion

    store = existing_store(options)
    ids = list(dict.fromkeys(find_claimed(store, name) for name in options.runs))
    if options.yes:
        found = delete_runs(store, ids, now=datetime.now(UTC))
        show_in_store(options, "the runs are deleted")
    else:
        found = preview_deletion(store, ids)
    print(pretty_json(found.to_dict()) if options.json else _text(found), end="")
    return 0


def _cleanup(options: argparse.Namespace) -> int:
    from backtrail.batch.tending.cleaning import Choice, clean_store, parse_age, preview_cleanup

    store, now = existing_store(options), datetime.now(UTC)
    choice = Choice(
        None if options.older_than is None else parse_age(options.older_than),
        options.status,
        tuple(options.keep_tag),
        options.keep_best,
        options.metric,
    )
    if options.yes:
        found = clean_store(store, choice, now=now)
        show_in_store(options, "the runs are deleted")
    else:
        found = preview_cleanup(store, choice, now=now)
    if options.json:
        print(pretty_json(found.to_dict()), end="")
    else:
        for line in _cleanup_lines(found, with_undated=choice.older_than is not None):
            print(line)
    return 0


def _cleanup_lines(found: "Cleanup", *, with_undated: bool) -> Iterator[str]:
    yield from (f"{name}  spared: {reason}" for name, reason in found.spared.items())
    if with_undated:
        yield from (f"{name}  left: nothing says when it began" for name in found.undated)
    if found.leftovers:
        waiting = "there is" if found.leftovers == 1 else "there are"
        done = "removed" if found.deletion.deleted else waiting
        yield (
            f"{done} {counted(found.leftovers, 'temporary file')} of dead processes, "
            f"{_megabytes(found.leftover_bytes)}"
        )
    yield from _lines(found.deletion)


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
