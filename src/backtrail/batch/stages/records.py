"""What `run.json` says at each moment of a run, and the records derived from it."""

import getpass
import json
import platform
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import backtrail
from backtrail.artifacts.environment import describe_machine
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.timings import with_total
from backtrail.batch.execution.outcome import Outcome
from backtrail.batch.execution.sandbox import ENVIRONMENT
from backtrail.canonical import sha256_json, utc_iso
from backtrail.provenance.inputs import usage_gaps

__all__ = [
    "begin_record",
    "captured_record",
    "failure_record",
    "finished_record",
    "sealed_record",
    "trial_record",
]

_VERSION = 1
_TAIL_LINES = 20
# How Python's `warnings` begins what it writes: file, line, category, message.
_PRINTED_WARNING = re.compile(rb"^[^\n]+:\d+: \w*Warning: ", re.MULTILINE)


def begin_record(
    spec: Mapping[str, Any], former: Mapping[str, Any] | None, now: datetime
) -> dict[str, Any]:
    """Return the manifest of a run that begins now."""
    is_retry = former is not None and former["status"] != "captured"
    return {
        "version": _VERSION,
        "backtest_id": spec["backtest_id"],
        "run_key": spec["run_key"],
        "run_type": spec["identity"]["run_type"],
        "identity": spec["identity"],
        "labels": spec["labels"],
        "git": spec["origin"]["git"],
        "status": "running",
        "attempt": 1 + former["attempt"] if former is not None and is_retry else 1,
        "started_at": utc_iso(now),
        "host": platform.node(),
        "user": _user(),
        "machine": describe_machine(ENVIRONMENT),
        "framework_version": backtrail.__version__,
        "python_version": platform.python_version(),
        "error": None,
        "timings": _kept_timings(former),
        "warnings": {"capture": len(spec["code"]["warnings"]), "printed": None},
    }


def captured_record(spec: Mapping[str, Any], seconds: float, now: datetime) -> dict[str, Any]:
    """Return the manifest of a run whose code has been captured and that has not begun."""
    record = begin_record(spec, None, now)
    return {**record, "status": "captured", "timings": {"capture_seconds": round(seconds, 6)}}


def _kept_timings(former: Mapping[str, Any] | None) -> dict[str, float]:
    """Return the times of stages that are not repeated."""
    timings = {} if former is None else former.get("timings", {})
    return {name: timings[name] for name in ("capture_seconds",) if name in timings}


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return None


def finished_record(
    record: Mapping[str, Any],
    outcome: Outcome,
    contents: Mapping[str, str],
    usage: Mapping[str, Any],
    written: Mapping[str, str],
    run: RunDir,
    now: datetime,
    *,
    seconds: float,
) -> dict[str, Any]:
    """Return the manifest of a run whose results are written and that only lacks its seal.

    Args:
        record: The manifest as the run began.
        outcome: How the child ended.
        contents: Content checksums of its tables, by path inside the run.
        usage: From `keep_inputs`.
        written: Checksum of every file that execution made, by path inside the run.
        run: The run, for its logs.
        now: When it ended.
        seconds: Wall time of the stage until now; what the child did not take is writing.
    """
    return {
        **record,
        "status": "executed",
        "finished_at": utc_iso(now),
        "timings": {
            **record["timings"],
            **_timings(outcome),
            "write_seconds": round(seconds - outcome.seconds - (outcome.prepare_seconds or 0.0), 6),
        },
        "warnings": _counted_warnings(record, run),
        "contents": dict(contents),
        "usage": dict(usage),
        "written": dict(written),
    }


def failure_record(
    record: Mapping[str, Any],
    outcome: Outcome,
    usage: Mapping[str, Any] | None,
    run: RunDir,
    now: datetime,
    *,
    stage: str = "run_backtest",
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the manifest of a run whose strategy failed: what, where, and the last log lines.

    Args:
        record: The manifest as the run began.
        outcome: How the child ended.
        usage: From `keep_inputs`; None when the child was ended before it could tell.
        run: The run, for its logs.
        now: When it failed.
        stage: The rule that failed.
        details: What else is to be said of the error.
    """
    unknown = ["the run was ended before it could tell what it had used"]
    gaps = unknown if usage is None else usage_gaps(usage)
    return {
        **record,
        **({} if usage is None else {"usage": dict(usage)}),
        "status": "failed",
        "finished_at": utc_iso(now),
        "timings": with_total({**record["timings"], **_timings(outcome)}),
        "warnings": _counted_warnings(record, run),
        "grade": "D",
        "gaps": ["the run failed; it has no results", *gaps],
        "error": {
            **(details or {}),
            "stage": stage,
            "kind": outcome.kind,
            "message": outcome.message,
            "traceback": outcome.traceback,
            "log": _log_tail(run),
        },
    }


def _timings(outcome: Outcome) -> dict[str, float]:
    prepared = outcome.prepare_seconds
    return {
        **({} if prepared is None else {"prepare_seconds": round(prepared, 6)}),
        "execute_seconds": round(outcome.seconds, 6),
        "cpu_seconds": round(outcome.cpu_seconds, 6),
        "max_rss_mb": round(outcome.max_rss_mb, 3),
    }


def _counted_warnings(record: Mapping[str, Any], run: RunDir) -> dict[str, int | None]:
    """Return how many warnings a run told, with those that its strategy printed."""
    path = run.logs / "stderr.txt"
    printed = len(_PRINTED_WARNING.findall(path.read_bytes())) if path.exists() else None
    return {**record["warnings"], "printed": printed}


def _log_tail(run: RunDir) -> list[str]:
    lines: list[str] = []
    for name in ("stdout.txt", "stderr.txt"):
        path = run.logs / name
        if path.exists():
            lines += path.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return lines


def sealed_record(
    record: Mapping[str, Any], run: RunDir, listed: Mapping[str, Any], *, seconds: float
) -> dict[str, Any]:
    """Return the final manifest of a completed run.

    Its grade says how complete the capture was: B complete, C with gaps, which are named. What
    could not be followed when the code was captured is no gap: the run itself has shown that it
    needed nothing else. D is a run whose code was not captured at all.

    Args:
        record: The manifest of the executed run.
        run: The run.
        listed: Its inventory.
        seconds: Wall time of the seal so far.
    """
    gaps = usage_gaps(record["usage"])
    is_captured = record["identity"]["strategy"]["code_hash"] is not None
    if not is_captured:
        gaps.insert(0, "the code was not captured; the run cannot be repeated")
    metrics = json.loads((run.results / "performance-metrics.json").read_bytes())
    return {
        **{key: value for key, value in record.items() if key != "written"},  # now in the inventory
        "status": "completed",
        "timings": with_total({**record["timings"], "seal_seconds": round(seconds, 6)}),
        "grade": "D" if not is_captured else "C" if gaps else "B",
        "gaps": gaps,
        "metrics": {name: entry["value"] for name, entry in metrics.items()},
        "inventory": dict(listed),
    }


def trial_record(
    spec: Mapping[str, Any],
    selection: Mapping[str, Any] | None = None,
    *,
    started_at: str,
) -> dict[str, Any]:
    """Return what the ledger counts of a run: a strategy family, and how many parameter sets.

    Args:
        spec: The run spec.
        selection: What a search run selected, and from how many; None for a plain run.
        started_at: When the run began, as its manifest says.
    """
    identity = spec["identity"]
    holdout = identity.get("validate", {}).get("holdout")
    sets, sha256 = 1, sha256_json([identity["params"]])
    if selection is not None:
        sets, sha256 = selection["sets"], selection["sets_sha256"]
    return {
        "run_key": spec["run_key"],
        "dataset_id": identity["dataset"]["dataset_id"],
        "bundle": spec["labels"]["bundle"],
        "start": identity["start"],
        "end": identity["end"],
        **({} if holdout is None else {"withheld": holdout["start"]}),
        "started_at": started_at,
        "family": identity["strategy"]["entry"],
        "code_hash": identity["strategy"]["code_hash"],
        "run_type": identity["run_type"],
        "sets": sets,
        "sets_sha256": sha256,
    }
