"""What a manifest says of how a run went: seconds of each phase and of all, and its warnings."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = [
    "known_before_the_seal",
    "phase_seconds",
    "timing_words",
    "warning_words",
    "with_total",
]

_TOTAL: Final = "total_seconds"
_ORDER: Final = ("capture", "search", "prepare", "execute", "write", "", "seal")  # "": all others
_OF_THE_SEAL: Final = frozenset({"seal_seconds", _TOTAL})


def phase_seconds(timings: Mapping[str, Any]) -> dict[str, float]:
    """Return the wall time of each phase by its name, as they follow each other.

    Args:
        timings: Of a manifest. Processor time is part of a phase and no phase itself.
    """
    found = {
        name.removesuffix("_seconds"): seconds
        for name, seconds in timings.items()
        if name.endswith("_seconds") and not name.endswith("cpu_seconds") and name != _TOTAL
    }
    return dict(sorted(found.items(), key=lambda item: _ORDER.index(_place(item[0]))))


def _place(phase: str) -> str:
    return phase if phase in _ORDER else ""


def with_total(timings: Mapping[str, Any]) -> dict[str, Any]:
    """Return timings with the sum of their phases; waiting between the jobs of a run is in none."""
    return {**timings, _TOTAL: round(sum(phase_seconds(timings).values()), 6)}


def known_before_the_seal(timings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file under the seal can say: the seal cannot hold how long it took."""
    return {name: value for name, value in timings.items() if name not in _OF_THE_SEAL}


def timing_words(timings: Mapping[str, Any]) -> str | None:
    """Return how long a run took, and each of its phases; None while no phase is known."""
    phases = ", ".join(f"{name} {value:.2f}" for name, value in phase_seconds(timings).items())
    if not phases or _TOTAL not in timings:
        return f"{phases} s so far" if phases else None
    return f"{timings[_TOTAL]:.2f} s: {phases}"


def warning_words(warnings: Mapping[str, int | None]) -> str | None:
    """Return where a run told how many warnings; None when it told none."""
    places = {"capture": "of the code capture", "printed": "in logs/stderr.txt"}
    return (
        ", ".join(f"{warnings[key]} {of}" for key, of in places.items() if warnings.get(key))
        or None
    )
