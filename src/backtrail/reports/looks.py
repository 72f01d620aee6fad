"""Who saw the dates that a search withheld: what every page made later has to carry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backtrail.wording import counted

__all__ = ["NO_LOOKS", "HoldoutLooks"]


@dataclass(frozen=True, slots=True)
class HoldoutLooks:
    """Looks of one strategy file at dates of a bundle that were withheld from it, and other runs.

    Attributes:
        count: How many looks there were by now.
        contaminated: Whether these dates are known from elsewhere than one first look: what was
            seen there may have steered what was tried.
        seen: How many runs that are no looks have results of such dates: nothing was withheld from
            them.
        before: How many of those began before the run that this is told of.
    """

    count: int = 0
    contaminated: bool = False
    seen: int = 0
    before: int = 0

    @classmethod
    def of(
        cls, records: Iterable[Mapping[str, Any]], *, seen: int = 0, before: int = 0
    ) -> "HoldoutLooks":
        """Return the count of records of the ledger.

        Args:
            records: Looks at the same bundle by the same strategy file: `look` is the how-manyth
                at its dates each was when it was counted, from `start` to `end`. Older ones counted
                each dataset apart, so dates that overlap are looked for as well.
            seen: Runs that are no looks and have results of withheld dates.
            before: How many of those began before the run that this is told of.
        """
        looks = sorted(records, key=lambda record: str(record["start"]))
        is_second = any(int(look["look"]) > 1 for look in looks)
        latest, overlaps = "", False
        for look in looks:
            overlaps = overlaps or str(look["start"]) <= latest
            latest = max(latest, str(look["end"]))
        return cls(len(looks), is_second or overlaps or seen > 0, seen, before)

    @property
    def is_told(self) -> bool:
        """Say whether there is anything to tell."""
        return bool(self.count or self.seen)

    @property
    def words(self) -> str:
        """Return counts and mark, as `2 looks, contaminated`."""
        return self._told(counted(self.seen, "run"))

    @property
    def state(self) -> str:
        """Return the same without the number of runs, of which there are more every day."""
        return self._told("other runs")

    def _told(self, runs: str) -> str:
        if not self.is_told:
            return "not looked at"
        parts = [counted(self.count, "look") if self.count else "not opened"]
        if self.seen:
            parts.append(f"{'' if self.count else 'but '}seen in {runs}")
        if self.contaminated:
            parts.append("contaminated")
        return ", ".join(parts)


NO_LOOKS = HoldoutLooks()
