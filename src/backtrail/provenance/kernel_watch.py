"""Seeing what native code opens, where Python's audit events do not reach (Linux).

A process asks the kernel to report its system calls that open files, start programs or connect,
also those of its threads and of every program it starts (seccomp user notification). Another
process gets the reports, takes them down and lets each call go on. It costs about a tenth of a
millisecond per call, so it begins only when a strategy loads native code or starts a program.
"""

import ctypes
import errno
import fcntl
import os
import platform
import select
import shlex
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from backtrail.provenance.outside import OutsideFiles, plain_path, readable

__all__ = ["KernelWatch", "report_to"]

_PR_SET_NO_NEW_PRIVS = 38
_SET_MODE_FILTER = 1
_NEW_LISTENER, _ALL_THREADS, _ERROR_BY_NUMBER, _NO_SLOWDOWN = 8, 1, 16, 4
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_AT_CWD = -100
_PAGE = 4096
_COMMAND_LENGTH = 300
_MAX_ARGUMENTS = 32
_FIRST_KERNEL = (5, 7)  # the first that reports for all threads at once

# Audit architecture, number of `seccomp`, and numbers of the calls that are reported.
_MACHINES = {
    "x86_64": (
        0xC000003E,
        317,
        {
            **{"open": 2, "openat": 257, "openat2": 437, "creat": 85, "connect": 42},
            **{"execve": 59, "execveat": 322, "rename": 82, "renameat": 264, "renameat2": 316},
            **{"unlink": 87, "unlinkat": 263, "truncate": 76},
        },
    ),
    "aarch64": (
        0xC00000B7,
        277,
        {
            **{"openat": 56, "openat2": 437, "connect": 203, "execve": 221, "execveat": 281},
            **{"renameat": 38, "renameat2": 276},
            **{"unlinkat": 35, "truncate": 45},
        },
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def report_to(channel: int) -> bool:
    """Have this process and all it starts reported from now on; say whether the system can.

    Args:
        channel: Descriptor of a socket whose other end a `KernelWatch` holds.
    """
    if sys.platform != "linux" or _kernel() < _FIRST_KERNEL or platform.machine() not in _MACHINES:
        return False
    architecture, number, calls = _MACHINES[platform.machine()]
    code = _filter(architecture, list(calls.values()))
    library = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(code) // 8, code)
    flags = _NEW_LISTENER | _ALL_THREADS | _ERROR_BY_NUMBER | _NO_SLOWDOWN
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = library.syscall(number, _SET_MODE_FILTER, flags, ctypes.byref(program))
    if listener < 0:  # forbidden by the container, or somebody listens already
        return False
    with socket.socket(fileno=os.dup(channel)) as connection:
        socket.send_fds(connection, [b"watch"], [listener])
    os.close(listener)
    return True


def _kernel() -> tuple[int, ...]:
    release = platform.release().split("-")[0].split(".")
    return tuple(int(part) for part in release[:2] if part.isdecimal())


def _filter(architecture: int, numbers: list[int]) -> bytes:
    """Return the program of the kernel's filter: report these calls, allow all others."""

    def step(code: int, value: int, when_equal: int = 0, otherwise: int = 0) -> bytes:
        return struct.pack("HBBI", code, when_equal, otherwise, value)

    count = len(numbers)
    steps = [step(_LOAD, 4), step(_JUMP_EQUAL, architecture, 0, count + 1), step(_LOAD, 0)]
    steps += [step(_JUMP_EQUAL, number, count - index, 0) for index, number in enumerate(numbers)]
    return b"".join([*steps, step(_RETURN, _ALLOW), step(_RETURN, _NOTIFY)])


class KernelWatch:
    """The other end: takes down what a watched process does.

    Args:
        outside: Makes the record of opened files, when the first report comes.

    Attributes:
        channel: End of a socket to hand to the process that calls `report_to`, and to close here.
        is_blind: Whether a report could not be read.
        processes: Programs that were started, as typed in a shell.
        connections: Addresses that were connected to.
    """

    def __init__(self, outside: Callable[[], OutsideFiles]) -> None:
        self._make_outside = outside
        self._outside: OutsideFiles | None = None
        self._ours, self.channel = socket.socketpair()
        self._listeners: list[int] = []
        self._poll = select.poll()
        self._poll.register(self._ours, select.POLLIN)
        names = _MACHINES.get(platform.machine(), (0, 0, {}))[2]
        self._calls = {number: name for name, number in names.items()}
        self.is_blind = False
        self.processes: dict[str, None] = {}
        self.connections: dict[str, None] = {}

    @property
    def opened(self) -> dict[str, tuple[int, int]]:
        """Size and time of change (ns) of each file from outside, by path."""
        return {} if self._outside is None else self._outside.opened

    def close(self) -> None:
        """Stop listening; a watched process that goes on can then open nothing."""
        self._ours.close()
        self.channel.close()
        for listener in self._listeners:
            os.close(listener)

    def wait(self, other: socket.socket, seconds: float) -> bool:
        """Serve reports until `other` has something to read or the time is over.

        Returns:
            Whether `other` has something to read.
        """
        deadline = time.monotonic() + seconds
        self._poll.register(other, select.POLLIN)
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready = self._poll.poll(left * 1000)
            if not ready and left == 0.0:
                return False
            for descriptor, event in ready:
                if descriptor == other.fileno():
                    return True
                if descriptor == self._ours.fileno():
                    self._welcome()
                elif event & select.POLLIN:
                    self._serve(descriptor)
                else:  # the last watched process has ended
                    self._poll.unregister(descriptor)

    def _welcome(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._ours, 16, 1)
        if not message:
            self._poll.unregister(self._ours)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._outside = self._outside or self._make_outside()
            self._listeners.append(descriptor)
            self._poll.register(descriptor, select.POLLIN)

    def _serve(self, listener: int) -> None:
        report = bytearray(_PAGE)
        try:
            fcntl.ioctl(listener, _RECEIVE, report)
        except OSError:  # the caller was killed meanwhile
            return
        identifier, pid, _, number, _, _, *arguments = struct.unpack_from("=QIIiIQ6Q", report)
        refused = 0
        try:
            if self._note(pid, self._calls.get(number, ""), arguments):
                refused = -errno.EACCES
        except (FileNotFoundError, ProcessLookupError):  # the caller was killed meanwhile
            pass
        except (OSError, ValueError, struct.error):
            self.is_blind = True
        finally:
            answer = struct.pack("=QqiI", identifier, 0, refused, 0 if refused else _CONTINUE)
            with suppress(OSError):
                fcntl.ioctl(listener, _SEND, answer)

    def _note(self, pid: int, call: str, arguments: list[int]) -> bool:
        """Take a call down; say whether it is to be refused."""
        assert self._outside is not None
        if call == "connect":
            self._note_connection(_memory(pid, arguments[1], min(arguments[2], 128)))
        elif call.startswith("exec"):
            place = arguments if call == "execve" else arguments[1:]
            if os.path.exists(_path(pid, _AT_CWD, place[0])) or call == "execveat":
                self.processes[_command(pid, place[1])] = None
        elif call.startswith("rename"):
            a, b, c, d = (_AT_CWD, arguments[0], _AT_CWD, arguments[1]) if call == "rename" else (
                arguments[:4]
            )  # fmt: skip
            source, target = _path(pid, a, b), _path(pid, c, d)
            if any(map(self._outside.shield.refusal, (source, target))):
                return True
            self._outside.renamed(source, target)
        elif call in ("unlink", "unlinkat", "truncate"):
            folder, name = arguments[:2] if call == "unlinkat" else (_AT_CWD, arguments[0])
            return self._outside.shield.refusal(_path(pid, folder, name)) is not None
        else:
            return self._note_opening(pid, call, arguments)
        return False

    def _note_opening(self, pid: int, call: str, arguments: list[int]) -> bool:
        assert self._outside is not None
        folder, name, flags = (
            arguments[:3] if call.startswith("openat") else (_AT_CWD, *arguments[:2])
        )
        if call == "creat":
            flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
        elif call == "openat2":
            (flags,) = struct.unpack("=Q", _memory(pid, flags, 8))
        path = _path(pid, folder, name)
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_CREAT)
        if writes and self._outside.shield.refusal(path):
            return True
        self._outside.note(path, int(flags))
        return False

    def _note_connection(self, address: bytes) -> None:
        (family,) = struct.unpack_from("=H", address)
        if family == socket.AF_UNIX:
            name = os.fsdecode(address[2:].split(b"\0")[0])
            if not name.startswith(("/run/nscd/", "/var/run/nscd/")):
                self.connections[readable(f"unix:{name}")] = None
        elif family in (socket.AF_INET, socket.AF_INET6):
            (port,) = struct.unpack_from("!H", address, 2)
            start, size = (4, 4) if family == socket.AF_INET else (8, 16)
            host = socket.inet_ntop(family, address[start : start + size])
            if port:  # the resolver tries addresses without a port to sort them
                self.connections[f"{host}:{port}"] = None


def _memory(pid: int, address: int, size: int) -> bytes:
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as stream:
        found = os.pread(stream.fileno(), size, address)
    if not found:
        raise ProcessLookupError(f"process {pid} has ended")
    return found


def _text(pid: int, address: int) -> str:
    """Return the text at an address, read page by page: what follows may not be mapped."""
    text = b""
    while b"\0" not in text and len(text) < _PAGE:
        text += _memory(pid, address + len(text), _PAGE - (address + len(text)) % _PAGE)
    return os.fsdecode(text.partition(b"\0")[0])


def _path(pid: int, folder: int, name: int) -> str:
    path = _text(pid, name)
    if not path.startswith("/"):
        number = struct.unpack("=i", struct.pack("=I", folder & 0xFFFFFFFF))[0]
        where = "cwd" if number == _AT_CWD else f"fd/{number}"
        path = f"{os.readlink(f'/proc/{pid}/{where}')}/{path}"
    return plain_path(path.replace("/proc/self/", f"/proc/{pid}/", 1))


def _command(pid: int, arguments: int) -> str:
    words = []
    for index in range(_MAX_ARGUMENTS):
        (pointer,) = struct.unpack("=Q", _memory(pid, arguments + 8 * index, 8))
        if not pointer:
            break
        words.append(_text(pid, pointer))
    return readable(shlex.join(words))[:_COMMAND_LENGTH]
