"""The command `cross-check`: the same strategy on another engine."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import add_command, existing_store, read_places

if TYPE_CHECKING:
    from backtrail.crosscheck.checking import CrossCheck

__all__ = ["add_cross_check_command"]


def add_cross_check_command(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    text = "run a finished run's strategy on another engine and compare fills and equity"
    check = add_command(commands, "cross-check", _cross_check, text)
    check.add_argument("run", help="backtest id, or its beginning")
    check.add_argument("--engine", default="zipline", help="the other engine (default: zipline)")
    check.add_argument(
        "--python",
        type=Path,
        metavar="PATH",
        help="a Python that has the engine (default: that of .venv-zipline, then our own)",
    )
    check.add_argument(
        "--tolerance",
        type=float,
        default=1e-9,
        metavar="X",
        help="relative difference of money that counts as none (default: 1e-9)",
    )


def _cross_check(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.crosscheck.checking import cross_check

    places = read_places(options)
    found = cross_check(
        find_run(existing_store(options), options.run),
        places.bundles,
        options.engine,
        python=options.python,
        root=places.root,
        tolerance=options.tolerance,
    )
    if options.json:
        print(pretty_json(found.to_dict()), end="")
    else:
        for line in _lines(found):
            print(line)
    return 0 if found.agrees else 1


def _lines(found: "CrossCheck") -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(found.versions.items()))
    said = "agrees" if found.agrees else "differs"
    yield f"{said}  {found.backtest_id}  {found.name}  with {found.engine} ({versions})"
    yield f"    fills            {found.fills[0]:>16,}  {found.fills[1]:>16,}"
    ours, theirs = found.final_values
    yield f"    portfolio value  {ours:>16,.4f}  {theirs:>16,.4f}"
    if found.explanation is not None:
        yield f"    first difference: {found.explanation}"
    for note in found.notes:
        yield f"    note: {note}"
