"""Which steps validate a search run, and the files that each of them makes.

Read when the workflow is parsed, so it imports nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["VALIDATION_FILES", "judged_files", "validation_steps"]

# The rule, the key of `validate` that asks for it, and what it makes in `results/`.
_STEPS: Final = (
    (
        "walk_forward",
        "walk_forward",
        (
            "validation/walk-forward/walk-forward-config.json",
            "validation/walk-forward/period-results.json",
            "validation/walk-forward/stability-metrics.json",
            "validation/walk-forward/efficiency-metrics.json",
            "validation/walk-forward/equity.parquet",
        ),
    ),
    (
        "monte_carlo",
        "monte_carlo",
        (
            "validation/monte-carlo/simulation-config.json",
            "validation/monte-carlo/simulation-results.json",
            "validation/monte-carlo/confidence-intervals.json",
            "validation/monte-carlo/paths.parquet",
        ),
    ),
    ("measure_overfitting", "overfitting", ("validation/overfitting/overfitting.json",)),
    ("check_bias", "bias", ("validation/controls/bias.json",)),
    (
        "measure_costs",
        "costs",
        ("validation/costs/cost-sensitivity.json", "validation/costs/grid.parquet"),
    ),
)
_VERDICT: Final = ("judge_run", ("validation/verdict.json",))

VALIDATION_FILES: Final[Mapping[str, tuple[str, ...]]] = {
    **{step: files for step, _, files in _STEPS},
    _VERDICT[0]: _VERDICT[1],
}


def validation_steps(identity: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the rules that validate a run, in order, the verdict last; none when nothing is asked.

    Args:
        identity: Of the run spec.
    """
    asked = identity.get("validate") or {}
    steps = tuple(step for step, key, _ in _STEPS if key in asked)
    return (*steps, _VERDICT[0]) if steps else ()


def judged_files(identity: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the files in `results/` that the verdict of a run rests on."""
    return tuple(
        name for step in validation_steps(identity)[:-1] for name in VALIDATION_FILES[step]
    )
