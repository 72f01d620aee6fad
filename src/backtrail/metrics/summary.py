"""The summary of a run: one row per metric, its value, unit and assumption."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.errors import EmptySeriesError
from backtrail.metrics import benchmark as against
from backtrail.metrics import drawdowns, returns, risk, trades

__all__ = ["MetricRow", "summarize", "summarize_tables"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of a run.

    Attributes:
        metric: Its name; one name is one formula.
        value: None where it is undefined for the run; `assumption` then says why.
        unit: fraction, ratio, probability, money, count or bars.
        assumption: What the number rests on.
    """

    metric: str
    value: float | None
    unit: str
    assumption: str


def summarize(
    equity: npt.ArrayLike,
    timestamps_us: npt.ArrayLike,
    *,
    periods_per_year: float,
    benchmark_returns: Sequence[float | None] | FloatArray | None = None,
    trade_columns: Mapping[str, Sequence[Any]] | None = None,
    gross_exposure: Sequence[float | None] | FloatArray | None = None,
    fill_values: Sequence[Any] | None = None,
    risk_free: float = 0.0,
) -> list[MetricRow]:
    """Return the metrics of a run in a fixed order.

    Args:
        equity: Portfolio value per bar, shape (n,), n > 0; the first is the start of wealth.
        timestamps_us: Microseconds UTC of the bars.
        periods_per_year: Bars per year.
        benchmark_returns: Per bar, None where unknown; None without a benchmark.
        trade_columns: `pnl`, `bars_held`, `is_open` of the round trips.
        gross_exposure: Per bar.
        fill_values: Money of every fill.
        risk_free: Annual rate, compounded per bar.

    Returns:
        Rows; undefined metrics have the value None and say why.

    Raises:
        EmptySeriesError: If there is no bar.
        ValueError: If equity is not finite, or lengths differ.
    """
    curve = np.asarray(equity, dtype=np.float64)
    times = np.asarray(timestamps_us, dtype=np.int64)
    if not len(curve):
        raise EmptySeriesError("equity has no value; a run has at least one bar")
    if curve.shape != times.shape or not np.isfinite(curve).all():
        raise ValueError("equity and timestamps differ in length, or equity is not finite")
    rows = _Rows(periods_per_year, risk_free)
    series: FloatArray | None = None
    if len(curve) > 1 and (curve[:-1] > 0.0).all():
        series = curve[1:] / curve[:-1] - 1.0
    rows.why = "a single bar" if len(curve) == 1 else "equity fell to zero or below"
    rows.growth(series, times)
    rows.risk(series)
    rows.benchmark(series, benchmark_returns)
    rows.trading(trade_columns or {}, gross_exposure, fill_values, curve)
    return rows.rows


def summarize_tables(
    tables: Mapping[str, Mapping[str, Any]], *, periods_per_year: float, risk_free: float = 0.0
) -> list[MetricRow]:
    """Return `summarize` of the tables of a run's result."""
    curve = tables["backtest_results"]
    return summarize(
        curve["portfolio_value"],
        curve["timestamp"],
        periods_per_year=periods_per_year,
        benchmark_returns=curve["benchmark_returns"],
        trade_columns=tables["trades"],
        gross_exposure=curve["gross_exposure"],
        fill_values=tables["fills"]["value"],
        risk_free=risk_free,
    )


class _Rows:
    def __init__(self, periods: float, risk_free: float) -> None:
        self.rows: list[MetricRow] = []
        self.why = ""
        self.periods = periods
        self.rate = risk.risk_free_per_period(risk_free, periods)
        self.annual = f"{periods:g} bars a year"
        self.excess = f"{self.annual}, risk-free rate {risk_free:g} a year"

    def add(
        self, metric: str, value: float | None, unit: str, assumption: str, undefined: str
    ) -> None:
        if value is None:
            assumption = f"undefined: {undefined}"
        number = None if value is None else float(value)
        self.rows.append(MetricRow(metric, number, unit, assumption))

    def growth(self, series: FloatArray | None, times: npt.NDArray[np.int64]) -> None:
        first, last, n = int(times[0]), int(times[-1]), self.periods
        ruin = "more than everything was lost, or the run is too short"

        def row(metric: str, value: float | None, assumption: str, undefined: str) -> None:
            reason = self.why if series is None else undefined
            self.add(metric, value, "fraction", assumption, reason)

        some = series if series is not None else np.zeros(1)
        known = series is not None
        compound = returns.cagr(some, n) if known else None
        calendar = returns.cagr_calendar(some, first, last) if known else None
        total = returns.total_return(some) if known else None
        mean = returns.annual_mean_return(some, n) if known else None
        row("total_return", total, "compounded over all bars", "")
        row("cagr", compound, self.annual, ruin)
        row("cagr_calendar", calendar, "years of 365.25 days", ruin)
        row("annual_mean_return", mean, f"arithmetic, {self.annual}", "")
        row("best_return", returns.best_return(some) if known else None, "one bar", "")
        row("worst_return", returns.worst_return(some) if known else None, "one bar", "")
        share = returns.positive_share(some) if known else None
        row("positive_share", share, "bars with a gain among all bars", "")

    def risk(self, series: FloatArray | None) -> None:
        n, rate = self.periods, self.rate
        flat, never = "the returns have no variance", "no return is below the target"
        falls = "equity never fell"
        some = series if series is not None else np.zeros(1)
        table: list[tuple[str, float | None, str, str, str]] = [
            (
                "annual_volatility",
                risk.annual_volatility(some, n),
                "fraction",
                f"ddof 1, {self.annual}",
                "one return",
            ),
            (
                "downside_deviation",
                risk.downside_deviation(some, n, rate),
                "fraction",
                f"over all bars, {self.excess}",
                "",
            ),
            (
                "sharpe_ratio",
                risk.sharpe_ratio(some, n, rate),
                "ratio",
                f"arithmetic mean, {self.excess}",
                flat,
            ),
            (
                "sortino_ratio",
                risk.sortino_ratio(some, n, rate),
                "ratio",
                f"downside over all bars, {self.excess}",
                never,
            ),
            (
                "max_drawdown",
                drawdowns.max_drawdown(some),
                "fraction",
                "from the running peak, capital included",
                "",
            ),
            (
                "calmar_ratio",
                drawdowns.calmar_ratio(some, n),
                "ratio",
                f"cagr over max_drawdown, {self.annual}",
                falls,
            ),
            (
                "ulcer_index",
                drawdowns.ulcer_index(some),
                "fraction",
                "root mean square drawdown",
                "",
            ),
            ("omega_ratio", returns.omega_ratio(some), "ratio", "threshold 0 per bar", never),
            (
                "tail_ratio",
                returns.tail_ratio(some),
                "ratio",
                "95th over 5th percentile",
                "the 5th percentile is 0",
            ),
            ("skewness", risk.skewness(some), "ratio", "population moments", flat),
            (
                "excess_kurtosis",
                risk.excess_kurtosis(some),
                "ratio",
                "population moments, normal = 0",
                flat,
            ),
            (
                "value_at_risk",
                risk.value_at_risk(some),
                "fraction",
                "5 % quantile of one bar, historical",
                "",
            ),
            (
                "conditional_value_at_risk",
                risk.conditional_value_at_risk(some),
                "fraction",
                "mean at or below value_at_risk",
                "",
            ),
            (
                "stability",
                returns.stability(some),
                "ratio",
                "R squared of cumulative log returns on time",
                "fewer than three returns, or a constant curve",
            ),
            (
                "probabilistic_sharpe_ratio",
                risk.probabilistic_sharpe_ratio(some),
                "probability",
                "that the true ratio is above 0, one trial",
                flat,
            ),
        ]
        for metric, value, unit, assumption, undefined in table:
            known = series is not None
            self.add(
                metric, value if known else None, unit, assumption, undefined if known else self.why
            )

    def benchmark(
        self,
        series: FloatArray | None,
        benchmark_returns: Sequence[float | None] | FloatArray | None,
    ) -> None:
        n, rate = self.periods, self.rate
        left = right = np.empty(0)
        reason = self.why if series is None else "no benchmark"
        if series is not None and benchmark_returns is not None:
            if len(benchmark_returns) != len(series) + 1:
                raise ValueError("benchmark_returns and equity differ in length")
            other = np.array(benchmark_returns[1:], dtype=np.float64)
            both = ~np.isnan(other)
            left, right = series[both], other[both]
        pairs = f"{len(left)} common bars"
        still = "the benchmark has no variance"
        known = len(left) > 0
        if not known:
            left = right = np.zeros(1)
        table: list[tuple[str, float | None, str, str, str]] = [
            ("benchmark_total_return", returns.total_return(right), "fraction", pairs, ""),
            ("beta", against.beta(left, right), "ratio", f"simple returns, {pairs}", still),
            (
                "alpha",
                against.alpha_geometric(left, right, n, rate),
                "fraction",
                f"compounded, {self.excess}, {pairs}",
                still,
            ),
            (
                "r_squared",
                against.r_squared(left, right),
                "ratio",
                pairs,
                "a series has no variance",
            ),
            (
                "tracking_error",
                against.tracking_error(left, right, n),
                "fraction",
                f"ddof 1, {self.annual}",
                "one return",
            ),
            (
                "information_ratio",
                against.annual_information_ratio(left, right, n),
                "ratio",
                f"annual, {self.annual}",
                "no difference from the benchmark, or a constant one",
            ),
        ]
        for metric, value, unit, assumption, undefined in table:
            self.add(
                metric, value if known else None, unit, assumption, undefined if known else reason
            )

    def trading(
        self,
        columns: Mapping[str, Sequence[Any]],
        gross_exposure: Sequence[float | None] | FloatArray | None,
        fill_values: Sequence[Any] | None,
        curve: FloatArray,
    ) -> None:
        opened = columns.get("is_open", ())
        closed = [row for row, is_open in enumerate(opened) if not is_open]
        pnl = [float(columns["pnl"][row]) for row in closed]
        bars = [columns["bars_held"][row] for row in closed]
        none, net = "no closed trade", "closed round trips, net of commission"
        exposures = [
            value
            for value in (gross_exposure if gross_exposure is not None else ())
            if value is not None
        ]
        traded = None
        if fill_values is not None:
            traded = trades.turnover([float(value) for value in fill_values], curve, self.periods)
        table: list[tuple[str, float | None, str, str, str]] = [
            (
                "total_trades",
                trades.total_trades(pnl),
                "count",
                "closed round trips, flat to flat",
                "",
            ),
            ("open_trades", len(opened) - len(closed), "count", "round trips open at the end", ""),
            ("win_rate", trades.win_rate(pnl), "fraction", net, none),
            ("profit_factor", trades.profit_factor(pnl), "ratio", net, "no losing trade"),
            ("expectancy", trades.expectancy(pnl), "money", f"mean of {net}", none),
            ("average_win", trades.average_win(pnl), "money", net, "no winning trade"),
            ("average_loss", trades.average_loss(pnl), "money", net, "no losing trade"),
            (
                "average_bars_held",
                trades.average_bars_held(bars),
                "bars",
                "closed round trips",
                none,
            ),
            (
                "exposure",
                trades.exposure(exposures),
                "fraction",
                "share of bars with a holding",
                "exposure is not known",
            ),
            (
                "turnover",
                traded,
                "ratio",
                f"bought and sold over mean equity, {self.annual}",
                "fills are not known, or equity is not above zero",
            ),
        ]
        for row in table:
            self.add(*row)
