"""What one run of a script is: arguments over the project's config over the defaults."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from backtrail.artifacts.store import RunStore
from backtrail.backtest.default import DEFAULT, Default
from backtrail.backtest.places import CONFIG_FILE, check_base_dir
from backtrail.batch.planning.config import schema_problems, with_defaults
from backtrail.batch.planning.config_files import read_config, value_problems
from backtrail.batch.planning.loading import Batch
from backtrail.batch.planning.places import Places
from backtrail.batch.planning.requests import Lineage, RunRequest, entry_problems, entry_requests
from backtrail.errors import ConfigError, Problem
from backtrail.provenance.closure import CodeClosure

__all__ = ["ProjectConfig", "RunArguments", "make_request", "read_project"]

_SECTIONS = ("backtest_output", "storage", "seed", "bundles", "defaults", "execution")
_SOURCE = "run_algorithm"


@dataclass(frozen=True)
class ProjectConfig:
    """The sections of a project's config that concern a single run, defaults filled in.

    Attributes:
        root: Project folder, from which relative paths count.
        values: The sections by name; `batch` is not among them.
        enabled: Whether a run directory is made.
        capture_mode: How code is captured; None when it is not.
    """

    root: Path
    values: Mapping[str, Any]
    enabled: bool
    capture_mode: str | None

    @property
    def places(self) -> Places:
        """Where runs, bundles and catalog lie."""
        return Places.of(self.values, self.root)

    @property
    def store(self) -> RunStore:
        """The run store."""
        return self.places.store

    def batch(self, closures: Mapping[str, CodeClosure]) -> Batch:
        """Return the batch of a single run: what the functions of batches ask for."""
        return Batch((Path(_SOURCE),), self.root, self.values, closures, "")


def read_project(
    root: Path,
    config: Mapping[str, Any] | str | Path | None,
    *,
    base_dir: str | Path | None = None,
    enabled: bool | Default = DEFAULT,
    capture_mode: str | Default | None = DEFAULT,
) -> ProjectConfig:
    """Read what a project's config says of a single run, and what a call changes.

    Args:
        root: Project folder.
        config: A config file in place of `config/config.yaml`, or values over those of that file.
        base_dir: Folder of the run store, in place of the config's.
        enabled: Whether a run directory is made, in place of the config's.
        capture_mode: How code is captured, in place of the config's.

    Raises:
        ConfigError: With every mistake in the sections that are read.
        ValueError: If `base_dir` cannot be meant.
    """
    file, over = (None, config) if isinstance(config, Mapping) else (config, {})
    files = [] if file is None and not (root / CONFIG_FILE).is_file() else [file or CONFIG_FILE]
    values = read_config([root / Path(name).expanduser() for name in files], over)
    known = {key: values[key] for key in _SECTIONS if key in values}
    output = dict(known.get("backtest_output", {}))
    found_enabled = output.pop("enabled", True)
    found_mode = output.get("code_capture_mode", "import_analysis")
    if found_mode is None:
        del output["code_capture_mode"]
    if base_dir is not None:
        output["base_dir"] = str(check_base_dir(base_dir))
    elif "base_dir" in output:
        check_base_dir(output["base_dir"])
    problems = _section_problems({**known, "backtest_output": output})
    is_enabled = found_enabled if isinstance(enabled, Default) else enabled
    if not isinstance(is_enabled, bool):
        where = f"{_SOURCE}: backtest_output.enabled"
        problems.append(Problem(where, f"{is_enabled!r} stands there", "write true or false"))
    unknown = sorted(set(over) - {*_SECTIONS, "batch"})
    problems += [
        Problem(f"{_SOURCE}: config.{key}", "the key is unknown", f"known: {', '.join(_SECTIONS)}")
        for key in unknown
    ]
    if problems:
        raise ConfigError(problems)
    filled = with_defaults({"bundles": {}, "defaults": {}, **known, "backtest_output": output})
    mode = found_mode if isinstance(capture_mode, Default) else capture_mode
    return ProjectConfig(root, filled, is_enabled, mode)


def _section_problems(values: Mapping[str, Any]) -> list[Problem]:
    """Return what the schema says of sections that stand without a batch."""
    absent: dict[str, Any] = (
        {"batch": {"run": {}}} if "bundles" in values else {"bundles": {}, "batch": {"run": {}}}
    )
    found = schema_problems({**values, **absent}, _SOURCE)
    return [problem for problem in found if problem.where != f"{_SOURCE}: bundles"]


@dataclass(frozen=True)
class RunArguments:
    """What a call says of its run; None and `DEFAULT` leave a setting to the project's config.

    Attributes:
        search: `optimize`, `where` and `validate` of an entry; those that are None are not asked.
    """

    name: str
    bundle: str
    start: Any
    end: Any
    symbols: str | Sequence[str] | None
    params: Mapping[str, Any] | None
    settings: Mapping[str, Any]
    search: Mapping[str, Any]


def make_request(
    arguments: RunArguments,
    config: ProjectConfig,
    strategy: str,
    functions: Mapping[str, str] | None,
) -> RunRequest:
    """Return the run that a call asks for, checked as an entry of a batch is.

    Args:
        arguments: What the call says.
        config: What the project says.
        strategy: The strategy file, relative to the project.
        functions: What of it is the strategy, where that is not found by name.

    Raises:
        ConfigError: With every mistake in the arguments.
    """
    problems: list[Problem] = []
    entry: dict[str, Any] = {
        "strategy": strategy,
        "bundle": arguments.bundle,
        **{key: _plain(value) for key, value in arguments.settings.items() if value is not DEFAULT},
        "params": {key: _plain(value) for key, value in (arguments.params or {}).items()},
        **{key: _plain(value) for key, value in arguments.search.items() if value is not None},
    }
    if arguments.symbols is not None:
        only = isinstance(arguments.symbols, str)
        entry["symbols"] = [arguments.symbols] if only else list(arguments.symbols)
    for key in ("start", "end"):
        try:
            entry[key] = _session_date(getattr(arguments, key)).isoformat()
        except ValueError as error:
            problems.append(Problem(f"{_SOURCE}: {key}", str(error), "write it as 2020-12-31"))
    where = f"{_SOURCE}: batch.{arguments.name}"
    lineage = Lineage.of({arguments.name: entry})
    checked = {"bundles": {}, "batch": {arguments.name: entry}}
    problems += value_problems(checked, _SOURCE)
    problems += [item for item in schema_problems(checked, _SOURCE) if item.where.startswith(where)]
    if not problems:
        problems += entry_problems(config.values["defaults"], lineage, entry, _SOURCE)
    if problems:
        raise ConfigError(own_words(problems, arguments.name))
    (request,) = entry_requests(lineage, entry, config.values["defaults"])
    return replace(request, functions=functions)


def own_words(problems: Iterable[Problem], name: str) -> list[Problem]:
    """Return problems of a batch entry as problems of arguments: nobody has written a batch."""
    entry = f"{_SOURCE}: batch.{name}"
    return [
        replace(item, where=item.where.replace(f"{entry}.", f"{_SOURCE}: ").replace(entry, _SOURCE))
        for item in problems
    ]


def _session_date(value: object) -> date:
    """Return a session date from text, a date, or a moment at midnight of any zone."""
    if isinstance(value, str):
        text = value.strip()
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            try:
                value = datetime.fromisoformat(text)
            except ValueError:
                raise ValueError(f"{text!r} is not a date ({error})") from None
    if isinstance(value, datetime):
        if value.time() != time(0):
            raise ValueError(f"{value} has a time of day; runs begin and end with a session")
        return value.date()
    if isinstance(value, date):
        return value
    raise ValueError(f"{value!r} is no date")


def _plain(value: Any) -> Any:
    """Return a setting or parameter as YAML would give it."""
    if isinstance(value, Decimal):
        number = float(value)
        if Decimal(repr(number)) == value:
            return int(value) if value == value.to_integral_value() else number
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and callable(value.item) and getattr(value, "shape", None) == ():
        return value.item()  # a NumPy scalar
    return value
