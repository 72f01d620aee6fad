"""The page of a failed run: what was asked, what went wrong, its last lines, and its code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backtrail.canonical import pretty_json
from backtrail.errors import ArtifactManagerError, DatasetError
from backtrail.reports.header import header_of
from backtrail.reports.looks import NO_LOOKS, HoldoutLooks
from backtrail.reports.pages import write_page
from backtrail.reports.rundata import RunRecord, read_dataset_manifest, read_run
from backtrail.reports.settings import ReportConfig
from backtrail.reports.sources import CodeFile, captured_code

__all__ = ["render_failed_page"]

_LOG_LINES = 40


def render_failed_page(
    run_dir: Path,
    *,
    bundles_dir: Path,
    out: Path,
    looks: HoldoutLooks = NO_LOOKS,
    config: ReportConfig | None = None,
) -> Path:
    """Write the page of a failed run from the error in its `run.json`.

    The error is an object with `exception`, `message`, `traceback` and `log` (lines); what is
    missing is said to be missing. A dataset that cannot be found does not hinder the page.

    Args:
        run_dir: The run directory.
        bundles_dir: The central bundle storage.
        out: The HTML file to write.
        looks: Looks at the holdout of its dataset by its strategy file.
        config: Theme and templates of one's own.

    Returns:
        `out`.

    Raises:
        ArtifactManagerError: If the directory has no readable run spec.
    """
    run = read_run(run_dir)
    error = _error_of(run.manifest)
    return write_page(
        out,
        "failed.html.j2",
        data={},
        charts=False,
        config=config,
        header=header_of(run, dataset=_dataset_or_none(run, bundles_dir), bars=None, looks=looks),
        exception=_text(error, "exception", "kind"),
        message=_text(error, "message"),
        traceback=_text(error, "traceback"),
        log=_log_text(error, run_dir),
        failed=True,
        status=str(run.manifest.get("status", "failed")),
        attempt=run.manifest.get("attempt"),
        code=_code_or_none(run),
        run_spec=pretty_json(run.spec),
    )


def _error_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    error = manifest.get("error") or {}
    return error if isinstance(error, Mapping) else {"message": str(error)}


def _text(error: Mapping[str, Any], *keys: str) -> str | None:
    return next((str(error[key]) for key in keys if error.get(key)), None)


def _log_text(error: Mapping[str, Any], run_dir: Path) -> str | None:
    """Return the log lines of the manifest, else the end of what the strategy wrote."""
    lines = error.get("log")
    if lines:
        return lines if isinstance(lines, str) else "\n".join(str(line) for line in lines)
    for name in ("stderr.txt", "stdout.txt"):
        path = run_dir / "logs" / name
        if path.is_file() and (text := path.read_text(encoding="utf-8", errors="replace").strip()):
            return "\n".join(text.splitlines()[-_LOG_LINES:])
    return None


def _code_or_none(run: RunRecord) -> list[CodeFile]:
    """Return the captured code; none where the run failed before it was captured whole."""
    try:
        return captured_code(run)
    except ArtifactManagerError:
        return []


def _dataset_or_none(run: RunRecord, bundles_dir: Path) -> Mapping[str, Any] | None:
    try:
        return read_dataset_manifest(run, bundles_dir)
    except DatasetError:
        return None
