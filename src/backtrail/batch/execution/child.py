"""What the child process of a run does: import the captured strategy, run it, hand back tables."""

import importlib
import json
import math
import mmap
import os
import pickle
import random
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from backtrail.artifacts.paths import RunPaths
from backtrail.batch.execution.evaluation import about_strategy, evaluate_run
from backtrail.batch.execution.failures import describe_error
from backtrail.batch.execution.importing import import_entry, local_modules
from backtrail.batch.execution.zygote import SEARCH_KINDS
from backtrail.data.packed_bars import PackedBars
from backtrail.engine import Bars
from backtrail.engine.data_files import data_folders
from backtrail.engine.strategy import Strategy, load_strategy
from backtrail.provenance.closure import import_roots
from backtrail.provenance.outside import Shield
from backtrail.provenance.usage import UsageRecorder

__all__ = ["load_kernel", "main"]

_CPU_GRACE_SECONDS = 5


def main(
    request: int,
    output: int,
    stdout: int,
    stderr: int,
    watch: int | None = None,
    bars: int | None = None,
    benchmark: int | None = None,
) -> int:
    """Serve one request and return the exit code.

    Args:
        request: Descriptor of the request, JSON.
        output: Descriptor the pickled answer is written to.
        stdout: Descriptor that takes the strategy's standard output.
        stderr: Descriptor that takes its standard error.
        watch: Descriptor of the socket for reports of the kernel, for a run.
        bars: Descriptor of the packed bars, for a run.
        benchmark: Descriptor of the packed bars of a benchmark outside the universe.
    """
    with os.fdopen(request, "rb") as stream:
        stream.seek(0)
        asked = json.loads(stream.read())
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    process = os.getpid()
    try:
        if asked["kind"] in SEARCH_KINDS:
            load_kernel()
        _limit(asked["limits"])
        answer = _answer(asked, watch, bars, benchmark)
    except BaseException as error:  # noqa: BLE001  whatever the user's code raises is the answer
        answer = _failed(error, asked, is_strategy_loaded=True)
    if os.getpid() != process:  # a copy that the strategy forked has nothing to say
        return 0
    return _hand_back(answer, output, asked)


def _answer(
    asked: Mapping[str, Any], watch: int | None, bars: int | None, benchmark: int | None
) -> dict[str, Any]:
    code_dir, entry = Path(asked["code_dir"]), asked["entry"]
    functions = asked.get("functions")
    with data_folders([code_dir / folder for folder in import_roots(entry)]):
        if asked["kind"] == "params":
            try:
                strategy = _load(code_dir, entry, functions)
            except BaseException as error:  # noqa: BLE001  the module's own
                return _failed(error, asked, is_strategy_loaded=False)
            return about_strategy(strategy, asked["params"])
        shield = Shield(asked["code_dir"], asked["files"], asked["target"])
        recorder = UsageRecorder(shield, watch)
        recorder.start()
        assert bars is not None
        is_loaded = False
        try:
            _seed(asked["seed"])
            strategy = _load(code_dir, entry, functions)
            is_loaded = True
            if asked["kind"] == "sets":
                tables = _evaluate(strategy, asked, bars, benchmark)
            elif asked["kind"] == "curves":
                tables = _curves(strategy, asked, bars)
            elif asked["kind"] == "validation":
                tables = _validate(strategy, asked, bars, benchmark)
            else:
                tables = _run(strategy, asked, bars, benchmark)
        except BaseException as error:  # noqa: BLE001  a failed run, too, says what it had used
            failed = _failed(error, asked, is_strategy_loaded=is_loaded)
            return {**failed, "usage": recorder.report()}
        return {"tables": tables, "usage": recorder.report()}


def _seed(seed: int) -> None:
    """Let the generators that a module shares with all others begin as the run's own does.

    Without it Python's would begin at random, so that no replay could agree, and NumPy's equally in
    every child of one process.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  strategies that draw from it are meant


def _failed(
    error: BaseException, asked: Mapping[str, Any], *, is_strategy_loaded: bool
) -> dict[str, Any]:
    code_dir = asked["code_dir"]
    return {"error": describe_error(error, code_dir, is_strategy_loaded=is_strategy_loaded)}


def _hand_back(answer: Mapping[str, Any], output: int, asked: Mapping[str, Any]) -> int:
    with os.fdopen(output, "wb") as stream:
        try:
            pickle.dump(answer, stream, protocol=pickle.HIGHEST_PROTOCOL)
            stream.flush()
        except Exception as error:  # noqa: BLE001  no memory or disk left, or no plain values
            answer = _failed(error, asked, is_strategy_loaded=False)
            stream.seek(0)
            stream.truncate()
            pickle.dump(answer, stream)
    return 1 if "error" in answer else 0


def _limit(limits: Mapping[str, float]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = math.ceil(limits["seconds"]) + _CPU_GRACE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    statm = Path("/proc/self/statm")
    if statm.exists():  # the limit is what the run may add to what the engine already maps
        mapped = int(statm.read_text().split()[0]) * mmap.PAGESIZE
        total = mapped + int(limits["memory_bytes"])
        resource.setrlimit(resource.RLIMIT_AS, (total, total))


def _load(code_dir: Path, entry: str, functions: Mapping[str, str] | None) -> Strategy:
    """Import the strategy from the captured copy alone."""
    sys.dont_write_bytecode = True
    os.chdir(code_dir)
    paths = [str(code_dir / root) for root in import_roots(entry)]
    sys.path[:0] = paths
    # A captured module wins over one of the same name that the engine happened to import.
    local = local_modules(map(Path, paths))
    for name in [name for name in sys.modules if name.partition(".")[0] in local]:
        del sys.modules[name]
    importlib.invalidate_caches()
    return load_strategy(import_entry(code_dir, entry), functions)


def _run(
    strategy: Strategy, asked: Mapping[str, Any], bars: int, benchmark: int | None
) -> dict[str, Any]:
    paths = RunPaths(asked["backtest_id"], Path(asked["target"]))
    return evaluate_run(
        strategy,
        asked["identity"],
        _mapped(bars),
        None if benchmark is None else _mapped(benchmark),
        seed=asked["seed"],
        periods_per_year=asked["periods_per_year"],
        attributes={"artifact_manager": paths, "output_dir": paths.output_dir},
    )


def _evaluate(
    strategy: Strategy, asked: Mapping[str, Any], bars: int, benchmark: int | None
) -> dict[str, Any]:
    paths = RunPaths(asked["backtest_id"], Path(asked["target"]))
    columns: dict[str, Any] = _search_module().evaluate_sets(
        strategy,
        asked,
        asked["places"],
        asked["numbers"],
        _mapped(bars),
        None if benchmark is None else _mapped(benchmark),
        seed=asked["seed"],
        periods_per_year=asked["periods_per_year"],
        memory_bytes=int(asked["limits"]["memory_bytes"]),
        attributes={"artifact_manager": paths, "output_dir": paths.output_dir},
    )
    return columns


def _curves(strategy: Strategy, asked: Mapping[str, Any], bars: int) -> dict[str, Any]:
    paths = RunPaths(asked["backtest_id"], Path(asked["target"]))
    columns: dict[str, Any] = _search_module().set_curves(
        strategy,
        asked,
        asked["numbers"],
        _mapped(bars),
        seed=asked["seed"],
        periods_per_year=asked["periods_per_year"],
        attributes={"artifact_manager": paths, "output_dir": paths.output_dir},
    )
    return columns


def _validate(
    strategy: Strategy, asked: Mapping[str, Any], bars: int, benchmark: int | None
) -> dict[str, Any]:
    paths = RunPaths(asked["backtest_id"], Path(asked["target"]))
    answers = importlib.import_module("backtrail.batch.execution.validation_answers")
    answer: dict[str, Any] = answers.answer(
        strategy,
        asked,
        _mapped(bars),
        None if benchmark is None else _mapped(benchmark),
        {"artifact_manager": paths, "output_dir": paths.output_dir},
    )
    return answer


def load_kernel() -> None:
    """Load what searches run through, before a strategy is imported and limits hold."""
    _search_module().load_kernel()


def _search_module() -> ModuleType:
    """Import what only searches need; Numba takes longer to import than a run to execute."""
    return importlib.import_module("backtrail.batch.execution.set_evaluation")


def _mapped(descriptor: int) -> Bars:
    """Map packed bars into memory; nothing is copied, and nothing can be written."""
    packed = PackedBars.from_block(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    return Bars.over(
        packed.symbols,
        packed.columns,
        calendar=packed.calendar,
        timeframe=packed.timeframe,
        members=packed.members,
    )
