"""Bars of a dataset as the engine's arrays."""

from collections.abc import Sequence
from datetime import date

from backtrail.data.datasets import Dataset
from backtrail.data.windows import read_window
from backtrail.engine import Bars

__all__ = ["load_bars"]


def load_bars(dataset: Dataset, symbols: Sequence[str], start: date, end: date) -> Bars:
    """Return raw bars of some symbols on the union of their timestamps, as a run gets them.

    Args:
        dataset: Where to read.
        symbols: Names, in the order wanted; each once.
        start: First UTC date.
        end: Last UTC date, included.

    Raises:
        DatasetError: If a symbol is not in the dataset, stands twice, or has no bar in the window.
    """
    packed = read_window(dataset, symbols, start, end)
    return Bars.over(
        packed.symbols,
        packed.columns,
        calendar=packed.calendar,
        timeframe=packed.timeframe,
        members=packed.members,
    )
