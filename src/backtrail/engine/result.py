"""What a run returns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import CommissionConfig, SlippageConfig

__all__ = ["Column", "RunResult", "Table"]

Column = Sequence[Any] | npt.NDArray[np.float64] | npt.NDArray[np.int64]
Table = dict[str, Column]


@dataclass(frozen=True, slots=True)
class RunResult:
    """The tables of one finished run.

    Attributes:
        tables: Table name to column name to values, exactly the names of the artifact schemas:
            `backtest_results`, `orders`, `fills`, `positions`, `trades`, `corporate_actions`,
            `recorded`, `risk_violations`. Timestamps are int64 microseconds UTC, money and
            quantities `decimal.Decimal`, curves float64; missing is None, so a curve with a missing
            value is a list and one without is an array.
        commission: What fills cost: the config's, or that of the strategy.
        slippage: What fills lost, likewise.
        benchmark: The benchmark that the strategy set; None when it set none.
    """

    tables: dict[str, Table]
    commission: CommissionConfig = field(default_factory=CommissionConfig)
    slippage: SlippageConfig = field(default_factory=SlippageConfig)
    benchmark: str | None = None
