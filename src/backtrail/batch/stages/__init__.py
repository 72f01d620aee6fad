"""The stages of a run: capture, for a search evaluate and select, then execute, seal, report.

Chains call them one job at a time, shards call them in a loop; there is no other way through a
run. Every stage holds the run's lease, looks at the seal again, and leaves a sealed run as it is:
intact means done, missing files are put back, altered ones are an error.
"""

from backtrail.batch.stages.capturing import capture_code, restore_object
from backtrail.batch.stages.executing import run_backtest
from backtrail.batch.stages.reporting import render_report, render_report_again, render_run
from backtrail.batch.stages.restoring import restore_run
from backtrail.batch.stages.sealing import seal_run
from backtrail.batch.stages.searching import evaluate_chunk, select_parameters
from backtrail.batch.stages.validating import validate_run

__all__ = [
    "capture_code",
    "evaluate_chunk",
    "render_report",
    "render_report_again",
    "render_run",
    "restore_object",
    "restore_run",
    "run_backtest",
    "seal_run",
    "select_parameters",
    "validate_run",
]
