"""How often the holdout of a dataset was looked at: what every page made later has to carry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backtrail.wording import counted

__all__ = ["NO_LOOKS", "HoldoutLooks"]


@dataclass(frozen=True, slots=True)
class HoldoutLooks:
    """Looks of one strategy file at dates of a bundle that were withheld from it.

    Attributes:
        count: How many there were by now.
        contaminated: Whether some dates were looked at a second time: what the first look told may
            have steered what was tried next.
    """

    count: int = 0
    contaminated: bool = False

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> "HoldoutLooks":
        """Return the count of records of the ledger.

        Args:
            records: Looks at the same bundle by the same strategy file: `look` is the how-manyth
                at its dates each was when it was counted, from `start` to `end`. Older ones counted
                each dataset apart, so dates that overlap are looked for as well.
        """
        looks = sorted(records, key=lambda record: str(record["start"]))
        is_second = any(int(look["look"]) > 1 for look in looks)
        latest, overlaps = "", False
        for look in looks:
            overlaps = overlaps or str(look["start"]) <= latest
            latest = max(latest, str(look["end"]))
        return cls(len(looks), is_second or overlaps)

    @property
    def words(self) -> str:
        """Return count and mark, as `2 looks, contaminated`."""
        if not self.count:
            return "not looked at"
        return f"{counted(self.count, 'look')}{', contaminated' if self.contaminated else ''}"


NO_LOOKS = HoldoutLooks()
