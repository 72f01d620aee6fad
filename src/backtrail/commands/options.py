"""What every command has in common: its config files, the places they name, and `--json`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.places import Places
from backtrail.errors import ArtifactManagerError, ConfigError, Problem

__all__ = [
    "DEFAULT_CONFIG",
    "CommandParser",
    "add_command",
    "add_group",
    "config_files",
    "count_from_zero",
    "existing_store",
    "read_places",
]

DEFAULT_CONFIG = "config/config.yaml"


class CommandParser(argparse.ArgumentParser):
    """A parser that takes `--sort -name`: the minus of the value is not that of an option."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments as every parser does, the value of `--sort` joined to it before."""
        words = list(sys.argv[1:] if args is None else args)
        for at in range(len(words) - 2, -1, -1):
            if words[at] == "--sort" and words[at + 1][:2].strip("-") and words[at + 1][0] == "-":
                words[at : at + 2] = [f"--sort={words[at + 1]}"]
        return super().parse_known_args(words, namespace)


def add_command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    """Add a command with the options that all commands have, and return its parser.

    Args:
        commands: The subparsers of the command line.
        name: The command.
        function: What it does; returns the exit status.
        text: What it does, in words that begin small and end without a stop.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    parser.add_argument(
        "--configfile",
        action="append",
        metavar="FILE",
        help=f"batch config that names the folders (default: {DEFAULT_CONFIG}); "
        "given again, the later one has more weight",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=function)
    return parser


def add_group(commands: Any, name: str, text: str) -> Any:
    """Add a command that has commands of its own, and return the subparsers for them.

    Args:
        commands: The subparsers of the command line.
        name: The group.
        text: What its commands do, in words that begin small and end without a stop.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + "."
    )
    return parser.add_subparsers(title="commands", required=True, metavar="COMMAND")


def count_from_zero(text: str) -> int:
    """Return the value of an option that counts.

    Raises:
        ArgumentTypeError: If it is below zero.
    """
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def config_files(options: argparse.Namespace) -> list[Path]:
    """Return the config files of a command.

    Raises:
        ConfigError: If none is named and the working directory has no default one.
    """
    if not options.configfile and not Path(DEFAULT_CONFIG).exists():
        raise ConfigError(
            [
                Problem(
                    str(Path.cwd()),
                    f"this folder is no backtrail project: it has no {DEFAULT_CONFIG}",
                    "change into the project's folder (cd), or, if this is it and its config has "
                    "another name, give --configfile FILE",
                )
            ]
        )
    return [Path(file) for file in options.configfile or [DEFAULT_CONFIG]]


def read_places(options: argparse.Namespace) -> Places:
    """Return where the config files of a command put runs, bundles and catalog."""
    return Places.read(config_files(options), Path.cwd())


def existing_store(options: argparse.Namespace) -> RunStore:
    """Return the run store that the config files of a command name.

    Raises:
        ArtifactManagerError: If there is none.
    """
    store = read_places(options).store
    if not store.base_dir.is_dir():
        config = " + ".join(map(str, config_files(options)))
        raise ArtifactManagerError(
            f"there is no run store {store.base_dir}; `snakemake --cores 2` makes it with the "
            f"first batch. The folder is base_dir in {config}; a relative one counts from the "
            "folder you are in"
        )
    return store
