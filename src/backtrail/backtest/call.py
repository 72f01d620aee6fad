"""One call of `run_algorithm`: where its strategy comes from, and the three ways to run it."""

import dataclasses
import json
import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from backtrail.artifacts.manifest import is_sealed
from backtrail.artifacts.store import RunStore, check_id
from backtrail.artifacts.tables import build_table
from backtrail.backtest.artifact_manager import BacktestArtifactManager
from backtrail.backtest.bundles import choose_bundle, ensure_bundle
from backtrail.backtest.callables import LiveStrategy, live_strategy
from backtrail.backtest.capturing import check_strategy_path
from backtrail.backtest.default import Default
from backtrail.backtest.in_process import InProcess, file_strategy, held_strategy
from backtrail.backtest.result import BacktestResult
from backtrail.backtest.session import running_session, session_code
from backtrail.backtest.settings import (
    ProjectConfig,
    RunArguments,
    make_request,
    own_words,
    read_project,
)
from backtrail.batch import stages
from backtrail.batch.closing.linking import link_catalog
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.protocol import RunExecutor
from backtrail.batch.planning.claiming import Claimant, store_code
from backtrail.batch.planning.loading import Batch
from backtrail.batch.planning.places import Places
from backtrail.batch.planning.requests import RunRequest
from backtrail.batch.planning.resolving import ParameterChecker, ResolvedRun, resolve_runs
from backtrail.batch.planning.strategies import secret_waivers
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.canonical import canonical_json
from backtrail.engine.strategy import Strategy
from backtrail.errors import (
    CatalogError,
    ConfigError,
    InvalidNameError,
    Problem,
    RunFailedError,
    StrategyError,
)
from backtrail.files import lease
from backtrail.project import find_project_root, project_root
from backtrail.provenance.closure import CodeClosure
from backtrail.provenance.detection import CAPTURE_MODES, CaptureMode, capture_closure

__all__ = ["RunCall", "StrategySource", "file_source", "live_source", "run_call"]

_log = logging.getLogger(__name__)


def run_call(
    strategy_file: str | Path | None,
    functions: Mapping[str, Callable[..., Any] | None],
    algorithm: type[Any] | None,
    *,
    name: str | None,
    bundle: str | None,
    window: tuple[Any, Any],
    symbols: str | Sequence[str] | None,
    params: Mapping[str, Any] | None,
    settings: Mapping[str, Any],
    search: Mapping[str, Any],
    config: Mapping[str, Any] | str | Path | None,
    base_dir: str | Path | None,
    backtest_id: str | None,
    code_capture_mode: str | Default | None,
    enabled: bool | Default,
) -> BacktestResult:
    """Do what `run_algorithm` says; the arguments are its own."""
    live = live_strategy(**functions, algorithm=algorithm)
    if (strategy_file is None) == (live is None):
        found = "nothing" if live is None else f"both strategy_file and {', '.join(live.named)}"
        raise StrategyError(
            f"a run needs one strategy, and {found} was passed: give strategy_file, or handle_data "
            "(with initialize and analyze), or algorithm"
        )
    if backtest_id is not None:
        check_id(backtest_id)
    source = file_source(strategy_file) if live is None else live_source(live)
    project = read_project(
        source.root, config, base_dir=base_dir, enabled=enabled, capture_mode=code_capture_mode
    )
    if project.capture_mode not in (*CAPTURE_MODES, None):
        raise InvalidNameError(
            f"invalid code_capture_mode {project.capture_mode!r}; use one of "
            f"{', '.join(CAPTURE_MODES)}, or None"
        )
    arguments = RunArguments(
        name or source.name,
        choose_bundle(project, bundle),
        *window,
        symbols,
        params,
        settings,
        search,
    )
    call = RunCall(project, arguments, source, backtest_id)
    if not (project.enabled and project.capture_mode):
        _refuse_search(search, project)
    if not project.enabled:
        return call.without_directory()
    return call.without_code() if project.capture_mode is None else call.captured()


def _refuse_search(search: Mapping[str, Any], project: ProjectConfig) -> None:
    asked = [f"run_algorithm: {key}" for key, value in search.items() if value is not None]
    if asked:
        why = "code_capture_mode is None" if project.enabled else "enabled is False"
        found = f"a search works from captured code in a run directory, and {why}"
        remedy = (
            "leave that out; backtrail.optimization.sweep.Sweep evaluates sets and keeps nothing"
        )
        raise ConfigError([Problem(place, found, remedy) for place in asked])


@dataclass(frozen=True)
class StrategySource:
    """Where a strategy comes from.

    Attributes:
        root: Project folder.
        name: What the strategy is called.
        file: Its file, absolute; None when it lies in none, or that is not known yet.
        live: Its functions or class; None when only its file was passed.
    """

    root: Path
    name: str
    file: Path | None
    live: LiveStrategy | None

    @property
    def described(self) -> str:
        """The strategy's file, or the name it has in this process."""
        return self.entry if self.file is None else str(self.file)

    @property
    def entry(self) -> str:
        """The strategy's file in its project, or the name it has in this process."""
        if self.file is not None:
            return self.file.relative_to(self.root).as_posix()
        assert self.live is not None
        return self.live.name


def file_source(strategy_file: str | Path | None) -> StrategySource:
    """Return where a strategy file comes from.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it is no file that could be a strategy.
    """
    assert strategy_file is not None
    file = check_strategy_path(strategy_file)
    return StrategySource(project_root(file), _entry_name(file.stem), file, None)


def live_source(live: LiveStrategy) -> StrategySource:
    """Return where objects come from; the folder is that of their file, else where we are."""
    file = live.defined_in()
    if file is not None and running_session(live) is None:
        return StrategySource(project_root(file), _entry_name(file.stem), file, live)
    here = Path.cwd()
    return StrategySource(find_project_root(here) or here, _entry_name(live.name), None, live)


def _session_file(root: Path) -> Path:
    """Return where the code of a session would lie: in its working directory, under a free name."""
    here = Path.cwd() if Path.cwd().is_relative_to(root) else root
    names = ("notebook_session.py", *(f"notebook_session_{number}.py" for number in range(2, 100)))
    return next(here / name for name in names if not (here / name).exists())


def _entry_name(text: str) -> str:
    """Return a name that a batch entry could have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:80] or "strategy"


@dataclass(frozen=True)
class RunCall:
    """One call of `run_algorithm` whose arguments have been read."""

    project: ProjectConfig
    arguments: RunArguments
    source: StrategySource
    backtest_id: str | None

    def captured(self) -> BacktestResult:
        """Run from a captured copy in a process of its own, or find the run that did."""
        closure, functions = self._capture()
        request = make_request(self.arguments, self.project, closure.entry, functions)
        ensure_bundle(self.project, request.bundle)
        batch = self.project.batch({request.strategy: closure})
        csv_twins = batch.config["execution"]["artifacts"] != "lean"
        with Executor(batch.places.bundles, batch.limits, csv_twins=csv_twins) as executor:
            resolved = self._resolve(batch, request, executor.sandbox)
            return self._take_through(resolved, closure, executor)

    def _capture(self) -> tuple[CodeClosure, Mapping[str, str] | None]:
        """Return the strategy's files, and what of them is the strategy where names do not say."""
        live, root = self.source.live, self.project.root
        output = self.project.values["backtest_output"]
        mode = cast("CaptureMode", self.project.capture_mode)
        waivers = secret_waivers(output)
        if live is None:
            assert self.source.file is not None
            return capture_closure(self.source.file, root, mode=mode, secret_waivers=waivers), None
        functions = live.qualified_names()
        names = running_session(live)
        if names is None:
            file = live.file()
            return capture_closure(file, root, mode=mode, secret_waivers=waivers), functions
        code = session_code(live, names)
        closure = capture_closure(
            _session_file(root),
            root,
            mode=mode,
            secret_waivers=waivers,
            source=code.source.encode(),
        )
        # What else the session defines is no part of the file, so the names are always given.
        named = {role: item.__qualname__ for role, item in live.named.items()}
        warnings = (*code.warnings, *closure.warnings)
        return dataclasses.replace(closure, warnings=warnings), named

    def without_code(self) -> BacktestResult:
        """Run in this process, and keep a run without code, which is never found again."""
        with self._here() as strategy:
            worker = InProcess(strategy, self.project.places.bundles)
            resolved, closure = self._uncaptured(worker)
            strategy_key = {**resolved.identity["strategy"], "code_hash": None}
            own = {"strategy": strategy_key, "uncaptured": uuid.uuid4().hex}
            resolved = dataclasses.replace(resolved, identity={**resolved.identity, **own})
            return self._take_through(resolved, closure, worker)

    def without_directory(self) -> BacktestResult:
        """Run in this process, and write nothing."""
        with self._here() as strategy:
            worker = InProcess(strategy, self.project.places.bundles)
            resolved, _ = self._uncaptured(worker)
            # Through JSON, as the spec of a run with a directory would be.
            identity = json.loads(canonical_json(dict(resolved.identity)))
            tables = worker.tables(identity, resolved.request.bundle, resolved.run_key, None)
        frames = {name: build_table(name, columns) for name, columns in tables.items()}
        summary = tables["summary"]
        metrics = dict(zip(summary["metric"], summary["value"], strict=True))
        return BacktestResult(metrics=metrics, tables=frames)

    def _here(self) -> AbstractContextManager[Strategy]:
        if self.source.live is not None:
            return held_strategy(self.source.live)
        return file_strategy(self.project.root, self.source.entry)

    def _uncaptured(self, worker: InProcess) -> tuple[ResolvedRun, CodeClosure]:
        entry = self.source.entry
        request = make_request(self.arguments, self.project, entry, None)
        ensure_bundle(self.project, request.bundle)
        closure = CodeClosure(entry, (), mode=None)
        batch = self.project.batch({entry: closure})
        return self._resolve(batch, request, worker), closure

    def _resolve(self, batch: Batch, request: RunRequest, checker: ParameterChecker) -> ResolvedRun:
        try:
            (resolved,) = resolve_runs(batch, [request], sandbox=checker)
        except ConfigError as error:
            raise ConfigError(own_words(error.problems, self.arguments.name)) from None
        return resolved

    def _take_through(
        self, resolved: ResolvedRun, closure: CodeClosure, executor: RunExecutor
    ) -> BacktestResult:
        """Claim a run and take it through its stages; the catalog knows it afterwards."""
        places = self.project.places
        store = places.store
        claimant = Claimant(store, self.project.root, strategy=self.source.described)
        store.plans.mkdir(parents=True, exist_ok=True)
        with lease(store.plans / ".lock"):  # no cleanup takes the code before the run needs it
            store_code(store, self.project.root, [closure])
            backtest_id, _ = claimant.claim(
                resolved, closure, [self.arguments.name], backtest_id=self.backtest_id
            )
        run = store.run(backtest_id)
        reused = is_sealed(run)
        self._tell(backtest_id, run.path, reused=reused)
        try:
            stages.capture_code(store, backtest_id)
            _execute(store, backtest_id, resolved.identity, executor)
            stages.seal_run(store, backtest_id)
        except RunFailedError as error:
            error.backtest_id = backtest_id
            raise
        finally:
            if not reused:
                _link(places)
        manager = BacktestArtifactManager.from_backtest_id(backtest_id, store.base_dir)
        return BacktestResult.of_run(manager, bundles_dir=places.bundles, reused=reused)

    def _tell(self, backtest_id: str, output_dir: Path, *, reused: bool) -> None:
        if self.backtest_id not in (None, backtest_id):
            _log.warning(
                "equal content was run before as %s; the id %s is not given",
                backtest_id,
                self.backtest_id,
            )
        _log.info(
            "backtest %s: %s %s",
            backtest_id,
            "is taken as it is from" if reused else "output goes to",
            output_dir,
            extra={"backtest_id": backtest_id, "output_dir": str(output_dir)},
        )


def _execute(
    store: RunStore, backtest_id: str, identity: Mapping[str, Any], executor: RunExecutor
) -> None:
    """Execute a captured run; a search goes through its steps one after another."""
    if "search" not in identity:
        stages.run_backtest(store, backtest_id, executor)
        return
    assert isinstance(executor, Executor)  # without captured code there is no search
    stages.select_parameters(store, backtest_id, executor)
    stages.run_backtest(store, backtest_id, executor)
    for step in validation_steps(identity):
        stages.validate_run(store, backtest_id, step, executor)


def _link(places: Places) -> None:
    """Bring the catalog level; a run is finished without it."""
    try:
        link_catalog(places.located_catalog_url, places.store, places.bundles)
    except CatalogError as error:
        _log.warning("%s", error)
