"""What a run opens: what it was given, what it made itself, and what came from outside."""

import os
import site
import stat
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from backtrail.artifacts.paths import RUN_RECORDS, reserved_result

__all__ = ["OutsideFiles", "Shield", "is_known", "plain_path", "readable", "site_folders"]

# Belongs to the machine and decides no result: devices, shared libraries, zone and font data.
_SYSTEM = (
    *("/proc/", "/dev/", "/sys/", "/run/nscd/", "/var/run/nscd/", "/nix/store/"),
    *("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/usr/bin/", "/usr/sbin/", "/usr/lib/"),
    *("/usr/lib32/", "/usr/lib64/", "/usr/libexec/", "/usr/share/", "/usr/local/lib/"),
    *("/etc/ld.so.", "/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf", "/etc/passwd"),
    *("/etc/group", "/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf"),
    *("/etc/services", "/etc/protocols", "/etc/ssl/", "/etc/mime.types", "/etc/locale."),
)
_PACKAGE_FOLDERS = frozenset({"site-packages", "dist-packages"})
_PREFIX_FOLDERS = ("bin", "etc", "include", "lib", "lib64", "share", "ssl", "pyvenv.cfg")
_LIBRARY = Path(__file__).parents[1]
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_CREAT


def readable(text: str) -> str:
    """Return text that every file and database takes: no lone surrogates, no NUL."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


@cache
def site_folders() -> tuple[str, ...]:
    """Return the folders of installed packages, each with a slash at its end.

    They are looked for once, so that what a strategy does to the import path does not count.
    """
    paths = sysconfig.get_paths()
    folders = {paths["purelib"], paths["platlib"], *site.getsitepackages()}
    # Environments may be stacked by a .pth file, which names another one's folder.
    folders |= {path for path in sys.path if os.path.basename(path) in _PACKAGE_FOLDERS}
    return _both_names(folders)


@cache
def _known() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], paths["scripts"], str(_LIBRARY)}
    folders |= {
        f"{prefix}/{name}" for prefix in (sys.prefix, sys.base_prefix) for name in _PREFIX_FOLDERS
    }
    return (*_both_names(folders), *site_folders(), *_SYSTEM)


def _both_names(folders: Iterable[str]) -> tuple[str, ...]:
    """Return folders as named and as found behind symlinks, each with a slash at its end."""
    names = {name for folder in folders for name in (folder, os.path.realpath(folder))}
    return tuple(sorted(f"{name}/" if os.path.isdir(name) else name for name in names))


def is_known(path: str) -> bool:
    """Say whether a path lies in Python, an installed package, this library or the system."""
    return path.startswith(_known())


def plain_path(path: str) -> str:
    """Return an absolute path; links are followed only where its own words would mislead."""
    if path.startswith(("/proc/", "/dev/")) or ".." in path.split("/"):
        return os.path.realpath(path)
    return os.path.abspath(path)


class Shield:
    """The files of a run that its strategy must not change.

    Captured files are told by what they are, not by their names: another name of the same file,
    a link or a descriptor, is the same file.

    Args:
        code_dir: Folder of the captured code.
        captured: The captured files, relative to it.
        target: Directory of the run; None when nothing is kept.
    """

    def __init__(self, code_dir: str, captured: Iterable[str], target: str | None) -> None:
        self.code_dir = os.path.realpath(code_dir) + "/"
        self._target = None if target is None else os.path.realpath(target) + "/"
        self._captured = set()
        self._names = frozenset(self.code_dir + name for name in captured)
        for name in captured:
            with suppress(FileNotFoundError):  # the strategy will miss it in its own words
                found = os.stat(self.code_dir + name)
                self._captured.add((found.st_dev, found.st_ino))

    def covers(self, path: str) -> bool:
        """Say whether a path is that of a captured file, which nothing can take the place of."""
        return path in self._names

    def refusal(self, path: str | int) -> str | None:
        """Return why a file must not be changed, or None when it may be."""
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            pass
        else:
            if (found.st_dev, found.st_ino) in self._captured:
                return (
                    f"captured code is read-only: {path} is part of what the run was made from; "
                    "write to another name, which goes to results/"
                )
        return None if isinstance(path, int) else self._refused_place(os.path.realpath(path))

    def _refused_place(self, path: str) -> str | None:
        if path.startswith(self.code_dir):
            name = path.removeprefix(self.code_dir)
        elif self._target is not None and path.startswith(self._target):
            folder, _, name = path.removeprefix(self._target).partition("/")
            if folder in RUN_RECORDS or folder.startswith("."):
                return (
                    f"{path} belongs to the run's own records; a strategy writes to results/ of "
                    "its run, best by self.artifact_manager.get_result_path(...)"
                )
            if folder != "results":
                return None
        else:
            return None
        if name and reserved_result(name):
            return f"results/{name} is written by backtrail itself; choose another name"
        return None


class OutsideFiles:
    """The files that a run read and was not given.

    What the run made itself, it may read. Names that cannot be looked at are no files.

    Args:
        shield: The run's own files.

    Attributes:
        opened: Size and time of change (ns) of each file when it was first opened, by path.
    """

    def __init__(self, shield: Shield) -> None:
        _known()  # Python 3.13 imports a module for it, which an audit hook must not see half done
        self.shield = shield
        self.opened: dict[str, tuple[int, int]] = {}
        self._own: set[str] = set()

    def note(self, path: str, flags: int) -> None:
        """Take down that a file is being opened.

        Args:
            path: As `plain_path` returns it.
            flags: As for `os.open`.
        """
        if not flags & _WRITING:
            if not path.startswith(_known()):
                self._read(path)
            return
        real = os.path.realpath(path)
        if not (flags & (os.O_TRUNC | os.O_EXCL)) and os.path.exists(real):
            self._read(path)  # appended to, or changed in part: what it held counts
        elif flags & (os.O_WRONLY | os.O_RDWR):
            self._own.add(real)

    def renamed(self, source: str, target: str) -> None:
        """Take down that a file or folder got another name."""
        old, new = os.path.realpath(source), os.path.realpath(target)
        for name in list(self._own):
            if name == old or name.startswith(old + "/"):
                self._own.add(new + name.removeprefix(old))

    def _read(self, path: str) -> None:
        if path in self.opened or self.shield.covers(path):
            return
        try:
            real = os.path.realpath(path)
            if real in self._own or real.startswith((self.shield.code_dir, *_known())):
                return
            found = os.stat(real)
        except (OSError, ValueError):
            return
        if not stat.S_ISDIR(found.st_mode):
            self.opened[path] = (found.st_size, found.st_mtime_ns)
