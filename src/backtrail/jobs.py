"""What every Snakemake job of this workflow does around its one library call."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backtrail.errors import BacktrailError

__all__ = ["job_logging"]


@contextmanager
def job_logging(snakemake: Any) -> Iterator[None]:
    """Send logging to the rule's log file, and end the job with a readable message on failure.

    Errors of ours carry their own explanation and are shown without a traceback.

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
        _fail(path, f"{type(error).__name__}: {error}")
    except Exception:
        _fail(path, traceback.format_exc())
        raise
    finally:
        logging.shutdown()


def _fail(path: Path | None, message: str) -> None:
    sys.stderr.write(message.rstrip() + "\n")
    if path is not None:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(message.rstrip() + "\n")
    if not message.startswith("Traceback"):
        raise SystemExit(1)
