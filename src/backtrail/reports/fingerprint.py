"""What a report page was made with: the fingerprint of this package, and the reports of a run."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from backtrail.canonical import sha256_file, sha256_json
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.settings import ReportConfig

__all__ = ["describe_reports", "page_fingerprint", "report_fingerprint"]

_PACKAGE = Path(__file__).parent


def report_fingerprint(package: Path = _PACKAGE) -> str:
    """Return the sha256 over every file that shapes a page: modules, templates, vendored scripts.

    Args:
        package: The folder to look at; the installed reports package unless a test says otherwise.

    Returns:
        64 hex digits. Paths relative to the folder and contents count; compiled files do not.
    """
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.is_file() and path.suffix != ".pyc" and not path.name.startswith("."):
            content = path.read_bytes()
            name = path.relative_to(package).as_posix()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def _own_fingerprint() -> str:
    return report_fingerprint()


def describe_reports(
    paths: Iterable[Path],
    *,
    grade: str | None = None,
    looks: HoldoutLooks = NO_LOOKS,
    trials: str | None = None,
    config: ReportConfig | None = None,
) -> list[dict[str, Any]]:
    """Return the content of a run's `reports.json`: one record per report file, sorted by name.

    Args:
        paths: The finished report files.
        grade: Provenance grade that they show; a replay may lift it later.
        looks: Looks at the holdout that they show; there may be more later.
        trials: How much was tried by then, as they show it; None when it was not counted.
        config: Their theme, parts and templates.

    Returns:
        Records with `name`, `sha256` of the file, `fingerprint` of what made it, `grade`,
        `holdout` (who saw it, in words without a number of runs), `trials` and `config`.
    """
    chosen = config or ReportConfig()
    fingerprint = page_fingerprint(chosen)
    return [
        {
            "name": path.name,
            "sha256": sha256_file(path),
            "fingerprint": fingerprint,
            "grade": grade,
            "holdout": looks.state,
            "trials": trials,
            "config": chosen.to_dict(),
        }
        for path in sorted(paths, key=lambda path: path.name)
    ]


def page_fingerprint(config: ReportConfig) -> str:
    """Return the sha256 of all that shapes a page: this package, and what the config chooses."""
    return sha256_json([_own_fingerprint(), config.fingerprint()])
