"""What a run returns."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.engine.config import CommissionConfig, SlippageConfig

__all__ = ["Column", "RunResult", "Table", "Tables"]

Column = Sequence[Any] | npt.NDArray[np.float64] | npt.NDArray[np.int64]
Table = dict[str, Column]


class Tables(Mapping[str, Table]):
    """Tables by name, each made when it is first looked at and kept from then on.

    Args:
        makers: What makes each table.
    """

    __slots__ = ("_made", "_makers")

    def __init__(self, makers: Mapping[str, Callable[[], Table]]) -> None:
        self._makers = makers
        self._made: dict[str, Table] = {}

    def __getitem__(self, name: str) -> Table:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __reduce__(self) -> tuple[type[dict[str, Table]], tuple[dict[str, Table]]]:
        return dict, (dict(self),)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The tables of one finished run.

    Attributes:
        tables: Table name to column name to values, exactly the names of the artifact schemas:
            `backtest_results`, `orders`, `fills`, `positions`, `trades`, `corporate_actions`,
            `recorded`, `risk_violations`. Timestamps are int64 microseconds UTC, money and
            quantities `decimal.Decimal`, both None where missing, in any kind of sequence; the
            columns of `backtest_results` are float64 arrays, NaN where missing.
        commission: What fills cost: the config's, or that of the strategy.
        slippage: What fills lost, likewise.
        benchmark: The benchmark that the strategy set; None when it set none.
    """

    tables: Mapping[str, Table]
    commission: CommissionConfig = field(default_factory=CommissionConfig)
    slippage: SlippageConfig = field(default_factory=SlippageConfig)
    benchmark: str | None = None
