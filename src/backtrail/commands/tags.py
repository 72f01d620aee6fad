"""The command `tag`."""

import argparse
from typing import Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import add_command, config_files, existing_store, read_places
from backtrail.errors import ConfigError, Problem

__all__ = ["add_tag_command"]


def add_tag_command(commands: Any) -> None:
    """Add the command to the subparsers of the command line."""
    text = "say which tags runs have, give them some, take some away"
    tag = add_command(commands, "tag", _tag, text)
    tag.add_argument("runs", nargs="+", metavar="RUN", help="backtest ids, or their beginnings")
    tag.add_argument(
        "--add", action="append", default=[], metavar="TAG", help="give this tag; may be repeated"
    )
    tag.add_argument(
        "--remove",
        action="append",
        default=[],
        metavar="TAG",
        help="take this tag away, also where a config gives it; may be repeated",
    )
    tag.add_argument(
        "--forget",
        metavar="CONFIG",
        help="take back the tags of this config file, which is gone or has another name now",
    )


def _tag(options: argparse.Namespace) -> int:
    from backtrail.batch.closing.tagging import change_tags, tags_of
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.planning.reporting import read_report_config

    places = read_places(options)
    store = existing_store(options)
    runs = list(dict.fromkeys(find_run(store, name).backtest_id for name in options.runs))
    # Several files that were merged are named together, as they are where a config is named.
    forget = [] if options.forget is None else options.forget.split(" + ")
    if forget and all((places.root / name).exists() for name in forget):
        raise ConfigError(
            [
                Problem(
                    f"--forget {options.forget}",
                    "this config is there",
                    "take the tags out of it and call snakemake, or use --remove TAG",
                )
            ]
        )
    if options.add or options.remove or options.forget is not None:
        change_tags(
            places.catalog_url,
            store,
            places.bundles,
            runs,
            add=options.add,
            remove=options.remove,
            forget=options.forget,
            config=read_report_config(config_files(options), places.root),
        )
    found = tags_of(store, runs)
    if options.json:
        print(pretty_json(found), end="")
    else:
        for backtest_id, tags in found.items():
            print(f"{backtest_id}  {', '.join(tags) or 'no tags'}")
    return 0
