"""What a strategy really uses, taken down by Python's audit events while it runs."""

import os
import shlex
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from backtrail.provenance.kernel_watch import report_to
from backtrail.provenance.outside import (
    OutsideFiles,
    Shield,
    is_known,
    plain_path,
    readable,
    site_folders,
)

__all__ = ["UsageRecorder"]

# NumPy opens files through Python, so its own compiled parts need no look from the kernel.
_SEEN_BY_PYTHON = os.path.dirname(np.__file__) + "/"
# What of the standard library opens files or starts programs without an event.
_NATIVE = frozenset({"_dbm", "_gdbm", "_sqlite3", "_tkinter", "multiprocessing", "readline"})
_READABLE_LENGTH = 300


class UsageRecorder:
    """Takes down what this process uses beyond what it was given.

    Writing to captured code or to the run's own records raises PermissionError in the strategy.
    When native code is about to be loaded or a program to be started, the kernel is asked to
    report as well.

    Args:
        shield: The run's own files.
        channel: Descriptor for reports of the kernel; None to do without.
    """

    def __init__(self, shield: Shield, channel: int | None) -> None:
        self._shield = shield
        self._channel = channel
        self._files = OutsideFiles(shield)
        self._known_modules: frozenset[str] = frozenset()
        self._processes: dict[str, None] = {}
        self._connections: dict[str, None] = {}
        self._native: dict[str, None] = {}
        self._is_watched: bool | None = None

    def start(self) -> None:
        """Begin; there is no way to end it before the process ends."""
        self._known_modules = frozenset(sys.modules) - {"numpy"}  # the engine's own is used, too
        find = self._handlers().get

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            handle = find(event)
            if handle is not None:
                handle(arguments)

        sys.addaudithook(hook)

    def report(self) -> dict[str, Any]:
        """Return what was used, as plain values; see `merge_usage`."""
        modules, packages = self._new_modules()
        return {
            "opened": dict(self._files.opened),
            "modules": modules,
            "packages": packages,
            "processes": list(self._processes),
            "connections": list(self._connections),
            "native": list(self._native),
            "watched": bool(self._is_watched),
        }

    def _handlers(self) -> dict[str, Callable[[tuple[Any, ...]], None]]:
        process, remember = self._processes, self._connect
        return {
            "open": self._open,
            "import": self._import,
            "os.rename": self._rename,
            **{f"os.{name}": self._change for name in ("chmod", "link", "remove", "truncate")},
            "subprocess.Popen": lambda given: self._start(process, _command(given[1])),
            "os.system": lambda given: self._start(process, _text(given[0])),
            "os.exec": lambda given: self._start(process, _command(given[1])),
            "os.posix_spawn": lambda given: self._start(process, _command(given[1])),
            "os.fork": lambda given: self._start(process, "a copy of itself (os.fork)"),
            "os.forkpty": lambda given: self._start(process, "a copy of itself (os.forkpty)"),
            "socket.connect": lambda given: remember(given[1]),
            "socket.sendto": lambda given: remember(given[1]),
            "socket.sendmsg": lambda given: remember(given[1]),
            "socket.getaddrinfo": lambda given: remember(given[:2]),
            "socket.gethostbyname": lambda given: remember(given[:1]),
            "sqlite3.connect": lambda given: self._database(given[0]),
            "ctypes.dlopen": lambda given: self._library(given[0]),
            "ctypes.dlsym": lambda given: self._start(self._native, "ctypes"),
            "ctypes.dlsym/handle": lambda given: self._start(self._native, "ctypes"),
            "ctypes.call_function": lambda given: self._start(self._native, "ctypes"),
            "cpython.PyInterpreterState_New": lambda given: self._start(
                self._native, "a second interpreter"
            ),
        }

    def _open(self, given: tuple[Any, ...]) -> None:
        path, mode, flags = given
        if isinstance(path, int):
            return
        try:
            name = plain_path(os.fsdecode(path))
        except (TypeError, ValueError, OSError):  # what open() itself will complain about
            return
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_CREAT):
            self._refuse(path)
        self._files.note(name, flags)
        if mode is None and os.path.isdir(name):  # what is named from its descriptor is not told
            self._watch()

    def _refuse(self, path: Any) -> None:
        try:
            reason = self._shield.refusal(path if isinstance(path, int) else os.fsdecode(path))
        except (TypeError, ValueError, OSError):
            return
        if reason is not None:
            raise PermissionError(reason)

    def _change(self, given: tuple[Any, ...]) -> None:
        self._refuse(given[0])

    def _rename(self, given: tuple[Any, ...]) -> None:
        self._refuse(given[0])
        self._refuse(given[1])
        source, target = (plain_path(os.fsdecode(path)) for path in given[:2])
        self._files.renamed(source, target)

    def _import(self, given: tuple[Any, ...]) -> None:
        """Ask for reports before native code is loaded that may open files by itself."""
        module, filename = given[0], given[1]
        top = str(module).partition(".")[0]
        if top in _NATIVE or (filename is not None and _is_foreign(str(filename))):
            self._start(self._native, top)

    def _start(self, record: dict[str, None], what: str) -> None:
        record[what] = None
        self._watch()

    def _watch(self) -> None:
        if self._is_watched is None:
            self._is_watched = False  # asking opens nothing, but may import
            self._is_watched = self._channel is not None and report_to(self._channel)

    def _connect(self, address: Any) -> None:
        if isinstance(address, tuple):
            parts = [_text(part) for part in address[:2] if part is not None]
            self._connections[":".join(parts)] = None
        elif address is not None:
            self._connections[f"unix:{_text(address)}"] = None

    def _database(self, path: Any) -> None:
        self._start(self._native, "_sqlite3")
        name = _text(path)
        if name and name != ":memory:" and not name.startswith("file:"):
            self._files.note(plain_path(name), os.O_RDWR)

    def _library(self, path: Any) -> None:
        self._start(self._native, "ctypes")
        if path is not None and "/" in _text(path):
            self._files.note(plain_path(_text(path)), os.O_RDONLY)

    def _new_modules(self) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Return the modules imported from outside, and one file of each installed package."""
        outside, packages = [], []
        folders = site_folders()
        for name in sorted({"numpy", *sys.modules} - self._known_modules):
            path = _file_of(name)
            if path is None:
                continue
            if path.startswith(folders):
                if _file_of(name.rpartition(".")[0]) is None:  # not inside a package seen already
                    packages.append((name, path))
            elif not self._is_given(path):
                outside.append((name, path))
        return outside, packages

    def _is_given(self, path: str) -> bool:
        if is_known(path) or self._shield.covers(path):
            return True
        real = os.path.realpath(path)
        return is_known(real) or real.startswith(self._shield.code_dir)


def _is_foreign(library: str) -> bool:
    """Say whether compiled code is neither Python's nor NumPy's."""
    if library.startswith(_SEEN_BY_PYTHON):
        return False
    return library.startswith(site_folders()) or not is_known(library)


def _file_of(name: str) -> str | None:
    path = getattr(sys.modules.get(name), "__file__", None)
    return os.path.abspath(path) if isinstance(path, str) else None


def _command(words: Any) -> str:
    if isinstance(words, (str, bytes, os.PathLike)):
        return _text(words)
    return shlex.join(_text(word) for word in _iterable(words))[:_READABLE_LENGTH]


def _iterable(words: Any) -> Iterable[Any]:
    return words if isinstance(words, (list, tuple)) else ()


def _text(value: Any) -> str:
    text = os.fsdecode(value) if isinstance(value, (bytes, os.PathLike)) else str(value)
    return readable(text)[:_READABLE_LENGTH]
