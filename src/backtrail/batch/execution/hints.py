"""What to tell a user whose strategy missed a file that was not captured with it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backtrail.batch.execution.outcome import Outcome
from backtrail.wording import counted

__all__ = ["with_hint"]

_SHOWN_WARNINGS = 5


def with_hint(outcome: Outcome, spec: Mapping[str, Any]) -> Outcome:
    """Return a failure whose message says, when something was missing, where it was looked for.

    Args:
        outcome: How the run failed.
        spec: The run spec.
    """
    if outcome.kind not in {"FileNotFoundError", "ModuleNotFoundError"}:
        return outcome
    if outcome.message.startswith("No module named 'backtrail."):  # nothing to capture or install
        return outcome
    code = spec["code"]
    lines = [
        outcome.message,
        f"The run executed from its captured copy, which holds "
        f"{counted(len(code['files']), 'file')}, not from the project folder. Name further files "
        "under files: in a strategy.yaml beside the strategy, or data files by data_file('...')"
        + ("" if outcome.kind == "FileNotFoundError" else "; a missing package is to be installed")
        + ".",
    ]
    warnings = list(code["warnings"])
    if warnings:
        lines.append("When the code was captured, this could not be followed:")
        lines += [f"  {warning}" for warning in warnings[:_SHOWN_WARNINGS]]
    if len(warnings) > _SHOWN_WARNINGS:
        lines.append(f"  and {len(warnings) - _SHOWN_WARNINGS} more in code_manifest.json")
    return replace(outcome, message="\n".join(lines))
