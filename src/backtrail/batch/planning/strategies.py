"""The strategy files that a config names and what they consist of, however broken the rest is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backtrail.provenance.closure import CodeClosure, SecretWaiver
from backtrail.provenance.detection import CAPTURE_MODES, capture_closure

__all__ = ["capture_strategy", "has_search", "named_strategies", "secret_waivers"]


def capture_strategy(strategy: str, values: Mapping[str, Any], root: Path) -> CodeClosure:
    """Capture a strategy as a config asks for.

    Args:
        strategy: The file, relative to the project.
        values: The config as read.
        root: Project folder.

    Raises:
        CodeCaptureError: If it cannot be captured.
    """
    output = values.get("backtest_output")
    settings = output if isinstance(output, dict) else {}
    mode = settings.get("code_capture_mode")
    return capture_closure(
        root / strategy,
        root,
        mode=mode if mode in CAPTURE_MODES else "import_analysis",
        secret_waivers=secret_waivers(settings),
    )


def secret_waivers(settings: Mapping[str, Any]) -> list[SecretWaiver]:
    """Return the waivers of a config's section `backtest_output`; broken ones are left out."""
    waivers = settings.get("secret_waivers")
    return [
        SecretWaiver(item["file"], item["reason"])
        for item in (waivers if isinstance(waivers, list) else ())
        if isinstance(item, dict) and item.keys() >= {"file", "reason"}
    ]


def has_search(values: Mapping[str, Any]) -> bool:
    """Say whether an entry of a config searches, or is validated, which a search of one set is."""
    batch = values.get("batch")
    entries = batch.values() if isinstance(batch, dict) else ()
    return any(
        isinstance(entry, dict) and bool(entry.get("optimize") or entry.get("validate"))
        for entry in entries
    )


def named_strategies(values: Mapping[str, Any]) -> list[str]:
    """Return the strategy files that a config names, sorted."""
    batch = values.get("batch")
    entries = batch.values() if isinstance(batch, dict) else ()
    names = {
        entry["strategy"] for entry in entries if isinstance(entry, dict) and "strategy" in entry
    }
    return sorted(name for name in names if isinstance(name, str) and name)
