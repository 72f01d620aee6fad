"""The command line: every command is a thin call of a library function and has `--json`."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from backtrail import __version__
from backtrail.artifacts.refusals import refused
from backtrail.backtest.command import add_run_command
from backtrail.canonical import pretty_json
from backtrail.commands import (
    add_archive_command,
    add_cross_check_command,
    add_data_commands,
    add_export_commands,
    add_finding_commands,
    add_history_commands,
    add_holdout_commands,
    add_report_commands,
    add_tag_command,
    add_tending_commands,
)
from backtrail.commands.options import (
    CommandParser,
    add_command,
    config_files,
    count_from_one,
    existing_store,
    project_folder,
    project_note,
    read_places,
    usable_cores,
)
from backtrail.errors import BacktrailError

__all__ = ["build_parser", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 well, 1 a finding or an error, 2 misuse."""
    parser = build_parser()
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help(sys.stderr)
        parser.exit(2)
    options = parser.parse_args(arguments)
    # What the library warns of is told by the commands themselves.
    logging.getLogger("backtrail").addHandler(logging.NullHandler())
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except BacktrailError as error:
        print(f"backtrail: {error}{project_note(options)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return 0
    except OSError as error:
        refusal = refused(error)
        if refusal is None:
            raise
        print(f"backtrail: {refusal}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("backtrail: interrupted", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every command."""
    parser = CommandParser(
        prog="backtrail",
        description="Read and tend what batches of backtests have made. `snakemake` runs them.",
    )
    parser.add_argument("--version", action="version", version=f"backtrail {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    plan = add_command(commands, "plan", _plan, "say what the next snakemake would run, and why")
    plan.add_argument("--all", action="store_true", help="list reused runs, too")
    plan.add_argument(
        "--cores",
        type=count_from_one,
        metavar="N",
        help="how many runs at a time, for the time it will take (default: this machine's cores)",
    )
    add_finding_commands(commands)
    show = add_command(commands, "show", _show, "show one run: identity, figures, files")
    show.add_argument("run", help="backtest id, or its beginning")
    show.add_argument("--files", action="store_true", help="list every file, with its checksum")
    verify = add_command(commands, "verify", _verify, "compare runs with their manifests")
    verify.add_argument(
        "runs", nargs="*", help="backtest ids or beginnings; all when none is given"
    )
    add_tag_command(commands)
    add_run_command(commands)
    add_report_commands(commands)
    add_history_commands(commands)
    add_holdout_commands(commands)
    add_cross_check_command(commands)
    add_tending_commands(commands)
    add_archive_command(commands)
    add_export_commands(commands)
    add_data_commands(commands)
    sync = add_command(
        commands, "catalog-sync", _sync, "bring the catalog level with the run store"
    )
    sync.add_argument("--rebuild", action="store_true", help="make every table anew")
    return parser


def _plan(options: argparse.Namespace) -> int:
    from backtrail.batch.execution.sandbox import Sandbox
    from backtrail.batch.history.estimating import estimate_batch
    from backtrail.batch.history.listing import plan_text
    from backtrail.batch.history.why import preview_batch
    from backtrail.batch.planning.loading import open_batch

    with Sandbox() as sandbox:
        root = project_folder(options)
        batch = open_batch(config_files(options), root=root, sandbox=sandbox)
        previews = preview_batch(batch, sandbox=sandbox)
    estimate = estimate_batch(batch.places.store, batch.requests, previews)
    if options.json:
        seconds = estimate.seconds
        rows = [{**asdict(item), "seconds": seconds.get(item.name)} for item in previews]
        print(pretty_json(rows), end="")
        return 0
    warnings = {item.name: batch.closures[item.strategy].warnings for item in batch.requests}
    print(plan_text(previews, with_reused=options.all, warnings=warnings), end="")
    words = estimate.words(options.cores or usable_cores())
    if words:
        print(words)
    return 0


def _show(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import describe_run, find_run
    from backtrail.batch.history.showing import run_text

    run = find_run(existing_store(options), options.run)
    if options.json:
        print(pretty_json(describe_run(run)), end="")
    else:
        print(run_text(run, with_files=options.files), end="")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.history.verifying import verify_runs

    store, places = existing_store(options), read_places(options)
    runs = [find_run(store, name) for name in options.runs] or None
    found = verify_runs(store, runs, base_dir=places.base_dir, bundles_dir=places.bundles)
    print(pretty_json(found.to_dict()) if options.json else f"{found}\n", end="")
    return 0 if found.is_intact else 1


def _sync(options: argparse.Namespace) -> int:
    from backtrail.batch.closing.linking import disk_warning
    from backtrail.catalog.catalog import Catalog
    from backtrail.wording import counted

    existing_store(options)
    places = read_places(options)
    with Catalog(places.catalog_url, places.store, places.bundles) as catalog:
        counts = catalog.sync(rebuild=options.rebuild)
        warning = disk_warning(places.store, catalog.stored_bytes(), places.warn_above)
    if warning is not None:
        print(f"backtrail: {warning}", file=sys.stderr)
    if options.json:
        print(pretty_json(asdict(counts)), end="")
    else:
        print(
            f"{counted(counts.total, 'run')} in the catalog: {counts.added:,} added, "
            f"{counts.updated:,} updated, {counts.removed:,} removed"
        )
        for path, reason in counts.unreadable.items():
            print(f"left out  {path}: {reason}")
    return 1 if counts.unreadable else 0


if __name__ == "__main__":
    raise SystemExit(main())
