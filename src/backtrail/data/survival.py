"""Which symbols of a dataset are still there at its end: what a backtest cannot see by itself.

A universe in which nobody ever failed is a list of winners. The numbers here do not say whether a
dataset is one, but a share of 1 over many years is how one looks.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import polars as pl

from backtrail.data.manifest import SymbolRecord

__all__ = ["survival", "universe_summary"]

_QUIET_DAYS: Final = 7


def survival(records: Mapping[str, SymbolRecord], adjustments: pl.DataFrame) -> dict[str, Any]:
    """Return how many symbols live to the end of a dataset, and which do not.

    A symbol lives when its last bar is at most a week before the last bar of all, and it has no
    delisting by then.

    Args:
        records: What there is of each symbol.
        adjustments: Columns of `ADJUSTMENT_SCHEMA`.

    Returns:
        `first` and `last` date of all bars, the number of `symbols`, how many were there at the
        `first` date (`at_start`) and are at the last (`alive`), `share_alive` of all, how many of
        those at the start are alive (`start_alive`), and under `stopped` each symbol that is not
        alive, with its last date and whether a delisting says why.
    """
    spans = {name: (_day(record.first), _day(record.last)) for name, record in records.items()}
    first = min(start for start, _ in spans.values())
    last = max(end for _, end in spans.values())
    delisted = set(
        adjustments.filter(pl.col("kind") == "delisting")["symbol"].cast(pl.String).to_list()
    )
    quiet = timedelta(days=_QUIET_DAYS)
    alive = {name for name, (_, end) in spans.items() if last - end <= quiet} - delisted
    at_start = {name for name, (start, _) in spans.items() if start - first <= quiet}
    return {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "symbols": len(spans),
        "alive": len(alive),
        "share_alive": len(alive) / len(spans),
        "at_start": len(at_start),
        "start_alive": len(at_start & alive),
        "stopped": [
            {"symbol": name, "last": end.isoformat(), "delisted": name in delisted}
            for name, (_, end) in sorted(spans.items())
            if name not in alive
        ],
    }


def universe_summary(universe: pl.DataFrame, records: Mapping[str, SymbolRecord]) -> dict[str, Any]:
    """Return how far the bars of a dataset cover the universe it is said to hold.

    A member without bars is what makes a universe look better than it was: mostly it failed.

    Args:
        universe: Columns of `UNIVERSE_SCHEMA`.
        records: What there is of each symbol.

    Returns:
        `symbols` that ever were members; how many were so on the date of the first bar of all
        (`at_start`) and on that of the last (`at_end`), and how many of those at the start still
        are at the end (`start_still`); `without_bars`, the members that have no bar between the
        first and last date of theirs; and `never`, symbols with bars that never were members.
    """
    spans = {name: (_day(record.first), _day(record.last)) for name, record in records.items()}
    first = min(start for start, _ in spans.values())
    last = max(end for _, end in spans.values())
    members: dict[str, list[tuple[date, date]]] = {}
    for symbol, begin, end in universe.select("symbol", "first", "last").iter_rows():
        members.setdefault(symbol, []).append((begin, date.max if end is None else end))

    def on(day: date) -> set[str]:
        return {
            name
            for name, times in members.items()
            if any(begin <= day <= end for begin, end in times)
        }

    covered = {
        name
        for name, times in members.items()
        if name in spans
        and any(begin <= spans[name][1] and spans[name][0] <= end for begin, end in times)
    }
    within = {
        name
        for name, times in members.items()
        if any(begin <= last and first <= end for begin, end in times)
    }
    return {
        "symbols": len(members),
        "at_start": len(on(first)),
        "at_end": len(on(last)),
        "start_still": len(on(first) & on(last)),
        "without_bars": sorted(within - covered),
        "never": sorted(set(spans) - set(members)),
    }


def _day(moment: str) -> date:
    return date.fromisoformat(moment[:10])
