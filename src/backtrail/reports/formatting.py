"""How numbers, moments and names are written on the pages."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = [
    "CARDS",
    "INDEX_COLUMNS",
    "UNITS",
    "day_text",
    "metric_label",
    "metric_text",
    "metric_tone",
    "moment_text",
    "params_text",
    "percent_text",
    "plain_text",
]

# The cards on top of a report, in this order, as far as the run has them.
CARDS = (
    "total_return",
    "cagr",
    "max_drawdown",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "annual_volatility",
    "alpha",
    "beta",
    "total_trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "exposure",
    "value_at_risk",
    "value_at_risk_95",
    "conditional_value_at_risk",
    "conditional_value_at_risk_95",
    "probabilistic_sharpe_ratio",
    "turnover",
    "final_equity",
)

# The metric columns of the index page.
INDEX_COLUMNS = (
    "total_return",
    "cagr",
    "sharpe_ratio",
    "max_drawdown",
    "annual_volatility",
    "total_trades",
)

# Units where only the name of a metric is known (rows of the index); else `summary` says them.
UNITS: Mapping[str, str] = {
    "total_return": "fraction",
    "cagr": "fraction",
    "cagr_calendar": "fraction",
    "max_drawdown": "fraction",
    "annual_volatility": "fraction",
    "annual_return": "fraction",
    "win_rate": "fraction",
    "exposure": "fraction",
    "value_at_risk": "fraction",
    "value_at_risk_95": "fraction",
    "conditional_value_at_risk": "fraction",
    "conditional_value_at_risk_95": "fraction",
    "alpha": "fraction",
    "annual_mean_return": "fraction",
    "average_bars_held": "bars",
    "average_loss": "money",
    "average_win": "money",
    "benchmark_total_return": "fraction",
    "best_return": "fraction",
    "break_even_cost": "fraction",
    "downside_deviation": "fraction",
    "expectancy": "money",
    "final_equity": "money",
    "gross_pnl": "money",
    "net_pnl": "money",
    "open_trades": "count",
    "positive_share": "fraction",
    "probabilistic_sharpe_ratio": "probability",
    "total_commission": "money",
    "total_slippage": "money",
    "total_trades": "count",
    "tracking_error": "fraction",
    "ulcer_index": "fraction",
    "worst_return": "fraction",
}

_LABELS = {
    "cagr": "CAGR",
    "cagr_calendar": "CAGR (calendar)",
    "sharpe_ratio": "Sharpe",
    "sortino_ratio": "Sortino",
    "calmar_ratio": "Calmar",
    "annual_volatility": "Volatility",
    "total_trades": "Trades",
    "value_at_risk": "VaR 95",
    "value_at_risk_95": "VaR 95",
    "conditional_value_at_risk": "CVaR 95",
    "conditional_value_at_risk_95": "CVaR 95",
    "probabilistic_sharpe_ratio": "PSR (SR>0)",
}

# Metrics whose sign is good or bad news, and is colored.
_SIGNED = {
    "total_return",
    "cagr",
    "cagr_calendar",
    "annual_return",
    "alpha",
    "expectancy",
    "max_drawdown",
}

NO_VALUE = "–"


def metric_label(name: str) -> str:
    """Return the heading of a metric: `total_return` is `Total return`."""
    return _LABELS.get(name) or name.replace("_", " ").capitalize()


def metric_tone(name: str, value: float | None) -> str:
    """Return the color class of a metric value: `pos`, `neg` or nothing."""
    if name not in _SIGNED or value is None or value == 0:
        return ""
    return "pos" if value > 0 else "neg"


def metric_text(value: float | None, unit: str) -> str:
    """Return a metric value with its unit; undefined values are a dash."""
    if value is None or not math.isfinite(value):
        return NO_VALUE if value is None or math.isnan(value) else ("∞" if value > 0 else "-∞")
    if unit in ("fraction", "percent"):
        percent = value * 100 if unit == "fraction" else value
        digits = 1 if abs(percent) >= 10 else 2
        return f"{round(percent, digits) + 0.0:,.{digits}f}%"
    if unit == "probability":
        return _probability_text(value)
    if unit in ("count", "bars", "days", "trades"):
        return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
    if unit in ("currency", "money", "cash"):
        return f"{value:,.{0 if abs(value) >= 10_000 else 2}f}"
    if value and abs(value) < 0.001:
        return f"{value:.2e}"
    return f"{value:,.{2 if abs(value) >= 0.1 else 3}f}"


def _probability_text(value: float) -> str:
    """Return a probability with a third digit near its ends, where two would round it to them."""
    if 0.01 <= value <= 0.99:
        return f"{value:.2f}"
    return "<0.001" if value < 0.0005 else ">0.999" if value > 0.9995 else f"{value:.3f}"


def percent_text(value: float | None) -> str:
    """Return a fraction in percent, one decimal, no % sign; a rounded zero has no minus."""
    return NO_VALUE if value is None else f"{round(value * 100, 1) + 0.0:,.1f}"


def plain_text(value: object) -> str:
    """Return a setting as text: nothing is `not recorded`, lists are joined."""
    if value is None or value == "":
        return "not recorded"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return params_text(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(plain_text(item) for item in value)
    return str(value)


def params_text(params: Mapping[str, Any]) -> str:
    """Return parameters as `fast=10, slow=50`, sorted by name; without any, `none`."""
    return ", ".join(f"{name}={plain_text(params[name])}" for name in sorted(params)) or "none"


def moment_text(moment_us: int, *, intraday: bool) -> str:
    """Return microseconds since 1970 as a UTC date, with the time of day for intraday data."""
    text = str(np.datetime_as_string(np.datetime64(moment_us, "us"), unit="s"))
    return text.replace("T", " ") if intraday else text[:10]


def day_text(moment_us: int) -> str:
    """Return the UTC date of microseconds since 1970."""
    return moment_text(moment_us, intraday=False)
