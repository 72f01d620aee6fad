"""What a search run looks for: its space, objective, constraints, and the bars it may see.

Everything stands in the run's identity. The module needs neither NumPy nor Numba, because configs
are checked and jobs are planned with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final

from backtrail.canonical import derive_seed
from backtrail.optimization.conditions import Condition
from backtrail.optimization.parameters import ParameterDefinition, ParameterSet

__all__ = [
    "SWEEP_METRICS",
    "TIE_RULE",
    "Search",
    "backtest_identity",
    "executed_identity",
    "in_sample_end",
    "in_sample_identity",
]

SWEEP_METRICS: Final = (
    "total_return",
    "cagr",
    "annual_volatility",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "total_trades",
    "win_rate",
    "profit_factor",
)
TIE_RULE: Final = "of equal values the set that comes first in the space"


@dataclass(frozen=True)
class Search:
    """A search of a parameter space.

    Attributes:
        space: What is searched; its fixed parameters are those of the run.
        method: `grid` takes every combination, `random` and `sobol` a sample.
        samples: How many sets a sample has; None for a grid.
        objective: The metric to maximize, or weights of several.
        constraints: Conditions on metrics that a set must meet to be selected.
        select: `best`, or `plateau` for the best mean of a set with its neighbors.
        seed: Decides a sample.
    """

    space: ParameterSet
    method: str
    samples: int | None
    objective: str | Mapping[str, float]
    constraints: tuple[str, ...]
    select: str
    seed: int

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Search":
        """Return the search of a run spec.

        Args:
            spec: The spec of a run whose identity has `search`.
        """
        identity = spec["identity"]
        values = identity["search"]
        definitions = tuple(
            ParameterDefinition.of(item["name"], item["values"]) for item in values["space"]
        )
        where = () if values["where"] is None else (values["where"],)
        objective = values["objective"]
        return cls(
            ParameterSet(definitions, where, dict(identity["params"])),
            values["method"],
            values["samples"],
            objective if isinstance(objective, str) else dict(sorted(objective.items())),
            tuple(values["constraints"]),
            values["select"],
            derive_seed(identity["seed"], spec["run_key"], "search"),
        )

    @property
    def draws(self) -> int:
        """Number of places: combinations of a grid before its condition, or sets of a sample."""
        return self.space.size if self.samples is None else min(self.samples, self.space.size)

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The constraints, ready to be asked."""
        return tuple(Condition(text) for text in self.constraints)

    @property
    def objective_words(self) -> str:
        """What is maximized, in words."""
        if isinstance(self.objective, str):
            return f"{self.objective}, the greater the better"
        terms = " + ".join(f"{weight:g} x {name}" for name, weight in self.objective.items())
        return (
            f"{terms}, each metric less its mean and over its standard deviation among the sets "
            "that meet the constraints, the greater the better"
        )


def in_sample_end(identity: Mapping[str, Any]) -> str:
    """Return the last date that a search run may see: the day before its holdout, or its end.

    Args:
        identity: Of the run spec.
    """
    holdout = identity.get("validate", {}).get("holdout")
    if holdout is None:
        return str(identity["end"])
    return (date.fromisoformat(str(holdout["start"])) - timedelta(days=1)).isoformat()


def in_sample_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return an identity that ends before its holdout, for whatever reads bars."""
    return {**identity, "end": in_sample_end(identity)}


def backtest_identity(identity: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the backtest of a search run executes: one parameter set, before the holdout.

    Args:
        identity: Of the search run.
        params: Every parameter of the selected set.
    """
    kept = {name: value for name, value in identity.items() if name not in ("search", "validate")}
    return {**kept, "end": in_sample_end(identity), "params": dict(params)}


def executed_identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity by which a run's results are to be read.

    That of a plain run is its own. Of a search it has the parameters that were selected, and both
    end before the holdout.

    Args:
        record: A manifest; or a run spec, which knows no selection.
    """
    identity = dict(record["identity"])
    if "search" not in identity:
        return identity
    selected = record.get("selection") or identity
    return backtest_identity(identity, selected["params"])
