"""How often the holdout of a dataset was looked at: what every page made later has to carry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backtrail.wording import counted

__all__ = ["NO_LOOKS", "HoldoutLooks"]


@dataclass(frozen=True, slots=True)
class HoldoutLooks:
    """Looks of one strategy file at dates that were withheld from it, by one dataset's ledger.

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
            records: Looks at the same dataset by the same strategy file; `look` is the how-manyth
                at its dates each was.
        """
        numbers = [int(record["look"]) for record in records]
        return cls(len(numbers), any(number > 1 for number in numbers))

    @property
    def words(self) -> str:
        """Return count and mark, as `2 looks, contaminated`."""
        if not self.count:
            return "not looked at"
        return f"{counted(self.count, 'look')}{', contaminated' if self.contaminated else ''}"


NO_LOOKS = HoldoutLooks()
