"""What every check of bias answers."""

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a strategy.

    Attributes:
        name: Of the check.
        passed: Whether nothing was found; None when the check could not be asked, and `words` say
            why.
        figure: What was measured; None where nothing could be.
        threshold: What the figure was compared with.
        false_alarm_rate: How often a strategy without the fault is accused of it; 0 where a finding
            is a proof.
        words: What it means, in one or two sentences.
    """

    name: str
    passed: bool | None
    figure: float | None
    threshold: float | None
    false_alarm_rate: float
    words: str
