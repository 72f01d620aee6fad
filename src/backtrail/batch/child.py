"""What the child process of a run does: import the captured strategy, run it, hand back tables."""

import dataclasses
import importlib
import json
import math
import mmap
import os
import pickle
import resource
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backtrail.batch.evaluation import evaluate_run
from backtrail.data.packed_bars import PackedBars
from backtrail.engine import Bars
from backtrail.engine.strategy import Strategy, load_strategy, params_from
from backtrail.errors import StrategyError
from backtrail.provenance.closure import import_roots

__all__ = ["main"]

_CPU_GRACE_SECONDS = 5
# Belongs to the machine and decides no result; zone data come with every system.
_SYSTEM = ("/proc", "/dev", "/sys", "/usr/share/zoneinfo")


def main(
    request: int,
    output: int,
    stdout: int,
    stderr: int,
    bars: int | None = None,
    benchmark: int | None = None,
) -> int:
    """Serve one request and return the exit code.

    Args:
        request: Descriptor of the request, JSON.
        output: Descriptor the pickled answer is written to.
        stdout: Descriptor that takes the strategy's standard output.
        stderr: Descriptor that takes its standard error.
        bars: Descriptor of the packed bars, for a run.
        benchmark: Descriptor of the packed bars of a benchmark outside the universe.
    """
    with os.fdopen(request, "rb") as stream:
        stream.seek(0)
        asked = json.loads(stream.read())
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    process = os.getpid()
    opened: set[str] = set()
    try:
        _limit(asked["limits"])
        _watch_files(opened, asked["code_dir"])
        strategy = _load(Path(asked["code_dir"]), asked["entry"])
        if asked["kind"] == "params":
            answer: dict[str, Any] = {
                "form": strategy.form,
                "params": [_check(strategy, item) for item in asked["params"]],
            }
        else:
            assert bars is not None
            tables = _run(strategy, asked, bars, benchmark)
            answer = {"tables": tables, "opened": sorted(opened)}
    except BaseException as error:  # noqa: BLE001  whatever the user's code raises is the answer
        answer = {"error": _describe(error, asked["code_dir"])}
    if os.getpid() != process:  # a copy that the strategy forked has nothing to say
        return 0
    return _hand_back(answer, output, asked["code_dir"])


def _hand_back(answer: Mapping[str, Any], output: int, code_dir: str) -> int:
    with os.fdopen(output, "wb") as stream:
        try:
            pickle.dump(answer, stream, protocol=pickle.HIGHEST_PROTOCOL)
            stream.flush()
        except Exception as error:  # noqa: BLE001  no memory or disk left, or no plain values
            answer = {"error": _describe(error, code_dir)}
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


def _watch_files(opened: set[str], code_dir: str) -> None:
    """Collect every file that is opened for reading and belongs neither to the copy nor Python."""
    library = str(Path(__file__).parents[1])
    known = tuple(
        f"{folder.rstrip('/')}/"
        for folder in {code_dir, library, sys.prefix, sys.base_prefix, *_SYSTEM}
    )

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if not path.startswith(known) and os.path.isfile(path):
            opened.add(_readable(path))

    sys.addaudithook(watch)


def _load(code_dir: Path, entry: str) -> Strategy:
    """Import the strategy from the captured copy alone."""
    sys.dont_write_bytecode = True
    os.chdir(code_dir)
    paths = [str(code_dir / root) for root in import_roots(entry)]
    sys.path[:0] = paths
    # A captured module wins over one of the same name that the engine happened to import.
    local = {
        item.stem
        for path in paths
        for item in Path(path).iterdir()
        if item.suffix == ".py" or (item / "__init__.py").exists()
    }
    for name in [name for name in sys.modules if name.partition(".")[0] in local]:
        if name.partition(".")[0] != "backtrail":
            del sys.modules[name]
    importlib.invalidate_caches()
    module = importlib.import_module(_module_name(code_dir, entry))
    return load_strategy(module)


def _module_name(code_dir: Path, entry: str) -> str:
    """Return the bare file name, or for a strategy in a package the dotted path from the root."""
    path = Path(entry).with_suffix("")
    in_package = len(path.parts) > 1 and (code_dir / entry).with_name("__init__.py").exists()
    return ".".join(path.parts) if in_package else path.name


def _check(strategy: Strategy, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        params = params_from(strategy, given)
    except (StrategyError, ValueError, TypeError) as error:
        return {"error": str(error)}
    if params is None:
        return {"values": {}}
    fields = [field.name for field in dataclasses.fields(params) if field.init]
    return {"values": {name: getattr(params, name) for name in fields}}


def _run(
    strategy: Strategy, asked: Mapping[str, Any], bars: int, benchmark: int | None
) -> dict[str, Any]:
    return evaluate_run(
        strategy,
        asked["identity"],
        _mapped(bars),
        None if benchmark is None else _mapped(benchmark),
        seed=asked["seed"],
        periods_per_year=asked["periods_per_year"],
    )


def _mapped(descriptor: int) -> Bars:
    """Map packed bars into memory; nothing is copied, and nothing can be written."""
    packed = PackedBars.from_block(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    return Bars.over(
        packed.symbols, packed.columns, calendar=packed.calendar, timeframe=packed.timeframe
    )


def _describe(error: BaseException, code_dir: str) -> dict[str, str]:
    """Name the error with the user's part of the traceback, paths relative to the copy."""
    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, f in enumerate(frames) if f.filename.startswith(code_dir)), 0)
    lines = ["Traceback (most recent call last):\n"]
    lines += traceback.format_list(frames[first:])
    lines += traceback.format_exception_only(error)
    return {
        "kind": "memory" if isinstance(error, MemoryError) else type(error).__name__,
        "message": _readable(str(error)) or type(error).__name__,
        "traceback": _readable("".join(lines)).replace(code_dir.rstrip("/") + "/", ""),
    }


def _readable(text: str) -> str:
    """Return text that every file and database takes: no lone surrogates, no NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
