"""The command line: every command is a thin call of a library function and has `--json`."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backtrail import __version__
from backtrail.backtest.command import add_run_command
from backtrail.batch.places import Places
from backtrail.canonical import pretty_json
from backtrail.errors import BacktrailError

__all__ = ["build_parser", "main"]

_DEFAULT_CONFIG = "config/config.yaml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 well, 1 a finding or an error, 2 misuse."""
    options = build_parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except BacktrailError as error:
        print(f"backtrail: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with every command."""
    parser = argparse.ArgumentParser(
        prog="backtrail",
        description="Read and tend what batches of backtests have made. `snakemake` runs them.",
    )
    parser.add_argument("--version", action="version", version=f"backtrail {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    plan = _command(commands, "plan", _plan, "say what the next snakemake would run, and why")
    plan.add_argument("--all", action="store_true", help="list reused runs, too")
    runs = _command(commands, "list", _list, "list the runs of the store")
    for name, text in (
        ("status", "status (completed, failed)"),
        ("strategy", "strategy file"),
        ("bundle", "bundle name"),
        ("grade", "provenance grade"),
        ("name", "name in the batch"),
    ):
        runs.add_argument(f"--{name}", help=f"only runs with this {text}")
    show = _command(commands, "show", _show, "show one run: identity, figures, files")
    show.add_argument("run", help="backtest id, or its beginning")
    verify = _command(commands, "verify", _verify, "compare runs with their manifests")
    verify.add_argument(
        "runs", nargs="*", help="backtest ids or beginnings; all when none is given"
    )
    add_run_command(commands)
    sync = _command(commands, "catalog-sync", _sync, "bring the catalog level with the run store")
    sync.add_argument("--rebuild", action="store_true", help="make every table anew")
    return parser


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.add_argument(
        "--configfile",
        action="append",
        metavar="FILE",
        help=f"batch config that names the folders (default: {_DEFAULT_CONFIG}); "
        "given again, the later one has more weight",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=function)
    return parser


def _config_files(options: argparse.Namespace) -> list[Path]:
    return [Path(file) for file in options.configfile or [_DEFAULT_CONFIG]]


def _places(options: argparse.Namespace) -> Places:
    return Places.read(_config_files(options), Path.cwd())


def _plan(options: argparse.Namespace) -> int:
    from backtrail.batch.loading import open_batch
    from backtrail.batch.why import preview_batch

    batch = open_batch(_config_files(options), root=Path.cwd())
    previews = preview_batch(batch)
    if options.json:
        print(pretty_json([asdict(preview) for preview in previews]), end="")
        return 0
    counts = Counter(preview.state for preview in previews)
    states = ("new", "failed", "open", "reused")
    print(", ".join(f"{counts[state]} {state}" for state in states if counts[state]))
    for preview in previews:
        if preview.state == "reused" and not options.all:
            continue
        known = f"  {preview.backtest_id}" if preview.backtest_id else ""
        print(f"{preview.state:<7} {preview.name}{known}")
        for reason in preview.reasons:
            print(f"          {reason}")
    return 0


def _list(options: argparse.Namespace) -> int:
    from backtrail.catalog.catalog import Catalog

    places = _places(options)
    wanted = {name: getattr(options, name) for name in ("status", "strategy", "bundle", "grade")}
    with Catalog(places.catalog_url, places.store, places.bundles) as catalog:
        rows = catalog.find_runs(**wanted, name=options.name)
    if options.json:
        print(pretty_json(rows), end="")
        return 0
    columns = (
        "backtest_id",
        "name",
        "status",
        "grade",
        "total_return",
        "sharpe_ratio",
        "max_drawdown",
        "total_trades",
    )
    _print_table(columns, [[_cell(column, row[column]) for column in columns] for row in rows])
    return 0


_FRACTIONS = {"total_return", "max_drawdown"}


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column in _FRACTIONS:
        return f"{value:.2%}"
    return (
        f"{value:.2f}"
        if column == "sharpe_ratio"
        else str(int(value) if isinstance(value, float) else value)
    )


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for cells in (columns, *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        print(line.rstrip())


def _show(options: argparse.Namespace) -> int:
    from backtrail.batch.reading import describe_run, find_run

    run = find_run(_places(options).store, options.run)
    described = describe_run(run)
    if options.json:
        print(pretty_json(described), end="")
        return 0
    identity = described["identity"]
    facts = {
        "run": described["backtest_id"],
        "status": described["status"],
        "names": ", ".join(described["labels"]["names"]),
        "strategy": identity["strategy"]["entry"],
        "code": identity["strategy"]["code_hash"][:16],
        "data": f"{described['labels']['bundle']}  dataset {identity['dataset']['dataset_id']}  "
        f"{identity['dataset']['calendar']} {identity['dataset']['timeframe']}",
        "symbols": ", ".join(identity["symbols"]),
        "window": f"{identity['start']} to {identity['end']}",
        "parameters": _pairs(identity["params"]),
        "execution": _pairs(identity["execution"]),
        "costs": f"commission {_pairs(identity['commission'])}; "
        f"slippage {_pairs(identity['slippage'])}",
        "capital": f"{identity['capital_base']}  {identity['ledger']} ledger",
        "grade": described.get("grade", ""),
        "packages": _pairs(described.get("usage", {}).get("packages", {})),
        "folder": str(run.path),
    }
    for name, value in facts.items():
        print(f"{name:<11} {value}")
    for gap in described.get("gaps", ()):
        print(f"{'gap':<11} {gap}")
    for name, value in described.get("metrics", {}).items():
        print(f"  {name:<28} {'undefined' if value is None else f'{value:.6g}'}")
    if described.get("error"):
        error = described["error"]
        print(f"\n{error['kind']}: {error['message']}\n{error['traceback']}")
    return 0


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items()) or "none"


def _verify(options: argparse.Namespace) -> int:
    from backtrail.batch.reading import find_run, verify_runs

    store = _places(options).store
    runs = [find_run(store, name) for name in options.runs] or store.run_dirs()
    found = verify_runs(store, runs)
    damaged = [item for item in found if item.state == "damaged"]
    if options.json:
        print(pretty_json([item.to_dict() for item in found]), end="")
        return 1 if damaged else 0
    for item in damaged:
        for kind in ("missing", "altered", "unlisted"):
            for name in getattr(item.damage, kind):
                also = item.shares.get(name, ())
                shared = f"  (shared with {', '.join(also)})" if also else ""
                print(f"{kind:<8} {item.backtest_id}/{name}{shared}")
    counts = Counter(item.state for item in found)
    states = ("intact", "damaged", "failed", "open")
    print(", ".join(f"{counts[state]} {state}" for state in states if counts[state]) or "no runs")
    return 1 if damaged else 0


def _sync(options: argparse.Namespace) -> int:
    from backtrail.catalog.catalog import Catalog

    places = _places(options)
    with Catalog(places.catalog_url, places.store, places.bundles) as catalog:
        counts = catalog.sync(rebuild=options.rebuild)
    if options.json:
        print(pretty_json(asdict(counts)), end="")
        return 0
    print(
        f"{counts.total} runs in the catalog: {counts.added} added, {counts.updated} updated, "
        f"{counts.removed} removed"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
