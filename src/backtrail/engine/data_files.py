"""The data files that were captured with a strategy, found again wherever it runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath

from backtrail.errors import StrategyError

__all__ = ["data_file", "data_folders"]

_FOLDERS: ContextVar[tuple[Path, ...]] = ContextVar("backtrail_data_folders", default=())


@contextmanager
def data_folders(folders: Sequence[Path]) -> Iterator[None]:
    """Say where `data_file` looks; who loads and runs a strategy does this.

    Args:
        folders: The folder of the strategy file, then the root of what was captured.
    """
    token = _FOLDERS.set(tuple(folders))
    try:
        yield
    finally:
        _FOLDERS.reset(token)


def data_file(name: str) -> Path:
    """Return the path of a file that is captured with the strategy.

    A literal name in the call is enough to have the file captured; a computed one has to be listed
    in `strategy.yaml`. It works at the top of the strategy file, too.

    Args:
        name: Path with forward slashes, relative to the strategy file, or else to the project.

    Raises:
        StrategyError: If there is no such file, the name leaves the project, or no strategy is
            being loaded or run in this thread.
    """
    folders = _FOLDERS.get()
    if not folders:
        raise StrategyError(
            f"data_file({name!r}) was called while no strategy is loaded or run in this thread;"
            " call it in the strategy itself and hand the path on"
        )
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise StrategyError(
            f"data_file({name!r}) leaves the project; name a file beside the strategy or below"
            " the project folder"
        )
    for folder in folders:
        if (folder / path).is_file():
            return folder / path
    raise StrategyError(
        f"data_file({name!r}) finds no such file among the captured ones; it was looked up beside"
        " the strategy, then in the project. Check the name; one that is computed while the"
        " strategy runs has to be listed in strategy.yaml"
    )
