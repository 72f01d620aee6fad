"""What is told of an error in the child process of a run: whose it is, and where."""

import traceback
from pathlib import Path

from backtrail.engine.blame import is_of_strategy
from backtrail.errors import BacktrailError
from backtrail.provenance.outside import readable

__all__ = ["INTERNAL", "describe_error"]

INTERNAL = "internal"
"""Kind of a failure that is a fault of the library."""

_LIBRARY = f"{Path(__file__).parents[2]}/"


def describe_error(
    error: BaseException, code_dir: str, *, is_strategy_loaded: bool
) -> dict[str, str]:
    """Return kind, message and traceback of an error, paths relative to the captured copy.

    Of what the strategy raised, its part of the traceback is told; of what the library refused,
    nothing of the library's own; of a fault of the library, all.

    Args:
        error: As it was caught around everything that a child does.
        code_dir: Folder of the captured copy.
        is_strategy_loaded: Whether its module was executed; before, every error is its own.
    """
    if is_strategy_loaded and _is_fault(error):
        return _fault(error, code_dir)
    frames = traceback.extract_tb(error.__traceback__)
    own = [i for i, frame in enumerate(frames) if frame.filename.startswith(code_dir)]
    shown = frames[own[0] :] if own else []
    if own and (isinstance(error, BacktrailError) or _is_refused(frames[-1])):
        shown = frames[own[0] : own[-1] + 1]
    elif not own and not isinstance(error, BacktrailError | SyntaxError):
        shown = frames  # raised while it was called: where from is all there is to tell
    is_told = bool(shown) or not isinstance(error, BacktrailError)
    return {
        "kind": "memory" if isinstance(error, MemoryError) else type(error).__name__,
        "message": readable(str(error)) or type(error).__name__,
        "traceback": _text(shown, error, code_dir) if is_told else "",
    }


def _is_refused(frame: traceback.FrameSummary) -> bool:
    """Say whether the library raised on purpose, as for an attribute that the context lacks."""
    return frame.filename.startswith(_LIBRARY) and (frame.line or "").startswith("raise ")


def _is_fault(error: BaseException) -> bool:
    return (
        isinstance(error, Exception)
        and not isinstance(error, BacktrailError | MemoryError | SyntaxError)
        and not is_of_strategy(error)
    )


def _fault(error: BaseException, code_dir: str) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    last = [frame for frame in frames if frame.filename.startswith(_LIBRARY)][-1]
    where = f"{last.filename.removeprefix(_LIBRARY)}, line {last.lineno}"
    said = readable(str(error))
    return {
        "kind": INTERNAL,
        "message": f"{type(error).__name__}{': ' if said else ''}{said} ({where}); this is a fault"
        " of backtrail and not of the strategy, please report it with the traceback",
        "traceback": _text(frames, error, code_dir),
    }


def _text(frames: list[traceback.FrameSummary], error: BaseException, code_dir: str) -> str:
    lines = (
        ["Traceback (most recent call last):\n", *traceback.format_list(frames)] if frames else []
    )
    lines += traceback.format_exception_only(error)
    return readable("".join(lines)).replace(code_dir.rstrip("/") + "/", "")
