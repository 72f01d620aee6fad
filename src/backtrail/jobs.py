"""What every Snakemake job of this workflow does around its one library call."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from backtrail.artifacts.refusals import refused
from backtrail.errors import BacktrailError

__all__ = ["job_logging"]


@contextmanager
def job_logging(snakemake: Any) -> Iterator[None]:
    """Send logging to the rule's log file, and end the job with a readable message on failure.

    Errors of ours carry their own explanation and are shown without a traceback. So is a full or
    protected disk; the log has its traceback.

    Args:
        snakemake: The object Snakemake puts into a script.
    """
    path = Path(str(snakemake.log[0])) if snakemake.log else None
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers = [logging.FileHandler(path, mode="w", encoding="utf-8")]
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers
    )
    try:
        yield
    except BacktrailError as error:
        _tell(f"{type(error).__name__}: {error}", path)
        raise SystemExit(1) from None
    except Exception as error:
        refusal = refused(error) if isinstance(error, OSError) else None
        if refusal is None:
            _tell(traceback.format_exc(), path)
            raise
        _log(path, traceback.format_exc())
        _tell(f"{type(refusal).__name__}: {refusal}", path)
        raise SystemExit(1) from None
    finally:
        logging.shutdown()


def _tell(message: str, path: Path | None) -> None:
    sys.stderr.write(message.rstrip() + "\n")
    _log(path, message)


def _log(path: Path | None, message: str) -> None:
    if path is not None:
        with suppress(OSError), path.open("a", encoding="utf-8") as stream:  # a full disk
            stream.write(message.rstrip() + "\n")
