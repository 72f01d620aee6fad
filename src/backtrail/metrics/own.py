"""Metrics that a strategy file defines itself, over the returns, equity and trades of a run."""

import inspect
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar, overload

import numpy as np
import numpy.typing as npt

from backtrail.errors import StrategyError
from backtrail.metrics._rows import MetricRow
from backtrail.metrics._series import FloatArray
from backtrail.metrics.returns import equity_returns
from backtrail.metrics.risk import risk_free_per_period

__all__ = ["OwnMetric", "RunMaterial", "metric", "own_metrics", "own_rows", "own_value"]

Measure = TypeVar("Measure", bound=Callable[..., Any])

UNITS: Final = ("fraction", "ratio", "probability", "money", "count", "bars")
MATERIAL: Final = (
    "returns",
    "benchmark_returns",
    "equity",
    "timestamps",
    "trades",
    "periods_per_year",
    "risk_free_per_period",
)
_MARK: Final = "__backtrail_metric__"
_COLUMNS: Final = frozenset(
    {"set", "objective", "admissible", "rank", "error"}  # of a search's table
    # Of the tables of runs: `compare_backtests`, the catalog.
    | {"backtest_id", "timestamp", "framework_version", "name", "status", "grade", "strategy"}
    | {"code_hash", "bundle", "dataset_id", "start", "end", "run_key", "run_type", "library"}
    | {
        "risk_free_rate",
        "capture_grade",
        "benchmark",
        "start_date",
        "end_date",
        "attempt",
        "started_at",
    }
    | {"finished_at", "execute_seconds", "result_bytes", "code_bytes", "error_kind"}
    | {"error_message", "manifest_sha256", "git_commit", "git_branch", "git_dirty", "sets"}
)
_OTHERS: Final = re.compile(r"param_.*|.*_json")  # columns of parameters, and of lists
_FORM: Final = re.compile(r"[a-z][a-z0-9_]*")
_TIMES: Final = ("entry_at", "exit_at")
_TEXTS: Final = ("symbol", "side")


@dataclass(frozen=True, slots=True)
class OwnMetric:
    """A metric that a strategy file defines.

    Attributes:
        name: That of the function in the strategy file.
        function: What computes it.
        wants: What it takes, of `MATERIAL`.
        unit: fraction, ratio, probability, money, count or bars.
        assumption: What the number rests on.
    """

    name: str
    function: Callable[..., Any]
    wants: tuple[str, ...]
    unit: str
    assumption: str


@overload
def metric(function: Measure) -> Measure: ...


@overload
def metric(*, unit: str = ..., assumption: str | None = ...) -> Callable[[Measure], Measure]: ...


def metric(
    function: Measure | None = None, *, unit: str = "ratio", assumption: str | None = None
) -> Measure | Callable[[Measure], Measure]:
    """Mark a function of a strategy file as a metric of its runs.

    The function takes what it needs by name: `returns` per bar, shape (n - 1,);
    `benchmark_returns`, those of the benchmark at the same bars, NaN before it has a price (without
    a benchmark the metric is undefined); `equity`, shape (n,); `timestamps` of the bars, UTC,
    datetime64; `trades`, the closed round trips in the order of entry, as arrays by column (see the
    table `trades`); `periods_per_year`; `risk_free_per_period`, what a bar earns at the run's
    risk-free rate. It returns a finite number, or None where it is undefined.

    Args:
        function: The function, when it is marked without options.
        unit: fraction, ratio, probability, money, count or bars.
        assumption: What the number rests on; by default the first line of its docstring.

    Raises:
        StrategyError: If there is no such unit.
    """
    if unit not in UNITS:
        raise StrategyError(f"there is no unit {unit!r} of metrics; use one of {', '.join(UNITS)}")

    def mark(marked: Measure) -> Measure:
        lines = (inspect.getdoc(marked) or "").splitlines()
        said = assumption or (lines[0] if lines and lines[0] else "defined by the strategy")
        setattr(marked, _MARK, (unit, said))
        return marked

    return mark if function is None else mark(function)


def own_metrics(
    namespace: Mapping[str, object], *, strategy: str, builtin: Callable[[], Collection[str]]
) -> tuple[OwnMetric, ...]:
    """Return the metrics that a strategy file defines or imports, in their order.

    Args:
        namespace: Names of the module.
        strategy: Its name, for messages.
        builtin: Returns the names of the metrics that every run has.

    Raises:
        StrategyError: If a metric has the name of another one, or takes what there is not.
    """
    found = []
    for name, function in namespace.items():
        # Looked up on functions only: an object of the user's may answer to any attribute.
        if not inspect.isfunction(function) or not hasattr(function, _MARK):
            continue
        unit, assumption = getattr(function, _MARK)
        where = f"metric {name} of strategy {strategy}"
        if name in builtin():
            raise StrategyError(f"{where} has the name of a metric of every run; rename it")
        if name in _COLUMNS or not _FORM.fullmatch(name) or _OTHERS.fullmatch(name):
            raise StrategyError(
                f"{where} has a name that a column of the results cannot have; take another one, "
                "of small letters, digits and underscores"
            )
        found.append(OwnMetric(name, function, _wanted(function, where), unit, assumption))
    return tuple(found)


def _wanted(function: Callable[..., Any], where: str) -> tuple[str, ...]:
    wanted, strange = [], []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            strange.append(str(parameter))
        elif parameter.name in MATERIAL and parameter.kind != parameter.POSITIONAL_ONLY:
            wanted.append(parameter.name)
        elif parameter.default is parameter.empty:
            strange.append(parameter.name)
    if strange or not wanted:
        raise StrategyError(
            f"{where} takes {', '.join(strange) or 'nothing'}; its parameters have to be some of "
            f"{', '.join(MATERIAL)}"
        )
    return tuple(wanted)


class RunMaterial:
    """What own metrics are computed from; every array is read-only.

    Args:
        equity: Portfolio value per bar, shape (n,), n > 0.
        timestamps_us: Microseconds UTC of the bars.
        periods_per_year: Bars per year.
        trades: Columns of the table of round trips; None where no metric asks for it.
        benchmark_returns: Of every bar, shape (n,), None or NaN where unknown; None without a
            benchmark.
        capital_base: Cash at the start; None where wealth begins with the first value of equity.
        risk_free: Annual rate, compounded per bar.
    """

    def __init__(
        self,
        equity: npt.ArrayLike,
        timestamps_us: npt.ArrayLike,
        periods_per_year: float,
        trades: Mapping[str, Sequence[Any]] | None = None,
        benchmark_returns: Sequence[float | None] | FloatArray | None = None,
        capital_base: float | None = None,
        risk_free: float = 0.0,
    ) -> None:
        self.equity: FloatArray = _fixed(np.asarray(equity, dtype=np.float64))
        self._times = timestamps_us
        self.periods_per_year = periods_per_year
        self.risk_free_per_period = risk_free_per_period(risk_free, periods_per_year)
        self._trades = trades
        self._compared = benchmark_returns
        self._capital = capital_base

    @cached_property
    def timestamps(self) -> npt.NDArray[np.datetime64]:
        """Time of each bar, UTC."""
        return _fixed(np.asarray(self._times, dtype=np.int64).view("datetime64[us]"))

    @cached_property
    def returns(self) -> FloatArray | None:
        """As `equity_returns` gives them."""
        series = equity_returns(self.equity, self._capital)
        return None if series is None else _fixed(series)

    @cached_property
    def benchmark_returns(self) -> FloatArray | None:
        """Returns of the benchmark beside `returns`; None where not one of them is known."""
        if self._compared is None:
            return None
        compared = np.asarray(self._compared, dtype=np.float64)[1:]
        return None if np.isnan(compared).all() else _fixed(compared)

    @cached_property
    def trades(self) -> dict[str, npt.NDArray[Any]]:
        """Closed round trips by column, in the order of entry."""
        assert self._trades is not None
        closed = [row for row, is_open in enumerate(self._trades["is_open"]) if not is_open]
        return {
            name: _fixed(_array(name, [values[row] for row in closed]))
            for name, values in self._trades.items()
            if name != "is_open"
        }


def _fixed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = values.view()
    view.flags.writeable = False
    return view


def _array(name: str, values: list[Any]) -> npt.NDArray[Any]:
    if name in _TIMES:
        return np.array(values, dtype=np.int64).view("datetime64[us]")
    if name in _TEXTS:
        return np.array(values, dtype=np.str_)
    if name in ("trade_id", "bars_held"):
        return np.array(values, dtype=np.int64)
    return np.array([math.nan if x is None else float(x) for x in values], dtype=np.float64)


def own_value(own: OwnMetric, run: RunMaterial) -> float | None:
    """Return the value of a metric; None where it is undefined.

    Raises:
        StrategyError: If the function raises, or returns something else than a finite number or
            None.
    """
    if _missing(own, run) is not None:
        return None
    given = {name: getattr(run, name) for name in own.wants}
    try:
        found = own.function(**given)
    except Exception as error:
        told = StrategyError(
            f"metric {own.name} raised {type(error).__name__}: {error}; let it return None where "
            "it is undefined"
        )
        raise told.with_traceback(error.__traceback__) from error
    if found is None:
        return None
    is_number = isinstance(found, int | float | np.integer | np.floating)
    if not is_number or isinstance(found, bool) or not math.isfinite(found):
        raise StrategyError(
            f"metric {own.name} returned {found!r}; it has to be a finite number, or None where it "
            "is undefined"
        )
    return float(found)


def _missing(own: OwnMetric, run: RunMaterial) -> str | None:
    if "returns" in own.wants and run.returns is None:
        return "equity has no returns"
    if "benchmark_returns" in own.wants and run.benchmark_returns is None:
        return "there is no benchmark"
    return None


def own_rows(metrics: Sequence[OwnMetric], run: RunMaterial) -> list[MetricRow]:
    """Return the rows of a summary for a strategy's own metrics.

    Raises:
        StrategyError: As `own_value`.
    """
    rows = []
    for own in metrics:
        value, assumption = own_value(own, run), own.assumption
        if value is None:
            why = _missing(own, run) or f"the strategy says so ({assumption})"
            assumption = f"undefined: {why}"
        rows.append(MetricRow(own.name, value, own.unit, assumption))
    return rows
