"""What every command has in common: its config files, the places they name, and `--json`."""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from backtrail.artifacts.store import RunStore
from backtrail.batch.planning.places import Places
from backtrail.errors import ArtifactManagerError, ConfigError, Problem
from backtrail.project import find_project_root

__all__ = [
    "DEFAULT_CONFIG",
    "CommandParser",
    "add_command",
    "add_group",
    "config_files",
    "count_from_one",
    "count_from_zero",
    "existing_store",
    "project_folder",
    "project_note",
    "read_places",
    "usable_cores",
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

    def error(self, message: str) -> NoReturn:
        """Exit with a message; of a word that is near to one of the choices, that one is named."""
        found = re.fullmatch(r"(.*invalid choice: '(.*)') \(choose from (.*)\)", message)
        if found is not None:
            said, word, listed = found.groups()
            known = [name.strip("'") for name in listed.split(", ")]
            near = difflib.get_close_matches(word, known, n=1)
            message = f"{said}; did you mean {near[0]!r}?" if near else message
        super().error(message)


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
        help=f"batch config that names the folders (default: {DEFAULT_CONFIG} of the project "
        "around the working directory); "
        "given again, the later one has more weight",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(command=function, takes_places=True)
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


def count_from_one(text: str) -> int:
    """Return the value of an option that counts and cannot be nothing.

    Raises:
        ArgumentTypeError: If it is below one.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def usable_cores() -> int:
    """Return how many cores of the machine this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_from_zero(text: str) -> int:
    """Return the value of an option that counts.

    Raises:
        ArgumentTypeError: If it is below zero.
    """
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def project_folder(options: argparse.Namespace) -> Path:
    """Return the folder of the project that a command is about; its own paths count from there.

    It is the nearest one at or above the working directory, as for scripts; where there is none,
    that around the first config file which is named, and else the working directory itself.
    """
    here = Path.cwd()
    found = find_project_root(here)
    if found is None and options.configfile:
        found = find_project_root(_typed(options.configfile[0]).parent)
    return found or here


def project_note(options: argparse.Namespace) -> str:
    """Return a line that names the project, for messages to who stands elsewhere; else nothing."""
    if not hasattr(options, "takes_places"):
        return ""
    root = project_folder(options)
    return "" if root == Path.cwd() else f"\nThe project is {root}; its paths count from there"


def config_files(options: argparse.Namespace) -> list[Path]:
    """Return the config files of a command, relative to the project where they lie in it.

    Raises:
        ConfigError: If none is named and the project has no default one.
    """
    root = project_folder(options)
    if not options.configfile and not (root / DEFAULT_CONFIG).exists():
        is_found = find_project_root(root) is not None
        raise ConfigError(
            [
                Problem(
                    str(root),
                    f"this project has no {DEFAULT_CONFIG}"
                    if is_found
                    else f"this folder is no backtrail project: it has no {DEFAULT_CONFIG}, and "
                    "no folder above it has one",
                    "change into the project's folder (cd), or, if this is it and its config has "
                    "another name, give --configfile FILE",
                )
            ]
        )
    if root == Path.cwd():
        return [Path(file) for file in options.configfile or [DEFAULT_CONFIG]]
    typed = [_typed(file) for file in options.configfile or ()] or [root / DEFAULT_CONFIG]
    return [file.relative_to(root) if file.is_relative_to(root) else file for file in typed]


def _typed(file: str) -> Path:
    return Path(os.path.normpath(Path.cwd() / file))


def read_places(options: argparse.Namespace) -> Places:
    """Return where the config files of a command put runs, bundles and catalog."""
    root = project_folder(options)
    places = Places.read(config_files(options), root)
    if root == Path.cwd():
        return places
    return replace(places, catalog_url=places.located_catalog_url)


def existing_store(options: argparse.Namespace) -> RunStore:
    """Return the run store that the config files of a command name.

    Raises:
        ArtifactManagerError: If there is none.
    """
    places = read_places(options)
    store = places.store
    if not store.base_dir.is_dir():
        config = " + ".join(map(str, config_files(options)))
        raise ArtifactManagerError(
            f"there is no run store {store.base_dir}; `snakemake --cores 2` makes it with the "
            f"first batch. The folder is base_dir in {config}; a relative one counts from the "
            f"project, {places.root}"
        )
    return store
