"""Doing things as somebody else, with less room, or in another zone."""

import multiprocessing
import os
import resource
import signal
import traceback

from .project import HOLD

FORK = multiprocessing.get_context("fork")
_NOBODY = 65_534
ID = r"^\d{8}_\d{6}_\d{3}$"


def in_child(work, *arguments, before=None):
    """Call a function in a forked child and return what it returns; its exception is raised here.

    Args:
        work: The function; what it returns is pickled.
        *arguments: Its arguments.
        before: Called in the child first: drops rights, sets limits.
    """
    ours, theirs = FORK.Pipe(duplex=False)

    def child():
        try:
            if before is not None:
                before()
            theirs.send((work(*arguments), None))
        except BaseException as error:  # noqa: BLE001
            theirs.send((None, (error, traceback.format_exc())))

    process = FORK.Process(target=child)
    process.start()
    theirs.close()
    value, failure = ours.recv()
    process.join()
    if failure is not None:
        raise failure[0]
    return value


def become_nobody():
    """Give up the rights of root, to whom every folder is writable."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)


def limit_files(size):
    """Let no file grow beyond a size, as on a full disk: writing more is an OSError."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def write_strategy(folder):
    """Write the strategy of the documents: a file and the two helpers it imports."""
    (folder / "utils").mkdir()
    (folder / "utils/__init__.py").touch()
    (folder / "utils/indicators.py").write_text("def compute_sma(data, window): pass\n")
    (folder / "utils/risk.py").write_text("LIMIT = 1\n")
    (folder / "my_strategy.py").write_text(
        "from utils.indicators import compute_sma\nfrom utils import risk\n" + HOLD
    )
