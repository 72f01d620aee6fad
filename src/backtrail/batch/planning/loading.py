"""Opening a batch: config read, code traced, batch key known; light enough for every parse."""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from backtrail.batch.execution.sandbox import Limits, Sandbox
from backtrail.batch.planning.bundles import bundle_config, bundle_definition
from backtrail.batch.planning.config import read_config, schema_problems, with_defaults
from backtrail.batch.planning.limits import run_limits
from backtrail.batch.planning.places import Places
from backtrail.batch.planning.requests import RunRequest, expand_batch
from backtrail.batch.planning.searches import (
    is_mistake,
    is_single_mistake,
    metric_problems,
    probed_params,
)
from backtrail.canonical import sha256_json
from backtrail.data.bundles import BundleConfig
from backtrail.data.manifest import RECEIPT_FILE
from backtrail.data.sources import list_symbols
from backtrail.errors import CodeCaptureError, ConfigError, Problem
from backtrail.provenance.closure import CodeClosure, SecretWaiver
from backtrail.provenance.detection import CAPTURE_MODES, capture_closure, importable
from backtrail.provenance.fingerprint import library_fingerprint
from backtrail.reports.settings import ReportConfig

__all__ = [
    "CHAIN_LIMIT",
    "Batch",
    "bundle_config",
    "bundle_definition",
    "check_batch",
    "open_batch",
    "secret_waivers",
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
        batch_key: 64 hex digits: config, code and library together.
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
        """Return the keys of a bundle, with those of the bundle it is made of under `parent`."""
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
        for name in self.used_bundles:
            wanted: str | None = name
            while wanted is not None and self.pinned(wanted) is None:
                found.add(wanted)
                wanted = self.parent(wanted)
        return tuple(sorted(found))

    def parent(self, name: str) -> str | None:
        """Return the bundle that another one is made of; None for one with a source of its own."""
        values = self.config["bundles"].get(name, {})
        source: str | None = values.get("source") if values.get("adapter") == "bundle" else None
        return source

    def receipts(self, name: str) -> list[str]:
        """Return the receipt of what a bundle is made of, where that is ingested before."""
        parent = self.parent(name)
        if parent is None or self.pinned(parent) is not None:
            return []
        return [f"{self.places.bundles_dir.as_posix()}/{parent}/{RECEIPT_FILE}"]

    @property
    def used_bundles(self) -> tuple[str, ...]:
        """Bundles that a run of the batch needs, sorted."""
        return tuple(sorted({request.bundle for request in self.requests}))

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
    strategies = _strategies(values)
    closures: dict[str, CodeClosure] = {}
    for strategy in strategies:
        try:
            closures[strategy] = _capture(strategy, values, root)
        except CodeCaptureError:
            continue  # reported with its config key below
    key = sha256_json(
        {
            "config": values,
            "closures": {name: closure.code_hash for name, closure in closures.items()},
            "library": library_fingerprint(search=_searches(values)),
        }
    )
    base_dir = values.get("backtest_output", {}) if isinstance(values, dict) else {}
    folder = base_dir.get("base_dir", "backtests") if isinstance(base_dir, dict) else "backtests"
    known = len(closures) == len(strategies) and (
        (root / str(folder) / ".plans" / key / "plan.json").exists()
    )
    if not known:
        problems = check_batch(values, closures, source, root, sandbox)
        if problems:
            raise ConfigError(problems)
    return Batch(tuple(files), root, with_defaults(values), closures, key)


def _capture(strategy: str, values: Mapping[str, Any], root: Path) -> CodeClosure:
    """Capture a strategy as a config asks for, however broken the rest of it is."""
    output = values.get("backtest_output")
    settings = output if isinstance(output, dict) else {}
    mode = settings.get("code_capture_mode")
    return capture_closure(
        root / strategy,
        root,
        mode=mode if mode in CAPTURE_MODES else "import_analysis",
        secret_waivers=secret_waivers(settings),
    )


def secret_waivers(settings: Mapping[str, Any]) -> list[SecretWaiver]:
    """Return the waivers of a config's section `backtest_output`; broken ones are left out."""
    waivers = settings.get("secret_waivers")
    return [
        SecretWaiver(item["file"], item["reason"])
        for item in (waivers if isinstance(waivers, list) else ())
        if isinstance(item, dict) and item.keys() >= {"file", "reason"}
    ]


def _searches(values: Mapping[str, Any]) -> bool:
    """Say whether an entry of a config searches, however broken the rest is."""
    batch = values.get("batch")
    entries = batch.values() if isinstance(batch, dict) else ()
    return any(isinstance(entry, dict) and bool(entry.get("optimize")) for entry in entries)


def _strategies(values: Mapping[str, Any]) -> list[str]:
    """Return the strategy files a config names, however broken the rest is."""
    batch = values.get("batch")
    entries = batch.values() if isinstance(batch, dict) else ()
    names = {
        entry["strategy"] for entry in entries if isinstance(entry, dict) and "strategy" in entry
    }
    return sorted(name for name in names if isinstance(name, str) and name)


def check_batch(
    values: Mapping[str, Any],
    closures: Mapping[str, CodeClosure],
    source: str,
    root: Path,
    sandbox: Sandbox | None = None,
) -> list[Problem]:
    """Return every mistake of a config that can be found before data are read."""
    problems = schema_problems(values, source)
    sound = _sound_part(values, problems, source)
    if sound is None:
        return problems
    config = with_defaults(sound)
    requests, found = expand_batch(config, source)
    dropped = {
        f"there is no {kind} {name!r}"
        for kind, section in (("bundle", "bundles"), ("entry", "batch"))
        for name in set(values.get(section, {})) - set(config[section])
    }
    problems += [problem for problem in found if problem.found not in dropped]
    problems += _symbol_problems(config, requests, source, root)
    problems += _strategy_problems(requests, closures, values, source, root, sandbox)
    return problems


def _sound_part(
    values: Mapping[str, Any], problems: Sequence[Problem], source: str
) -> dict[str, Any] | None:
    """Return the config without the entries, bundles and sections that break the schema."""
    if not all(isinstance(values.get(key), dict) for key in ("bundles", "batch")):
        return None
    broken = {problem.where.removeprefix(f"{source}: ") for problem in problems}

    def is_sound(path: str) -> bool:
        return not any(key == path or key.startswith((path + ".", path + "[")) for key in broken)

    sound: dict[str, Any] = {}
    for section, content in values.items():
        if section in {"bundles", "batch"}:
            sound[section] = {k: v for k, v in content.items() if is_sound(f"{section}.{k}")}
        elif is_sound(section):
            sound[section] = content
    return sound


def _symbol_problems(
    config: Mapping[str, Any], requests: Sequence[RunRequest], source: str, root: Path
) -> list[Problem]:
    known: dict[str, tuple[str, ...] | None] = {}
    problems: dict[str, Problem] = {}
    for request in requests:
        if request.bundle not in known:
            try:
                bundle = bundle_config(
                    request.bundle, bundle_definition(request.bundle, config["bundles"])
                )
            except ConfigError:
                if config["bundles"][request.bundle]["adapter"] != "bundle":
                    raise
                known[request.bundle] = None  # what hinders it is told with the other mistakes
                continue
            problems |= _universe_problems(bundle, source, root)
            origin = _origin(bundle)
            if "dataset" in config["bundles"][request.bundle] or origin is None:
                known[request.bundle] = None  # its source may be another one now, or gone
            elif origin.path is not None and not (root / origin.path).exists():
                where = f"{source}: bundles.{origin.name}.path"
                problems[where] = Problem(
                    where,
                    f"{origin.path!r} does not exist",
                    "name the folder or file of the source",
                )
                known[request.bundle] = None
            else:
                known[request.bundle] = list_symbols(bundle, root)
        symbols = known[request.bundle]
        if symbols is None:
            continue
        listed = ", ".join(symbols[:12]) + (", …" if len(symbols) > 12 else "")
        for symbol in request.symbols or ():
            if symbol not in symbols:
                where = f"{source}: batch.{request.origin('symbols', 'bundle')}.symbols"
                found = f"bundle {request.bundle!r} has no symbol {symbol!r}"
                problems[f"{where} {symbol}"] = Problem(where, found, f"its symbols are {listed}")
        benchmark = request.settings.benchmark
        if benchmark is not None and benchmark not in symbols:
            where = f"{source}: batch.{request.origin('benchmark', 'bundle')}.benchmark"
            found = f"bundle {request.bundle!r} has no symbol {benchmark!r}"
            remedy = f"use one of {listed}, or null for no benchmark"
            problems[where] = Problem(where, found, remedy)
    return list(problems.values())


def _universe_problems(bundle: BundleConfig, source: str, root: Path) -> dict[str, Problem]:
    """Return which membership files are not there, of a bundle and of what it is made of."""
    found = {}
    wanted: BundleConfig | None = bundle
    while wanted is not None:
        if wanted.universe is not None and not (root / wanted.universe).is_file():
            where = f"{source}: bundles.{wanted.name}.universe"
            remedy = "name a CSV file with the columns symbol, from, to"
            found[where] = Problem(where, f"{wanted.universe!r} does not exist", remedy)
        wanted = None if wanted.parent_dataset is not None else wanted.parent
    return found


def _origin(bundle: BundleConfig) -> BundleConfig | None:
    """Return the bundle whose source prices come from; None where a dataset is named for it."""
    origin = bundle
    while origin.parent is not None:
        if origin.parent_dataset is not None:
            return None
        origin = origin.parent
    return origin


def _strategy_problems(
    requests: Sequence[RunRequest],
    closures: Mapping[str, CodeClosure],
    values: Mapping[str, Any],
    source: str,
    root: Path,
    sandbox: Sandbox | None,
) -> list[Problem]:
    problems: dict[str, Problem] = {}
    by_strategy: dict[str, list[RunRequest]] = {}
    for request in requests:
        if request.strategy in closures:
            by_strategy.setdefault(request.strategy, []).append(request)
            continue
        where = f"{source}: batch.{request.origin('strategy')}.strategy"
        try:
            _capture(request.strategy, values, root)
        except CodeCaptureError as error:
            absent = not (root / request.strategy).is_file()
            remedy = "name a file inside the project" if absent else "mend what the strategy names"
            problems[where] = Problem(where, str(error), remedy)
    if by_strategy:
        with Sandbox() if sandbox is None else nullcontext(sandbox) as checker:
            for strategy, wanted in by_strategy.items():
                for problem in _params_problems(checker, closures[strategy], wanted, source, root):
                    problems.setdefault(str(problem), problem)
    return list(problems.values())


def _params_problems(
    sandbox: Sandbox,
    closure: CodeClosure,
    requests: Sequence[RunRequest],
    source: str,
    root: Path,
) -> list[Problem]:
    probes = [
        (request, params)
        for request in requests
        for params in probed_params(request.params, request.search)
    ]
    with importable(closure, root) as folder:
        outcome = sandbox.check_params(folder, closure.entry, [params for _, params in probes])
    if outcome.answer is None:
        # A strategy that cannot even be imported is a failing run, not a wrong config: the others
        # of the batch go on, and the run keeps the error. Only a broken contract stops the batch.
        if outcome.kind != "StrategyError":
            return []
        where = f"{source}: batch.{requests[0].origin('strategy')}.strategy"
        remedy = "see strategies/README.md for the forms of a strategy"
        return [Problem(where, f"{closure.entry}: {outcome.message}", remedy)]
    problems = [
        _params_problem(request, item["error"], source)
        for (request, params), item in zip(probes, outcome.answer["params"], strict=True)
        if "error" in item and is_mistake(item["error"], params, request.search)
    ]
    for request in requests:
        where = f"{source}: batch.{request.origin('optimize')}.optimize"
        problems += metric_problems(request.search, outcome.answer["metrics"], where)
    return problems


_NAMED = re.compile(r"parameter '(\w+)'")


def _params_problem(request: RunRequest, error: str, source: str) -> Problem:
    if is_single_mistake(error):
        named = _NAMED.findall(error)
        keys = [f"{key}.{name}" for name in named for key in ("params", "grid", "optimize.space")]
        origin = request.origin(*(keys or ("params", "grid", "optimize")), "strategy")
        place = "params"
        if request.search is not None and not {*named}.issubset(request.params):
            place = "optimize.space"
        return Problem(f"{source}: batch.{origin}.{place}", error, f"mend it ({request.strategy})")
    origin = request.origin("params", "grid", "strategy")
    shown = ", ".join(f"{key}={value!r}" for key, value in request.params.items())
    how = "mend the value, or filter it with 'where'" if request.has_grid else "mend it"
    return Problem(
        f"{source}: batch.{origin}.params",
        f"{shown or 'no parameters'}: {error}",
        f"{how} ({request.strategy})",
    )
