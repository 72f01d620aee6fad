"""Fills as columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Fills"]

IntArray = npt.NDArray[np.int64]
Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Fills:
    """What was filled, oldest first; every column has the shape (m,).

    Numbers are whole or float64, as the arithmetic has them; whole ones are Python's where 64 bits
    would not hold a sum of them.

    Attributes:
        rows: Bars.
        columns: Symbols.
        order_ids: Orders, which count from 1.
        shares: Bought, below zero sold.
        prices: Of one share.
        values: Shares times price, as money.
        commissions: Money.
        cash: After the fill, money.
        before: Shares held before.
    """

    rows: IntArray
    columns: IntArray
    order_ids: IntArray
    shares: Numbers
    prices: Numbers
    values: Numbers
    commissions: Numbers
    cash: Numbers
    before: Numbers

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield the fills one by one, as Python's numbers."""
        columns = (getattr(self, name).tolist() for name in self.__slots__)
        return zip(*columns, strict=True)
