"""The rows of a summary, section by section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backtrail.metrics import benchmark as against
from backtrail.metrics import drawdowns, returns, risk, trades
from backtrail.metrics._series import FloatArray
from backtrail.metrics.attribution import break_even_cost

# Stands in where there is no series: every value made of it is replaced by None.
_NOTHING = np.zeros(1)


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


class Year:
    """What annual figures rest on: bars per year and a risk-free rate per year."""

    def __init__(self, periods: float, risk_free: float) -> None:
        self.periods = periods
        self.rate = risk.risk_free_per_period(risk_free, periods)
        self.text = f"{periods:g} bars a year"
        self.riskless = f"risk-free rate {risk_free:g} a year"
        self.excess = f"{self.text}, {self.riskless}"
        self.is_free = risk_free == 0.0


class _Section:
    """Rows in order; all are undefined when `missing` says why there is nothing to measure."""

    def __init__(self, missing: str | None = None) -> None:
        self.rows: list[MetricRow] = []
        self._missing = missing

    def add(
        self, metric: str, value: float | None, unit: str, assumption: str, undefined: str = ""
    ) -> None:
        if self._missing is not None:
            value, undefined = None, self._missing
        if value is None:
            assumption = f"undefined: {undefined}"
        number = None if value is None else float(value)
        self.rows.append(MetricRow(metric, number, unit, assumption))


def growth_rows(
    series: FloatArray | None, times: npt.NDArray[np.int64], year: Year, missing: str
) -> list[MetricRow]:
    """Return the rows of growth; `missing` says why there is no series."""
    section = _Section(missing if series is None else None)
    some = _NOTHING if series is None else series
    n, kind = year.periods, "fraction"
    calendar = returns.cagr_calendar(some, int(times[0]), int(times[-1]))
    ruin = "more than everything was lost, or the run is too short"
    section.add("total_return", returns.total_return(some), kind, "compounded over all bars")
    section.add("cagr", returns.cagr(some, n), kind, year.text, ruin)
    section.add("cagr_calendar", calendar, kind, "years of 365.25 days", ruin)
    mean = returns.annual_mean_return(some, n)
    section.add("annual_mean_return", mean, kind, f"arithmetic, {year.text}")
    section.add("best_return", returns.best_return(some), kind, "one bar")
    section.add("worst_return", returns.worst_return(some), kind, "one bar")
    share = returns.positive_share(some)
    section.add("positive_share", share, kind, "bars with a gain among all bars")
    return section.rows


def risk_rows(
    series: FloatArray | None, year: Year, missing: str, *, first_fall: float = 0.0
) -> list[MetricRow]:
    """Return the rows of risk.

    Args:
        series: Returns per bar; None where there is none.
        year: What annual figures rest on.
        missing: Why there is no series.
        first_fall: The drawdown of the first bar, which no return shows: zero or negative.
    """
    section = _Section(missing if series is None else None)
    some = _NOTHING if series is None else series
    _add_ratios(section, some, year)
    _add_drawdowns(section, some, year, first_fall)
    _add_distribution(section, some, year)
    return section.rows


_FLAT = "the returns have no variance"
_NEVER = "no return is below the target"


def _add_ratios(section: _Section, series: FloatArray, year: Year) -> None:
    n, rate = year.periods, year.rate
    volatility = risk.annual_volatility(series, n)
    section.add("annual_volatility", volatility, "fraction", f"ddof 1, {year.text}", "one return")
    downside = risk.downside_deviation(series, n, rate)
    section.add("downside_deviation", downside, "fraction", f"over all bars, {year.excess}")
    sharpe, sortino = risk.sharpe_ratio(series, n, rate), risk.sortino_ratio(series, n, rate)
    section.add("sharpe_ratio", sharpe, "ratio", f"arithmetic mean, {year.excess}", _FLAT)
    below = f"downside over all bars, {year.excess}"
    section.add("sortino_ratio", sortino, "ratio", below, _NEVER)


def _add_drawdowns(section: _Section, series: FloatArray, year: Year, first_fall: float) -> None:
    depth = min(drawdowns.max_drawdown(series), first_fall)
    growth = returns.cagr(series, year.periods)
    calmar = growth / abs(depth) if growth is not None and depth else None
    section.add("max_drawdown", depth, "fraction", "from the running peak, capital included")
    over = f"cagr over max_drawdown, {year.text}"
    section.add("calmar_ratio", calmar, "ratio", over, "equity never fell")
    ulcer = drawdowns.ulcer_index(series)
    section.add("ulcer_index", ulcer, "fraction", "root mean square drawdown")


def _add_distribution(section: _Section, series: FloatArray, year: Year) -> None:
    omega = returns.omega_ratio(series, year.rate)
    threshold = "threshold 0 per bar" if year.is_free else f"threshold per bar, {year.riskless}"
    section.add("omega_ratio", omega, "ratio", threshold, _NEVER)
    tails, still = returns.tail_ratio(series), "the 5th percentile is 0"
    section.add("tail_ratio", tails, "ratio", "95th over 5th percentile", still)
    section.add("skewness", risk.skewness(series), "ratio", "population moments", _FLAT)
    normal = "population moments, normal = 0"
    section.add("excess_kurtosis", risk.excess_kurtosis(series), "ratio", normal, _FLAT)
    quantile = "5 % quantile of one bar, historical"
    section.add("value_at_risk", risk.value_at_risk(series), "fraction", quantile)
    tail = risk.conditional_value_at_risk(series)
    section.add("conditional_value_at_risk", tail, "fraction", "mean at or below value_at_risk")
    line, few = "R squared of cumulative log returns on time", "fewer than three returns"
    straight = f"{few}, or a constant curve"
    section.add("stability", returns.stability(series), "ratio", line, straight)
    chance = risk.probabilistic_sharpe_ratio(series, risk_free_per_period=year.rate)
    above = "that the true ratio is above 0, one trial"
    above = above if year.is_free else f"{above}, {year.riskless}"
    section.add("probabilistic_sharpe_ratio", chance, "probability", above, _FLAT)


def benchmark_rows(
    series: FloatArray | None,
    benchmark_returns: Sequence[float | None] | FloatArray | None,
    year: Year,
    missing: str,
    name: str | None = None,
) -> list[MetricRow]:
    """Return the rows beside a benchmark; `missing` says why there is no series, `name` which.

    Raises:
        ValueError: If series and benchmark differ in length.
    """
    left, right = _common(series, benchmark_returns)
    known = len(left) > 0
    pairs = f"{len(left)} common bars"
    section = _Section(None if known else (missing if series is None else "no benchmark"))
    if not known:
        left = right = _NOTHING
    n, still = year.periods, "the benchmark has no variance"
    total = returns.total_return(right)
    named = pairs if name is None else f"{pairs}, {name}"
    section.add("benchmark_total_return", total, "fraction", named)
    beta, alpha = against.beta(left, right), against.alpha(left, right, n, year.rate)
    section.add("beta", beta, "ratio", f"simple returns, {pairs}", still)
    beyond = still if beta is None else "a year of it is no number"
    section.add("alpha", alpha, "fraction", f"compounded, {year.excess}, {pairs}", beyond)
    fit = against.r_squared(left, right)
    section.add("r_squared", fit, "ratio", pairs, "a series has no variance")
    error = against.tracking_error(left, right, n)
    section.add("tracking_error", error, "fraction", f"ddof 1, {year.text}", "one return")
    ratio = against.information_ratio(left, right, n)
    equal = "no difference from the benchmark, or a constant one"
    section.add("information_ratio", ratio, "ratio", f"annual, {year.text}", equal)
    return section.rows


def _common(
    series: FloatArray | None, benchmark_returns: Sequence[float | None] | FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Return both series where the benchmark is known."""
    if series is None or benchmark_returns is None:
        return np.empty(0), np.empty(0)
    if len(benchmark_returns) != len(series) + 1:
        raise ValueError("benchmark_returns and equity differ in length")
    other = np.array(benchmark_returns[1:], dtype=np.float64)
    both = ~np.isnan(other)
    return series[both], other[both]


def trading_rows(
    columns: Mapping[str, Sequence[Any]],
    gross_exposure: Sequence[float | None] | FloatArray | None,
    fills: Mapping[str, Sequence[Any]] | None,
    curve: FloatArray,
    year: Year,
) -> list[MetricRow]:
    """Return the rows of round trips and of trading."""
    section = _Section()
    opened = columns.get("is_open", ())
    closed = [row for row, is_open in enumerate(opened) if not is_open]
    pnl = [float(columns["pnl"][row]) for row in closed]
    _add_round_trips(section, pnl, len(opened) - len(closed))
    bars = trades.average_bars_held([columns["bars_held"][row] for row in closed])
    section.add("average_bars_held", bars, "bars", "closed round trips", _NO_TRADE)
    known = np.array(() if gross_exposure is None else gross_exposure, dtype=np.float64)
    share = trades.exposure(known[~np.isnan(known)])
    held = "share of bars with a holding"
    section.add("exposure", share, "fraction", held, "exposure is not known")
    traded = None
    if fills is not None:
        values = [float(value) for value in fills["value"]]
        traded = trades.turnover(values, curve, year.periods)
    mean = f"bought and sold over mean equity, {year.text}"
    unknown = "fills are not known, or equity is not above zero"
    section.add("turnover", traded, "ratio", mean, unknown)
    return section.rows


def cost_rows(
    fills: Mapping[str, Sequence[Any]] | None, net: float, costs: Mapping[str, str]
) -> list[MetricRow]:
    """Return the rows of what trading cost.

    Args:
        fills: `value`, `commission` and `slippage` of every fill; None where they are not known.
        net: Change of equity, in money.
        costs: By which commission and slippage, in words.
    """
    section = _Section(None if fills is not None else "fills are not known")
    known: Mapping[str, Sequence[Any]] = fills or {"commission": (), "slippage": (), "value": ()}
    commission, slippage, traded = (
        sum(abs(float(value)) if name == "value" else float(value) for value in known[name])
        for name in ("commission", "slippage", "value")
    )
    by_commission, by_slippage = costs.get("commission"), costs.get("slippage")
    gross = net + commission + slippage
    section.add("gross_pnl", gross, "money", "net_pnl, commission and slippage added back")
    section.add("net_pnl", net, "money", "change of equity from the capital to the last bar")
    paid = "all fills" if by_commission is None else f"all fills, {by_commission}"
    section.add("total_commission", commission, "money", paid)
    lost = "all fills, against the bars' prices"
    lost = lost if by_slippage is None else f"{lost}, {by_slippage}"
    section.add("total_slippage", slippage, "money", lost)
    even, of_value = break_even_cost(gross, traded), "gross_pnl over traded value"
    section.add("break_even_cost", even, "fraction", of_value, "nothing was traded")
    return section.rows


_NO_TRADE = "no closed trade"


def _add_round_trips(section: _Section, pnl: Sequence[float], still_open: int) -> None:
    net, losers = "closed round trips, net of commission", "no losing trade"
    count = trades.total_trades(pnl)
    section.add("total_trades", count, "count", "closed round trips, flat to flat")
    section.add("open_trades", still_open, "count", "round trips open at the end")
    section.add("win_rate", trades.win_rate(pnl), "fraction", net, _NO_TRADE)
    section.add("profit_factor", trades.profit_factor(pnl), "ratio", net, losers)
    section.add("expectancy", trades.expectancy(pnl), "money", f"mean of {net}", _NO_TRADE)
    section.add("average_win", trades.average_win(pnl), "money", net, "no winning trade")
    section.add("average_loss", trades.average_loss(pnl), "money", net, losers)
