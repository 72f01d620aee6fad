"""Letting catalog and comparison page show what a command did."""

import argparse
import sys

from backtrail.commands.options import config_files, read_places
from backtrail.errors import BacktrailError

__all__ = ["show_in_store"]


def show_in_store(options: argparse.Namespace, done: str) -> None:
    """Bring catalog and comparison page level; what was done stands without them, and they follow.

    Args:
        options: Of the command, which name its config files.
        done: What was done, for whoever reads that they could not follow.
    """
    from backtrail.batch.closing.index import render_store_index
    from backtrail.batch.closing.linking import link_catalog
    from backtrail.batch.planning.reporting import read_report_config

    places = read_places(options)
    try:
        config = read_report_config(config_files(options), places.root)
        link_catalog(places.catalog_url, places.store, places.bundles)
        render_store_index(places.store, places.bundles, config=config)
    except BacktrailError as error:
        print(f"backtrail: {done}, but {error}", file=sys.stderr)
