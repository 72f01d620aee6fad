"""Symbols of several datasets as one: stocks beside the index that they are compared with.

Bars and adjustments are taken over as they are. A symbol comes from one dataset, so that nothing
decides in silence which of two prices is meant.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import combinations
from typing import Final

import polars as pl

from backtrail.canonical import sha256_json
from backtrail.data.datasets import Dataset
from backtrail.data.identity import canonical_order
from backtrail.data.library_calendars import calendar_over
from backtrail.data.membership import Membership
from backtrail.data.sessions import SESSION_MARGIN, Calendar, Sessions
from backtrail.data.validation import ValidatedPrices
from backtrail.errors import DatasetError

__all__ = ["JOINING_FORM", "join", "joined_membership", "joined_sessions"]

JOINING_FORM: Final = 1
"""Raised when joined datasets come out otherwise, so that none made before is taken for one."""

_SHOWN: Final = 5


def join(prices: Mapping[str, ValidatedPrices]) -> ValidatedPrices:
    """Return the bars and adjustments of several bundles together.

    Args:
        prices: Of each bundle, by its name.

    Raises:
        DatasetError: If two bundles have a symbol of the same name.
    """
    symbols = {name: _symbols(one) for name, one in prices.items()}
    for (name, own), (other, others) in combinations(symbols.items(), 2):
        both = sorted(own & others)
        if both:
            more = f" and {len(both) - _SHOWN} more" if len(both) > _SHOWN else ""
            raise DatasetError(
                f"bundles {name!r} and {other!r} both have {', '.join(both[:_SHOWN])}{more}; a "
                "symbol of a joined bundle comes from one of them: leave it out at the other, or "
                "give it another name there"
            )
    known = pl.Enum(sorted(set().union(*symbols.values())))

    def together(table: str) -> pl.DataFrame:
        parts = [
            getattr(one, table).with_columns(pl.col("symbol").cast(pl.String).cast(known))
            for one in prices.values()
        ]
        return canonical_order(pl.concat(parts), table)

    return ValidatedPrices(
        bars=together("bars"),
        adjustments=together("adjustments"),
        waivers=(),
        duplicates={"rows": 0, "listed": []},
        left_out=(),
    )


def _symbols(prices: ValidatedPrices) -> set[str]:
    return set(prices.bars["symbol"].unique().cast(pl.String))


def joined_sessions(name: str, sources: Sequence[Dataset]) -> tuple[Calendar, str | None]:
    """Return the calendar that reaches over the bars of all datasets, and where it is from.

    Args:
        name: The calendar of all of them.
        sources: The datasets.

    Raises:
        DatasetError: If none of them has all the sessions, and the calendar library is not there.
    """
    tables = [(source.calendar(), source.manifest.sessions.get("source")) for source in sources]
    reaches = [one.reach for one, _ in tables if isinstance(one, Sessions) and one.reach]
    if len(reaches) < len(tables):  # a calendar of this package, whose sessions are not stored
        return name, None
    first, last = min(reach[0] for reach in reaches), max(reach[1] for reach in reaches)
    for table, told in tables:
        if isinstance(table, Sessions) and table.reach == (first, last):
            return table, told
    records = [one for source in sources for one in source.manifest.symbols.values()]
    began = date.fromisoformat(min(one.first for one in records)[:10])
    ended = date.fromisoformat(max(one.last for one in records)[:10])
    return calendar_over(name, began - SESSION_MARGIN, ended + SESSION_MARGIN), None


def joined_membership(sources: Mapping[str, Dataset]) -> Membership | None:
    """Return who belongs to a universe by any of some datasets; None where none of them says.

    A symbol of a dataset without a list, as an index beside stocks, belongs to no universe.
    """
    listed = [(one.universe(), one.manifest.universe) for one in sources.values()]
    found = [(frame, facts) for frame, facts in listed if frame is not None]
    if not found:
        return None
    if len(found) == 1:
        ((frame, facts),) = found
        return Membership(frame, facts["path"], facts["sha256"])
    together = pl.concat([frame for frame, _ in found]).unique()
    return Membership(
        canonical_order(together, "universe"),
        "; ".join(facts["path"] for _, facts in found),
        sha256_json([facts["sha256"] for _, facts in found]),
    )
