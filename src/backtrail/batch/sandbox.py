"""Running strategies in child processes: one fork per run, with limits of time and memory."""

import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from backtrail.batch.zygote import FORK
from backtrail.errors import BacktrailError
from backtrail.provenance.inputs import merge_usage
from backtrail.provenance.kernel_watch import KernelWatch
from backtrail.provenance.outside import OutsideFiles, Shield

__all__ = ["ENVIRONMENT", "Limits", "Outcome", "Sandbox", "StrategyFailedError"]

# One thread per child, and no difference between two processes that a strategy could see.
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    Attributes:
        seconds: Wall time.
        memory_bytes: Memory on top of what the engine itself maps.
    """

    seconds: float = 600.0
    memory_bytes: int = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended.

    Attributes:
        answer: What it handed back; None when it failed.
        kind: Exception class, `timeout`, `memory` or `signal`; None when it succeeded.
        message: What went wrong, in one line or a few.
        traceback: The user's part of the traceback; empty when there is none.
        seconds: Wall time of the child.
        cpu_seconds: Processor time of the child.
        max_rss_mb: Largest resident memory of the child, in megabytes of 10^6 bytes.
    """

    answer: Mapping[str, Any] | None
    kind: str | None
    message: str
    traceback: str
    seconds: float
    cpu_seconds: float
    max_rss_mb: float


class StrategyFailedError(Exception):
    """A strategy that raised, outran a limit or ended its process, or whose run lacked its data."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        super().__init__(f"{outcome.kind}: {outcome.message}")


class Sandbox:
    """A zygote process and the children it forks, one at a time.

    Use it as a context manager; the zygote ends with the block.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        # -s -P: neither the user's site-packages nor the working directory are importable.
        self._process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "backtrail.batch.zygote"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env={**environment, **ENVIRONMENT},
            cwd="/",
        )
        theirs.close()
        self._channel = ours
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()
        self._process.wait()

    def check_params(
        self,
        root: Path,
        entry: str,
        params: Sequence[Mapping[str, Any]],
        functions: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Import a strategy file and resolve parameter sets against its `Params`.

        Args:
            root: Folder that holds the strategy's files.
            entry: Strategy file, relative to `root`.
            params: Parameter sets as given in the config.
            functions: What of the file is the strategy, as `load_strategy` takes it.

        Returns:
            An outcome whose answer has a list `params` with `values` or `error` for each set.
        """
        request = {
            "kind": "params",
            "code_dir": str(root),
            "entry": entry,
            "params": [dict(item) for item in params],
            "functions": functions,
        }
        with tempfile.TemporaryFile() as sink:
            return self._fork(request, Limits(seconds=60.0), sink, sink)

    def run(
        self,
        request: Mapping[str, Any],
        limits: Limits,
        *,
        bars: Sequence[BinaryIO],
        stdout: BinaryIO,
        stderr: BinaryIO,
    ) -> Outcome:
        """Run one strategy from its captured copy.

        Args:
            request: `code_dir`, `entry`, the captured `files`, `identity`, the derived `seed`,
                `backtest_id`, the directory `target` that takes what the strategy writes, and
                `functions` when the strategy is not found by name.
            limits: Time and memory the run may use.
            bars: Packed bars, and those of a benchmark outside the universe.
            stdout: Takes what the strategy prints.
            stderr: Takes what it writes to standard error.

        Returns:
            An outcome whose answer has `tables`, and `usage` as `merge_usage` returns it.
        """

        def outside() -> OutsideFiles:
            return OutsideFiles(Shield(request["code_dir"], request["files"], request["target"]))

        with closing(KernelWatch(outside)) as watch:
            asked = {"kind": "run", **request}
            outcome = self._fork(asked, limits, stdout, stderr, bars, watch)
            if outcome.answer is None:
                return outcome
            usage = merge_usage(outcome.answer["usage"], watch)
            return replace(outcome, answer={**outcome.answer, "usage": usage})

    def _fork(
        self,
        request: Mapping[str, Any],
        limits: Limits,
        stdout: BinaryIO,
        stderr: BinaryIO,
        bars: Sequence[BinaryIO] = (),
        watch: KernelWatch | None = None,
    ) -> Outcome:
        limited = {"seconds": limits.seconds, "memory_bytes": limits.memory_bytes}
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as output:
            asked.write(json.dumps({**request, "limits": limited}).encode())
            asked.flush()
            streams = [asked, output, stdout, stderr, *([watch.channel] if watch else ()), *bars]
            started = time.monotonic()
            try:
                socket.send_fds(self._channel, [FORK], [stream.fileno() for stream in streams])
            except ConnectionError:
                raise _ended() from None
            if watch:
                watch.channel.close()  # its end is the child's now
            pid = int(self._answer()["pid"])
            timed_out = not self._wait(limits.seconds, watch)
            if timed_out:
                with suppress(ProcessLookupError):  # it may have ended this very moment
                    os.killpg(pid, signal.SIGKILL)
            ended = self._answer()
            seconds = time.monotonic() - started
            output.seek(0)
            return _outcome(output.read(), ended, seconds, limits, timed_out=timed_out)

    def _wait(self, seconds: float, watch: KernelWatch | None) -> bool:
        """Wait until a whole answer has come; say whether it did."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._received:
            left = max(0.0, deadline - time.monotonic())
            if watch:
                has_come = watch.wait(self._channel, left)
            else:
                has_come = bool(select.select([self._channel], [], [], left)[0])
            if not has_come:
                return False
            self._receive()
        return True

    def _receive(self) -> None:
        try:
            data = self._channel.recv(4096)
        except ConnectionError:
            raise _ended() from None
        if not data:
            raise _ended()
        self._received += data

    def _answer(self) -> dict[str, float]:
        while b"\n" not in self._received:
            self._receive()
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, float] = json.loads(line)
        return answer


def _ended() -> BacktrailError:
    return BacktrailError(
        "the process that forks runs has ended unexpectedly (killed, or out of memory); what it "
        "said stands above, and the same command goes on from here"
    )


def _outcome(
    output: bytes, ended: Mapping[str, float], seconds: float, limits: Limits, *, timed_out: bool
) -> Outcome:
    usage = (seconds, ended["cpu_seconds"], ended["max_rss"] * 1024 / 1e6)
    status = int(ended["status"])
    if timed_out or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        message = f"the run was stopped after its time limit of {limits.seconds:g} s"
        return Outcome(None, "timeout", message, "", *usage)
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return Outcome(None, "signal", f"the run was ended by {name}", "", *usage)
    if not output:
        message = f"the strategy ended its process with code {os.WEXITSTATUS(status)}"
        return Outcome(None, "exit", message, "", *usage)
    try:
        answer = pickle.loads(output)
    except (EOFError, pickle.UnpicklingError):
        message = "the results of the run could not be handed over; they are cut off"
        return Outcome(None, "exit", message, "", *usage)
    if "error" in answer:
        error = answer["error"]
        message = error["message"]
        if error["kind"] == "memory":
            message = f"the run outgrew its memory limit of {limits.memory_bytes / 1e6:g} MB"
        return Outcome(None, error["kind"], message, error["traceback"], *usage)
    return Outcome(answer, None, "", "", *usage)
