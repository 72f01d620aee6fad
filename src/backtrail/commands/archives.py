"""The command `archive`: runs in one file, for another machine or for later."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import add_command, existing_store, read_places
from backtrail.commands.showing import show_in_store
from backtrail.errors import BacktrailError
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.batch.tending.archiving import Archive
    from backtrail.batch.tending.importing import Import

__all__ = ["add_archive_command"]


def add_archive_command(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    text = "write sealed runs with their data into one file, check such a file, or take it in"
    archive = add_command(commands, "archive", _archive, text)
    archive.add_argument("runs", nargs="*", metavar="RUN", help="backtest ids or beginnings")
    how = archive.add_mutually_exclusive_group(required=True)
    how.add_argument("--out", metavar="FILE", help="write these runs: FILE.tar or FILE.tar.gz")
    how.add_argument("--check", metavar="FILE", help="verify an archive; no store is needed")
    how.add_argument(
        "--into-store", metavar="FILE", help="take the runs of an archive into the store"
    )
    archive.add_argument(
        "--without-data",
        action="store_true",
        help="with --out: of datasets only the manifests, with every checksum",
    )


def _archive(options: argparse.Namespace) -> int:
    if bool(options.runs) != (options.out is not None):
        raise BacktrailError(
            "name runs with --out FILE, which writes them; --check and --into-store take the whole "
            "archive"
        )
    if options.without_data and options.out is None:
        raise BacktrailError("--without-data says what --out writes; leave it out")
    if options.into_store is not None:
        return _import(options)
    if options.out is not None:
        found, done = _write(options), "written"
    else:
        from backtrail.batch.tending.examining import check_archive

        found, done = check_archive(Path(options.check)), "intact"
    if options.json:
        print(pretty_json(found.to_dict()), end="")
    else:
        for line in _archive_lines(found, done):
            print(line)
    return 0


def _write(options: argparse.Namespace) -> "Archive":
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.tending.archiving import archive_runs

    store, places = existing_store(options), read_places(options)
    runs = [find_run(store, name) for name in options.runs]
    return archive_runs(
        store, runs, places.bundles, Path(options.out), with_data=not options.without_data
    )


def _import(options: argparse.Namespace) -> int:
    from backtrail.batch.tending.importing import import_archive

    places = read_places(options)
    found = import_archive(places.store, places.bundles, Path(options.into_store))
    show_in_store(options, "the runs are in the store")
    if options.json:
        print(pretty_json(found.to_dict()), end="")
    else:
        for line in _import_lines(found):
            print(line)
    return 0


def _archive_lines(found: "Archive", done: str) -> Iterator[str]:
    for run in found.runs:
        yield f"{run.backtest_id}  {', '.join(run.names)}, dataset {run.dataset_id} of {run.bundle}"
    for bundle, dataset_id in found.absent:
        yield f"without the bars of dataset {dataset_id} of {bundle}, which a replay needs"
    yield (
        f"{done}: {found.path}, {counted(len(found.runs), 'run')}, "
        f"{counted(len(found.datasets), 'dataset')}, {counted(found.files, 'file')}, "
        f"{found.bytes / 1e6:,.1f} MB"
    )
    yield f"sha256 {found.sha256}"


_STATES = {
    "imported": "imported",
    "there": "there already, the same in every byte of its manifest",
    "equal": "equal content is there as {}",
}


def _import_lines(found: "Import") -> Iterator[str]:
    for run in found.runs:
        said = _STATES[run.state].format(run.equal_to)
        yield f"{run.backtest_id}  {', '.join(run.names)}: {said}"
    for bundle, dataset_id in found.datasets:
        yield f"dataset {dataset_id} of {bundle}: imported"
    for bundle, dataset_id in found.lacking:
        yield f"dataset {dataset_id} of {bundle}: neither in the archive nor here; replays need it"
    imported = sum(run.state == "imported" for run in found.runs)
    yield f"{imported} of {counted(len(found.runs), 'run')} imported"
