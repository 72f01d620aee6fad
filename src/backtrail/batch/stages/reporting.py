"""Stage `render_report`: the pages of a sealed run, derived from it and outside its seal."""

import json
from pathlib import Path

from backtrail.artifacts.manifest import inspect_run, require_intact
from backtrail.artifacts.store import RunStore
from backtrail.files import write_json

__all__ = ["render_report"]


def render_report(
    store: RunStore, backtest_id: str, bundles_dir: Path, *, only_stale: bool = False
) -> None:
    """Render the pages of a sealed run; they are derived and stand outside the seal.

    Args:
        store: The run store.
        backtest_id: The run.
        bundles_dir: Folder of the bundles, for the price chart.
        only_stale: Leave a page that present templates made from this run.

    Raises:
        SealError: If a result was altered: nothing is rendered from it.
    """
    from backtrail.provenance.attestation import graded_manifest
    from backtrail.reports.fingerprint import describe_reports

    run = store.run(backtest_id)
    page, record = run.reports / "basic_report.html", run.reports / "reports.json"
    with run.lease():
        require_intact(run, inspect_run(run))
        manifest = graded_manifest(run)
        grade = None if manifest is None else manifest.get("grade")
        if only_stale and page.exists() and record.exists():
            known = json.loads(record.read_bytes())
            if known == describe_reports([page], grade=grade):
                return
        from backtrail.reports.basic import render_basic_report

        render_basic_report(run.path, bundles_dir=bundles_dir, out=page, grade=grade)
        write_json(record, describe_reports([page], grade=grade))
