"""Running strategies in child processes: one fork per run, with limits of time and memory."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from backtrail.batch.execution.outcome import Limits, Outcome, StrategyFailedError, read_outcome
from backtrail.batch.execution.surroundings import ENVIRONMENT
from backtrail.batch.execution.zygote import FORK, SEARCH_KINDS
from backtrail.errors import BacktrailError
from backtrail.provenance.inputs import merge_usage
from backtrail.provenance.kernel_watch import KernelWatch
from backtrail.provenance.outside import OutsideFiles, Shield

__all__ = ["ENVIRONMENT", "Limits", "Outcome", "Sandbox", "StrategyFailedError"]


class _ZygoteEndedError(BacktrailError):
    def __init__(self, how: str) -> None:
        self.how = how
        super().__init__(
            f"the process that forks runs {how}; what it said stands above, and the same command "
            "goes on from here"
        )


class _LostRunError(_ZygoteEndedError):
    """The zygote ended while a child was at work."""


class Sandbox:
    """Zygote processes and the children they fork, one at a time.

    Runs have one zygote and searches another, which has loaded what only searches need. Each is
    begun when it is first needed. Use it as a context manager; the zygotes end with the block. One
    that ended before its time (the system ran out of memory, say) costs the run that it was
    serving; the next run gets a new one.
    """

    def __init__(self) -> None:
        self._zygotes: dict[bool, _Zygote] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the zygotes."""
        while self._zygotes:
            self._zygotes.popitem()[1].close()

    def prepare(self, kind: str) -> None:
        """Begin the zygote for a kind of request, which imports while something else is done."""
        self._zygote(searches=kind in SEARCH_KINDS)

    @property
    def zygote_pid(self) -> int:
        """Process id of the zygote that serves runs now."""
        return self._zygote(searches=False).process.pid

    def _zygote(self, *, searches: bool) -> "_Zygote":
        if searches not in self._zygotes:
            self._zygotes[searches] = _Zygote(searches=searches)
        return self._zygotes[searches]

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

        Raises:
            BacktrailError: If the zygote ends meanwhile: nothing is known of the parameters then.
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
            request: `code_dir`, `entry`, the captured `files`, `identity`, `periods_per_year`, the
                derived `seed`, `backtest_id`, the directory `target` that takes what the strategy
                writes, and `functions` when the strategy is not found by name. For sets of a
                search `kind` is `sets`, with `run_key`, and `places` or `numbers`.
            limits: Time and memory the run may use.
            bars: Packed bars, and those of a benchmark outside the universe.
            stdout: Takes what the strategy prints.
            stderr: Takes what it writes to standard error.

        Returns:
            An outcome whose answer has `tables`; its usage is what the strategy and the kernel saw.

        Raises:
            BacktrailError: If no zygote can be started.
        """

        def outside() -> OutsideFiles:
            return OutsideFiles(Shield(request["code_dir"], request["files"], request["target"]))

        started = time.monotonic()
        with closing(KernelWatch(outside)) as watch:
            try:
                asked = {"kind": "run", **request}
                outcome = self._fork(asked, limits, stdout, stderr, bars, watch)
            except _LostRunError as lost:
                message = (
                    f"the process that forks runs {lost.how} while it served this run (out of "
                    "memory, perhaps); the next run gets a new one"
                )
                return Outcome(None, "signal", message, "", time.monotonic() - started, 0.0, 0.0)
            if outcome.usage is None:
                return outcome
            return replace(outcome, usage=merge_usage(outcome.usage, watch))

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
        with _nameless_file() as asked, _nameless_file() as output:
            asked.write(json.dumps({**request, "limits": limited}).encode())
            asked.flush()
            started = time.monotonic()
            streams = [asked, output, stdout, stderr, *([watch.channel] if watch else ()), *bars]
            zygote, pid = self._begin(streams, searches=request["kind"] in SEARCH_KINDS)
            try:
                if watch:
                    watch.channel.close()  # its end is the child's now
                timed_out = not zygote.wait(limits.seconds, watch)
                if timed_out:
                    _kill(pid)
                ended = zygote.answer()
            except _ZygoteEndedError as error:
                _kill(pid)
                raise _LostRunError(error.how) from None
            seconds = time.monotonic() - started
            output.seek(0)
            return read_outcome(output.read(), ended, seconds, limits, timed_out=timed_out)

    def _begin(
        self, streams: Sequence[BinaryIO | socket.socket], *, searches: bool
    ) -> tuple["_Zygote", int]:
        """Let a child be forked, by a new zygote if the present one has ended; return its id."""
        zygote = self._zygote(searches=searches)
        try:
            return zygote, zygote.fork(streams)
        except _ZygoteEndedError:
            self._zygotes.pop(searches).close()
            zygote = self._zygote(searches=searches)
            return zygote, zygote.fork(streams)


def _nameless_file() -> BinaryIO:
    """Return a file without a name: in memory where the system has such, for a disk is slower."""
    if sys.platform == "linux":
        return open(os.memfd_create("backtrail"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile())


class _Zygote:
    """One zygote process and the socket to it; it answers in lines of JSON."""

    def __init__(self, *, searches: bool) -> None:
        ours, theirs = socket.socketpair()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        # -s -P: neither the user's site-packages nor the working directory are importable.
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-s",
                "-P",
                "-m",
                "backtrail.batch.execution.zygote",
                *(["search"] if searches else []),
            ],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            env={**environment, **ENVIRONMENT},
            cwd="/",
        )
        theirs.close()
        self._channel = ours
        self._received = b""

    def close(self) -> None:
        self._channel.close()
        self.process.wait()

    def fork(self, streams: Sequence[BinaryIO | socket.socket]) -> int:
        """Let a child be forked that has these files; return its process id."""
        try:
            socket.send_fds(self._channel, [FORK], [stream.fileno() for stream in streams])
        except ConnectionError:
            raise self._ended() from None
        return int(self.answer()["pid"])

    def wait(self, seconds: float, watch: KernelWatch | None) -> bool:
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

    def answer(self) -> dict[str, float]:
        """Return the next answer."""
        while b"\n" not in self._received:
            self._receive()
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, float] = json.loads(line)
        return answer

    def _receive(self) -> None:
        try:
            data = self._channel.recv(4096)
        except ConnectionError:
            raise self._ended() from None
        if not data:
            raise self._ended()
        self._received += data

    def _ended(self) -> _ZygoteEndedError:
        code = self.process.wait()
        if code < 0:
            return _ZygoteEndedError(f"was ended by {signal.Signals(-code).name}")
        return _ZygoteEndedError(f"ended with code {code}")


def _kill(pid: int) -> None:
    """Kill a child and its group; it may have left the group, or ended this very moment."""
    for end in (os.killpg, os.kill):
        with suppress(ProcessLookupError):
            end(pid, signal.SIGKILL)
