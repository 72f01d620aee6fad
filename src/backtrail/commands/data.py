"""The commands below `data`: what bundle storage holds, and what a bundle has to be."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.batch.planning.places import Places
from backtrail.canonical import pretty_json
from backtrail.commands.options import (
    add_command,
    add_group,
    config_files,
    read_places,
)
from backtrail.commands.revisions import add_diff_command, runs_words
from backtrail.errors import BacktrailError, DatasetError
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.batch.history.unreached import UnreachedDatasets
    from backtrail.data.inventory import DatasetEntry
    from backtrail.data.manifest import DatasetManifest

__all__ = ["add_data_commands"]

_SHOWN_SYMBOLS = 20


def add_data_commands(commands: Any) -> None:
    """Add the group `data` to the subparsers of the command line."""
    group = add_group(commands, "data", "tend bundles and their datasets")
    listing = add_command(group, "list", _list, "list bundles and their datasets, oldest first")
    listing.add_argument("bundles", nargs="*", help="bundles; all when none is given")
    text = "show one dataset: what it holds, where it came from, which runs use it"
    show = add_command(group, "show", _show, text)
    show.add_argument("bundle", help="name of the bundle")
    show.add_argument(
        "dataset", nargs="?", help="dataset id, or its beginning; the one of now when left out"
    )
    text = "recompute the checksums of datasets and compare them with their ids"
    verify = add_command(group, "verify", _verify, text)
    verify.add_argument("bundles", nargs="*", help="bundles; all when none is given")
    add_diff_command(group)
    text = "write down the dataset that each bundle has to be, in config/bundles.lock.yaml"
    lock = add_command(group, "lock", _lock, text)
    lock.add_argument(
        "bundles", nargs="*", help="bundles; all of the config that are ingested when none is given"
    )
    lock.add_argument(
        "--check", action="store_true", help="only compare the bundles of the lock with it"
    )
    text = "find datasets that no run, no bundle name, no lock and no config reaches"
    collect = add_command(group, "gc", _collect, text)
    collect.add_argument("--yes", action="store_true", help="delete them")
    collect.add_argument(
        "--project",
        action="append",
        default=[],
        metavar="FOLDER",
        help="another project that uses these bundles, by its config/config.yaml; may be given "
        "again",
    )


def _list(options: argparse.Namespace) -> int:
    from backtrail.data.inventory import bundle_names, list_datasets

    bundles = read_places(options).bundles
    names = options.bundles or bundle_names(bundles)
    entries = [entry for name in names for entry in list_datasets(bundles, name)]
    if options.json:
        print(pretty_json([_plain(entry) for entry in entries]), end="")
        return 0
    for name in names:
        print(name)
        for entry in entries:
            if entry.bundle == name:
                print(f"  {_entry_line(entry)}")
    if not names:
        print(f"no bundle was ingested into {bundles}")
    return 0


def _plain(entry: "DatasetEntry") -> dict[str, Any]:
    return {**asdict(entry), "path": None if entry.path is None else str(entry.path)}


def _entry_line(entry: "DatasetEntry") -> str:
    mark = "*" if entry.is_head else " "
    if entry.path is None:
        return f"{mark} {entry.dataset_id}  deleted"
    symbols = counted(entry.symbols or 0, "symbol")
    return (
        f"{mark} {entry.dataset_id}  {entry.rows:,} bars of {symbols}, {entry.timeframe} "
        f"{entry.calendar}, {entry.first} to {entry.last}, {entry.bytes / 1e6:,.1f} MB"
    )


def _show(options: argparse.Namespace) -> int:
    from backtrail.batch.history.sources import dataset_users
    from backtrail.data.inventory import find_dataset
    from backtrail.data.manifest import DatasetManifest

    places = read_places(options)
    path = find_dataset(places.bundles, options.bundle, options.dataset)
    manifest = DatasetManifest.load(path)
    runs = dataset_users(places.store, options.bundle).get(manifest.dataset_id, ())
    if options.json:
        print(pretty_json({**manifest.to_dict(), "path": str(path), "runs": list(runs)}), end="")
        return 0
    for line in _manifest_lines(manifest):
        print(line)
    print(f"  runs        {runs_words(runs)}")
    return 0


def _manifest_lines(manifest: "DatasetManifest") -> Iterator[str]:
    yield f"{manifest.bundle}  {manifest.dataset_id}"
    yield f"  bars        {manifest.rows:,}, {manifest.timeframe}, calendar {manifest.calendar}"
    for name, record in sorted(manifest.symbols.items())[:_SHOWN_SYMBOLS]:
        gaps = f", {record.missing_sessions:,} sessions missing" if record.missing_sessions else ""
        off = f", {record.off_session_bars:,} off session" if record.off_session_bars else ""
        yield f"    {name}  {record.rows:,} bars, {record.first} to {record.last}{gaps}{off}"
    more = len(manifest.symbols) - _SHOWN_SYMBOLS
    if more > 0:
        yield f"    and {counted(more, 'more symbol')}"
    yield from _survival_lines(manifest)
    kinds = ", ".join(counted(count, kind) for kind, count in manifest.adjustments.items())
    yield f"  adjustments {kinds or 'none'}"
    for source in manifest.sources:
        yield f"  source      {source.path}  sha256 {source.sha256}"
    for waiver in manifest.waivers:
        rows = counted(len(waiver["rows"]), "row")
        yield f"  waiver      {waiver['rule']} ({waiver['reason']}): {rows}, {waiver['action']}"
    if manifest.duplicates.get("rows"):
        yield f"  duplicates  {counted(manifest.duplicates['rows'], 'exact duplicate')} dropped"
    if manifest.synthetic:
        yield "  synthetic   prices were computed, not observed"
    for name in ("origin", "licence"):
        if getattr(manifest, name):
            yield f"  {name:<11} {getattr(manifest, name)}"


def _survival_lines(manifest: "DatasetManifest") -> Iterator[str]:
    """Yield what a reader has to know of who is missing, and of what sessions are from."""
    found, members = manifest.survival, manifest.universe
    if found:
        yield (
            f"  survival    {found['alive']:,} of {counted(found['symbols'], 'symbol')} "
            f"({found['share_alive']:.0%}) have bars until {found['last']}; of the "
            f"{found['at_start']:,} at the start {found['start_alive']:,} do"
        )
        stopped = [
            f"{item['symbol']} {item['last']}{' (delisted)' if item['delisted'] else ''}"
            for item in found["stopped"]
        ]
        if stopped:
            yield f"    stopped   {_listed(stopped)}"
    if members:
        yield (
            f"  universe    {members['path']}  sha256 {members['sha256']}: "
            f"{counted(members['symbols'], 'symbol')}; members {members['at_start']:,} at the "
            f"first bar, {members['at_end']:,} at the last, {members['start_still']:,} at both"
        )
        for text, names in (
            ("members without bars", members["without_bars"]),
            ("never members", members["never"]),
        ):
            if names:
                yield f"    {text}: {len(names):,}: {_listed(names)}"
    if "source" in manifest.sessions:
        first, last = manifest.sessions["reach"]
        yield f"  sessions    stored, {first} to {last}, from {manifest.sessions['source']}"
    if manifest.derived:
        of = manifest.derived
        if "joined" in of:
            parts = (f"{name}, dataset {dataset}" for name, dataset in of["joined"].items())
            yield f"  joined      {'; '.join(parts)}"
            return
        source = f" of {of['bundle']}, dataset {of['dataset_id']}" if "dataset_id" in of else ""
        yield f"  derived     from {of['rows']:,} bars of {of['from']}{source}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_SYMBOLS
    return ", ".join(names[:_SHOWN_SYMBOLS]) + (f" and {more:,} more" if more > 0 else "")


def _verify(options: argparse.Namespace) -> int:
    from backtrail.data.datasets import dataset_damage
    from backtrail.data.inventory import bundle_names, list_datasets

    bundles = read_places(options).bundles
    found: list[dict[str, Any]] = [
        {"bundle": name, "dataset_id": entry.dataset_id, "damage": dataset_damage(entry.path)}
        for name in options.bundles or bundle_names(bundles)
        for entry in list_datasets(bundles, name)
        if entry.path is not None
    ]
    damaged = [item for item in found if item["damage"]]
    if options.json:
        print(pretty_json(found), end="")
        return 1 if damaged else 0
    for item in damaged:
        for file, what in item["damage"].items():
            print(f"damaged  {item['bundle']}/{item['dataset_id']}/{file} {what}")
    print(f"{counted(len(found) - len(damaged), 'dataset')} intact, {len(damaged)} damaged")
    return 1 if damaged else 0


def _lock(options: argparse.Namespace) -> int:
    from backtrail.batch.planning.config_files import read_config
    from backtrail.data.inventory import bundle_names
    from backtrail.data.lock import LOCK_FILE, check_lock, lock_bundles, read_lock
    from backtrail.data.manifest import read_head

    places = read_places(options)
    ingested = set(bundle_names(places.bundles))
    if options.check:
        names = [name for name in options.bundles or read_lock(places.root) if name in ingested]
        check_lock(
            places.root, places.bundles, {name: read_head(places.bundles, name) for name in names}
        )
        print(
            pretty_json(names) if options.json else f"as locked: {', '.join(names) or 'none'}\n",
            end="",
        )
        return 0
    declared = read_config([places.root / file for file in config_files(options)]).get("bundles")
    names = options.bundles or sorted(ingested & set(declared or {}))
    if not names:
        raise DatasetError(
            f"no bundle of the config is ingested into {places.bundles}; run the batch, or "
            "`snakemake` its receipts, and lock then"
        )
    changes = lock_bundles(places.root, places.bundles, names)
    if options.json:
        print(
            pretty_json({name: {"before": b, "now": n} for name, (b, n) in changes.items()}), end=""
        )
        return 0
    for name, (before, now) in changes.items():
        was = "" if before is None else ", as before" if before == now else f", before {before}"
        print(f"{name}  {now}{was}")
    print(f"written: {os.path.relpath(places.root / LOCK_FILE)}")
    return 0


def _collect(options: argparse.Namespace) -> int:
    from backtrail.batch.history.unreached import delete_unreached, find_unreached

    places = read_places(options)
    others = [
        Places.read([Path("config/config.yaml")], Path(folder).resolve())
        for folder in options.project
    ]
    stores = [item.store for item in (places, *others)]
    roots = [item.root for item in (places, *others)]
    files = config_files(options)
    if options.yes:
        now = datetime.now(UTC)
        found = delete_unreached(stores, places.bundles, roots, now=now, configs=files)
        _link(places)
    else:
        found = find_unreached(stores, places.bundles, roots, configs=files)
    if options.json:
        record = {
            "datasets": [_plain(entry) for entry in found.datasets],
            "kept": found.kept,
            "bytes": found.bytes,
            "deleted": found.deleted,
        }
        print(pretty_json(record), end="")
    else:
        for line in _collected_lines(found):
            print(line)
    return 0


def _link(places: Places) -> None:
    """Let the catalog forget what was deleted; it can also do so later."""
    from backtrail.batch.closing.linking import link_catalog

    try:
        link_catalog(places.catalog_url, places.store, places.bundles)
    except BacktrailError as error:
        print(f"backtrail: the datasets are deleted, but {error}", file=sys.stderr)


def _collected_lines(found: "UnreachedDatasets") -> Iterator[str]:
    for entry in found.datasets:
        yield f"{entry.bundle}  {_entry_line(entry).strip()}"
    said = f"{counted(len(found.datasets), 'dataset')}, {found.bytes / 1e6:,.1f} MB"
    if found.deleted:
        yield f"deleted {said}; {found.kept:,} kept"
    elif found.datasets:
        yield f"{said}, reached by nothing; {found.kept:,} kept. Nothing was deleted: give --yes"
    else:
        yield f"nothing to delete; {found.kept:,} kept"
