"""What every Snakemake job of this workflow does around its one library call."""

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from backtrail.artifacts.refusals import refused
from backtrail.errors import BacktrailError

__all__ = ["failed_attempts", "job_logging", "name_workflow_source"]


def name_workflow_source(rules: Path) -> None:
    """Set `BACKTRAIL_SOURCE` to the folder whose workflow is parsed.

    `environment.post-deploy.sh` installs the library from there into an environment that Snakemake
    makes. Snakemake runs a copy of it that lies elsewhere, so the script cannot find it by itself.

    Args:
        rules: The folder `workflow/rules`.
    """
    os.environ["BACKTRAIL_SOURCE"] = str(rules.resolve().parents[1])


def failed_attempts(log: str) -> int:
    """Return how many attempts of a job have failed, for the parameter `failures` of its rule.

    Snakemake writes down the parameters of a job also when it failed and its former outputs were
    put back; with the same parameters the next call would find nothing to do. A count that a
    failure raises makes them others. It stays after a success, so that nothing runs again then.

    Args:
        log: The job's log file, beside which the count is kept.
    """
    try:
        return int(_count_of(Path(log)).read_text())
    except (OSError, ValueError):
        return 0


def _count_of(log: Path) -> Path:
    return log.with_suffix(".failures")


def _write_count(log: Path, failures: int) -> None:
    if failures:
        _count_of(log).write_text(f"{failures}\n")
    else:
        _count_of(log).unlink(missing_ok=True)


@contextmanager
def job_logging(snakemake: Any) -> Iterator[None]:
    """Send logging to the rule's log file, and end the job with a readable message on failure.

    Of a rule with the parameter `failures` the attempts that fail are counted beside the log.
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
    failures: int | None = getattr(getattr(snakemake, "params", None), "failures", None)
    try:
        if path is not None and failures is not None:
            _write_count(path, failures + 1)  # a job that is killed cannot count any more
        yield
        if path is not None and failures is not None:
            _write_count(path, failures)
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
