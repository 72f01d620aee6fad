"""The peers: what they are, and an environment of its own for each.

Nothing here is a dependency of backtrail. A peer is installed by pip from its pinned requirements
into `.venvs/<peer>` and run as a process of its own.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Peer:
    """An engine that backtrail is measured against.

    Attributes:
        name: As in `requirements/<name>.txt` and `peers/run_<name>.py`.
        title: What it calls itself.
        licence: Of the pinned version.
        least_python: Oldest Python that has a wheel of it.
        home: Where its requirements, script and environment lie.
    """

    name: str
    title: str
    licence: str
    least_python: tuple[int, int] = (3, 11)
    home: Path = HERE

    @property
    def folder(self) -> Path:
        """Its environment."""
        return self.home / ".venvs" / self.name

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.folder / "bin" / "python"


PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer("raptorbt", "raptorbt", "MIT"),
        Peer("vectorbt", "vectorbt (Numba)", "Apache-2.0 with Commons Clause"),
        Peer("backtesting", "backtesting.py", "AGPL-3.0"),
        Peer("nautilus", "nautilus_trader", "LGPL-3.0", (3, 12)),
        Peer("pybroker", "pybroker", "Apache-2.0 with Commons Clause"),
        Peer("backtrader", "backtrader", "GPL-3.0"),
        Peer("bt", "bt", "MIT"),
        Peer("zipline", "zipline-reloaded", "Apache-2.0"),
    )
}


class PeerError(Exception):
    """A peer could not be installed or did not run; the text says why."""


def install(peer: Peer) -> None:
    """Make a peer's environment unless it is there and made from the same requirements.

    Raises:
        PeerError: If there is no Python for it, or pip fails.
    """
    wanted = peer.home / "requirements" / f"{peer.name}.txt"
    stamp = peer.folder / "requirements.txt"
    if stamp.exists() and stamp.read_text() == wanted.read_text() and peer.python.exists():
        return
    python = _python_for(peer)
    checked([python, "-m", "venv", "--clear", str(peer.folder)], f"{peer.title}: no environment")
    pip = [str(peer.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    checked([*pip, "--requirement", str(wanted)], f"{peer.title} could not be installed")
    shutil.copyfile(wanted, stamp)


def run(
    peer: Peer | None, case: Path, variant: str, *, rate: float, options: Sequence[str] = ()
) -> dict[str, Any]:
    """Run a variant of a peer on a case in its own process; None is backtrail itself.

    Raises:
        PeerError: If it fails; the message ends with the last lines it wrote.
    """
    name, python = ("backtrail", sys.executable) if peer is None else (peer.name, str(peer.python))
    script = HERE / "peers" / f"run_{name}.py"
    command = [python, str(script), str(case), variant, "--rate", repr(rate), *options]
    found: dict[str, Any] = json.loads(checked(command, f"{name}, {variant}").splitlines()[-1])
    return found


def _python_for(peer: Peer) -> str:
    candidates = [sys.executable]
    for minor in (12, 13, 11):
        if (3, minor) >= peer.least_python:
            candidates += [f"python3.{minor}"]
            candidates += map(str, Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"))
    for python in candidates:
        check = f"import sys, venv; sys.exit(not {peer.least_python} <= sys.version_info < (3, 14))"
        try:
            if not subprocess.run([python, "-c", check], capture_output=True).returncode:
                return python
        except OSError:
            continue
    least = ".".join(map(str, peer.least_python))
    raise PeerError(f"{peer.title} needs Python {least} or later (below 3.14), and none was found")


def checked(command: Sequence[str], what: str) -> str:
    """Return what a command writes.

    Raises:
        PeerError: If it fails; the message ends with the last lines it wrote.
    """
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    if done.returncode:
        last = " / ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise PeerError(f"{what}: {last or f'exit status {done.returncode}'}")
    return done.stdout
