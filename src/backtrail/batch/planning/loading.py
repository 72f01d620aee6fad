"""Opening a batch: config read, code traced, batch key known; light enough for every parse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from backtrail.batch.execution.sandbox import Limits, Sandbox
from backtrail.batch.planning.bundles import bundle_config, bundle_definition
from backtrail.batch.planning.checking import check_batch
from backtrail.batch.planning.config import with_defaults
from backtrail.batch.planning.config_files import read_config
from backtrail.batch.planning.folders import PathMistakeError, expand_home
from backtrail.batch.planning.limits import run_limits
from backtrail.batch.planning.places import Places
from backtrail.batch.planning.requests import RunRequest, expand_batch
from backtrail.batch.planning.strategies import (
    capture_strategy,
    has_search,
    named_strategies,
)
from backtrail.batch.planning.untagged import are_tags_sound, untagged
from backtrail.canonical import sha256_json
from backtrail.data.bundles import BundleConfig, source_names
from backtrail.data.manifest import RECEIPT_FILE
from backtrail.errors import CodeCaptureError, ConfigError
from backtrail.provenance.closure import CodeClosure
from backtrail.provenance.fingerprint import library_fingerprint
from backtrail.reports.settings import ReportConfig

__all__ = [
    "CHAIN_LIMIT",
    "Batch",
    "open_batch",
]

CHAIN_LIMIT = 32  # up to so many runs, each has its own chain of jobs
_SMALLEST_SHARD = 16  # a job costs about as much as ten small runs
_LARGEST_SHARD = 200
_SHARDS = 32


@dataclass(frozen=True)
class Batch:
    """A batch whose config has been read and whose code has been traced.

    Attributes:
        files: The config files, in the order of their weight.
        root: Project folder: the root of capture and of relative paths.
        config: The config with defaults filled in.
        closures: Import closure of every strategy file the batch names.
        batch_key: 64 hex digits: config, code and library together; tags do not count.
    """

    files: tuple[Path, ...]
    root: Path
    config: Mapping[str, Any]
    closures: Mapping[str, CodeClosure]
    batch_key: str

    @property
    def source(self) -> str:
        """The config's name in messages."""
        return _source(self.files, self.root)

    @cached_property
    def requests(self) -> tuple[RunRequest, ...]:
        """Every run the config asks for, in its order."""
        requests, problems = expand_batch(self.config, self.source)
        if problems:
            raise ConfigError(problems)
        return tuple(requests)

    @cached_property
    def places(self) -> Places:
        """Where runs, bundles and catalog lie."""
        return Places.of(self.config, self.root)

    @property
    def plan_path(self) -> Path:
        """Where the plan lies, relative as `base_dir` is."""
        return self.places.base_dir / ".plans" / self.batch_key / "plan.json"

    @property
    def limits(self) -> Limits:
        """Time and memory of one run."""
        return run_limits(self.config["execution"])

    @property
    def reports(self) -> ReportConfig:
        """Which pages runs get, and how they look.

        Raises:
            ConfigError: If the folder of templates does not exist.
        """
        return ReportConfig.of(self.config["reports"], self.root)

    def bundle(self, name: str) -> BundleConfig:
        """Return the definition of a bundle."""
        return bundle_config(name, self.definition(name))

    def definition(self, name: str) -> dict[str, Any]:
        """Return the keys of a bundle, with those of the bundles it is made of under `parents`."""
        return bundle_definition(name, self.config["bundles"])

    def pinned(self, name: str) -> str | None:
        """Return the dataset that the config names for a bundle; None for the one it means now."""
        # A script may use a bundle that was ingested once and is not in its config.
        dataset: str | None = self.config["bundles"].get(name, {}).get("dataset")
        return dataset

    @property
    def ingested_bundles(self) -> tuple[str, ...]:
        """Bundles to ingest, sorted: those that are used, and those they are made of.

        One that names its dataset is not looked at, nor what it was made of.
        """
        found: set[str] = set()
        wanted = list(self.used_bundles)
        while wanted:
            name = wanted.pop()
            if self.pinned(name) is None and name not in found:
                found.add(name)
                wanted += self.parents(name)
        return tuple(sorted(found))

    def parents(self, name: str) -> tuple[str, ...]:
        """Return the bundles that another one is made of; none for one with a source of its own."""
        values = self.config["bundles"].get(name, {})
        return source_names(values) if values.get("adapter") == "bundle" else ()

    def receipts(self, name: str) -> list[str]:
        """Return the receipts of what a bundle is made of, where that is ingested before."""
        folder = self.places.bundles_dir.as_posix()
        made_of = (parent for parent in self.parents(name) if self.pinned(parent) is None)
        return [f"{folder}/{parent}/{RECEIPT_FILE}" for parent in made_of]

    @property
    def used_bundles(self) -> tuple[str, ...]:
        """Bundles that a run of the batch needs, sorted."""
        return tuple(sorted({request.bundle for request in self.requests}))

    @cached_property
    def tags(self) -> dict[str, list[str]]:
        """The tags of every entry that has some."""
        return {request.entry: list(request.tags) for request in self.requests if request.tags}

    def shard_size(self, runs: int) -> int | None:
        """Return how many runs one job takes, or None when each run has its own chain."""
        wanted = self.config["execution"]["runs_per_job"]
        if wanted == "auto":
            if runs <= CHAIN_LIMIT:
                return None
            return min(_LARGEST_SHARD, max(_SMALLEST_SHARD, -(-runs // _SHARDS)))
        return None if wanted == 1 and runs <= CHAIN_LIMIT else int(wanted)


def _source(files: Sequence[Path], root: Path) -> str:
    names = []
    for file in files:
        absolute = file if file.is_absolute() else root / file
        names.append(
            absolute.relative_to(root).as_posix()
            if absolute.is_relative_to(root)
            else absolute.as_posix()
        )
    return " + ".join(names)


def _base_dir(values: Mapping[str, Any]) -> str:
    """Return the folder of the runs of a config that may be wrong."""
    output = values.get("backtest_output", {})
    folder = output.get("base_dir", "backtests") if isinstance(output, dict) else "backtests"
    try:
        return expand_home(str(folder))
    except PathMistakeError:  # told with the other mistakes
        return str(folder)


def open_batch(
    files: Sequence[Path],
    *,
    root: Path,
    overrides: Mapping[str, Any] | None = None,
    sandbox: Sandbox | None = None,
) -> Batch:
    """Read a batch config, trace its strategies' imports and compute the batch key.

    A batch whose plan exists has been checked before; any other is checked here, in full. Nothing
    is written.

    Args:
        files: Config files; later ones have more weight.
        root: Project folder.
        overrides: Values that have more weight than the files.
        sandbox: Where strategies are imported to check parameters; one of its own when None.

    Raises:
        ConfigError: With every mistake of config, strategies and parameters.
    """
    root = root.resolve()
    source = _source(files, root)
    values = read_config([root / file for file in files], overrides)
    strategies = named_strategies(values)
    closures: dict[str, CodeClosure] = {}
    for strategy in strategies:
        try:
            closures[strategy] = capture_strategy(strategy, values, root)
        except CodeCaptureError:
            continue  # reported with its config key below
    key = sha256_json(
        {
            "config": untagged(values),
            "closures": {name: closure.code_hash for name, closure in closures.items()},
            "library": library_fingerprint(search=has_search(values)),
        }
    )
    known = (
        len(closures) == len(strategies)
        and are_tags_sound(values)
        and (root / _base_dir(values) / ".plans" / key / "plan.json").exists()
    )
    if not known:
        problems = check_batch(values, closures, source, root, sandbox)
        if problems:
            raise ConfigError(problems)
    return Batch(tuple(files), root, with_defaults(values), closures, key)
