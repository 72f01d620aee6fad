"""Costs, margin and instruments of a config: what fits together, and exact numbers of it."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

__all__ = ["exact_settings", "multiples_problems", "setting_problems"]

# The values of each model: those it needs, and those it may have with what stands in for them.
_MODELS: Final[Mapping[str, Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]]]] = {
    "commission": {
        "none": ((), {}),
        "per_dollar": (("cost",), {}),
        "per_share": (("cost",), {"min_trade_cost": None}),
        "per_trade": (("cost",), {}),
    },
    "slippage": {
        "none": ((), {}),
        "fixed": (("spread",), {}),
        "fixed_bps": (("basis_points",), {"volume_limit": None}),
        "volume_share": ((), {"volume_limit": 0.025, "price_impact": 0.1}),
    },
}


def setting_problems(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield key, finding and remedy of settings that do not fit together.

    Args:
        values: The settings of a run; each of them fits the schema.
    """
    for key, models in _MODELS.items():
        model = values[key]["model"]
        needed, allowed = models[model]
        for name, value in values[key].items():
            if name != "model" and name not in (*needed, *allowed) and value:
                found = f"model {model} has the {name} {value}"
                yield key, found, f"name a model or drop the {name}"
    margin = values["margin"] or {}
    if margin.get("maintenance", 0) > margin.get("initial", float("inf")):
        found = f"maintenance {margin['maintenance']} is above initial {margin['initial']}"
        yield "margin", found, "make it smaller"
    for symbol, own in values["instruments"].items():
        lot = _exact(own.get("lot", 1))
        if values["shares"] == "whole" and lot % 1:
            found = f"{symbol} has the lot {lot}, and shares are whole"
            yield "instruments", found, "make it a whole number, or shares: fractional"
        elif lot % Decimal("1e-9"):
            found = f"{symbol} has the lot {lot}"
            yield "instruments", found, "make it a multiple of 1e-9"


def multiples_problems(
    grid: Mapping[str, Any], costs: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    """Yield key, finding and remedy of a grid of multiples of costs that a run has not.

    Args:
        grid: `validate.costs` with its defaults.
        costs: Commission and slippage of a run, as `exact_settings` gives them.
    """
    if grid["unit"] != "multiples":
        return
    # Neither a model nor a limit of volume is a cost.
    lacking = [
        name
        for name, model in costs.items()
        if not any(value for key, value in model.items() if key not in ("model", "volume_limit"))
    ]
    for name in lacking:
        if len(grid[name]) > 1 or len(lacking) == len(costs):
            found = f"multiples are asked for, and the run has no {name}"
            yield name, found, "give it one, name a single level, or use unit: basis_points"


def exact_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return commission, slippage, margin and instruments as exact numbers.

    Equal settings give equal values, whatever was left to its default.
    """
    costs = {}
    for key, models in _MODELS.items():
        given = values[key]
        needed, allowed = models[given["model"]]
        names = [*needed, *allowed]
        found = {name: given.get(name, allowed.get(name)) for name in names}
        exact = {name: _exact(value) for name, value in found.items() if value is not None}
        costs[key] = {"model": given["model"], **exact}
    costs["commission"].setdefault("cost", Decimal(0))
    if not costs["commission"].get("min_trade_cost", True):
        del costs["commission"]["min_trade_cost"]
    return {
        **costs,
        "margin": {name: _exact(value) for name, value in (values["margin"] or {}).items()},
        "instruments": {
            symbol: {name: _exact(value) for name, value in own.items()}
            for symbol, own in values["instruments"].items()
        },
    }


def _exact(value: Any) -> Decimal:
    return Decimal(str(value))
