"""Every mistake of a config that can be found before data are read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from backtrail.batch.execution.sandbox import Sandbox
from backtrail.batch.planning.bundles import bundle_config, bundle_definition
from backtrail.batch.planning.config import schema_problems, with_defaults
from backtrail.batch.planning.folders import folder_problems
from backtrail.batch.planning.requests import RunRequest, expand_batch
from backtrail.batch.planning.searches import (
    is_mistake,
    is_single_mistake,
    metric_problems,
    probed_params,
)
from backtrail.batch.planning.strategies import capture_strategy
from backtrail.data.bundles import BundleConfig
from backtrail.data.sources import list_symbols
from backtrail.errors import CodeCaptureError, ConfigError, Problem
from backtrail.provenance.closure import CodeClosure
from backtrail.provenance.detection import importable

__all__ = ["check_batch"]


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
    problems += folder_problems(config, source, root)
    found = _symbol_problems(config, requests, source, root)
    problems += [problem for problem in found if problem not in problems]
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
            known[request.bundle], mistakes = _bundle_symbols(request.bundle, config, source, root)
            problems |= mistakes
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


def _bundle_symbols(
    name: str, config: Mapping[str, Any], source: str, root: Path
) -> tuple[tuple[str, ...] | None, dict[str, Problem]]:
    """Return the symbols of a bundle, None while they cannot be known, and its mistakes."""
    try:
        bundle = bundle_config(name, bundle_definition(name, config["bundles"]))
        problems = _universe_problems(bundle, source, root)
        if "dataset" in config["bundles"][name]:
            return None, problems  # its source may be another one now, or gone
        origins = list(_origins(bundle))
        absent = _path_problems(origins, source, root)
        problems |= absent
        if absent or None in origins:
            return None, problems
        return list_symbols(bundle, root), problems
    except ConfigError as error:
        told = [replace(item, where=f"{source}: {item.where}") for item in error.problems]
        return None, {item.where: item for item in told}


def _path_problems(
    origins: Sequence[BundleConfig | None], source: str, root: Path
) -> dict[str, Problem]:
    """Return which files and folders of bundles are not there."""
    found = {}
    for origin in origins:
        if origin is not None and origin.path is not None and not (root / origin.path).exists():
            where = f"{source}: bundles.{origin.name}.path"
            remedy = "name the folder or file of the source"
            found[where] = Problem(where, f"{origin.path!r} does not exist", remedy)
    return found


def _universe_problems(bundle: BundleConfig, source: str, root: Path) -> dict[str, Problem]:
    """Return which membership files are not there, of a bundle and of what it is made of."""
    found = {}
    if bundle.universe is not None and not (root / bundle.universe).is_file():
        where = f"{source}: bundles.{bundle.name}.universe"
        remedy = "name a CSV file with the columns symbol, from, to"
        found[where] = Problem(where, f"{bundle.universe!r} does not exist", remedy)
    for parent in bundle.parents:
        if parent.dataset_id is None:
            found |= _universe_problems(parent.bundle, source, root)
    return found


def _origins(bundle: BundleConfig) -> Iterator[BundleConfig | None]:
    """Yield the bundles whose sources prices come from; None where a dataset is named for one."""
    if not bundle.parents:
        yield bundle
    for parent in bundle.parents:
        if parent.dataset_id is not None:
            yield None
        else:
            yield from _origins(parent.bundle)


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
            capture_strategy(request.strategy, values, root)
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
        if any(request.lineage.has(f"optimize.space.{name}") for name in named):
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
