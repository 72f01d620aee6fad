"""What a run was and did, as JSON for other programs: its configuration, its data, its trades.

The schemas of these files lie in `workflow/schemas`. Exact numbers are text, as in the identity.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

__all__ = ["market_data", "strategy_config", "trade_list"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SETTINGS: Final = (
    "symbols",
    "start",
    "end",
    "params",
    "capital_base",
    "benchmark",
    "engine",
    "ledger",
    "execution",
    "commission",
    "slippage",
    "seed",
)


def strategy_config(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of `strategy-config.json`: strategy, parameters and settings of a run.

    Args:
        identity: Of the run spec.
    """
    return {
        "strategy": dict(identity["strategy"]),
        **{name: identity[name] for name in _SETTINGS},
        "margin": identity.get("margin", {}),
        "instruments": identity.get("instruments", {}),
        **{name: identity[name] for name in ("risk_free_rate",) if name in identity},
    }


def market_data(identity: Mapping[str, Any], timestamps: Sequence[int]) -> dict[str, Any]:
    """Return the content of `market-data.json`: which prices a run saw; it holds none itself.

    Args:
        identity: Of the run spec.
        timestamps: Of the run's bars, microseconds UTC.
    """
    return {
        **identity["dataset"],
        "symbols": list(identity["symbols"]),
        "start": identity["start"],
        "end": identity["end"],
        "bars": len(timestamps),
        "first_bar_at": _moment(timestamps[0]),
        "last_bar_at": _moment(timestamps[-1]),
    }


def trade_list(trades: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return the content of `trades.json`: the rows of the table, moments and money as text."""
    names = list(trades)
    return [
        {name: _plain(name, value) for name, value in zip(names, row, strict=True)}
        for row in zip(*trades.values(), strict=True)
    ]


def _plain(name: str, value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if name.endswith("_at"):
        return _moment(value)
    return value if isinstance(value, (int, float)) else f"{value.normalize():f}"


def _moment(microseconds: int) -> str:
    moment = _EPOCH + timedelta(microseconds=int(microseconds))
    return moment.isoformat().replace("+00:00", "Z")
