"""Which symbols of a dataset are still there at its end: what a backtest cannot see by itself.

A universe in which nobody ever failed is a list of winners. The numbers here do not say whether a
dataset is one, but a share of 1 over many years is how one looks.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final

import polars as pl

from backtrail.data.manifest import SymbolRecord

__all__ = ["survival"]

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


def _day(moment: str) -> date:
    return date.fromisoformat(moment[:10])
