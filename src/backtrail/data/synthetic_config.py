"""Options of the synthetic adapter; light, because listing symbols must not import Polars."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from backtrail.errors import ConfigError, Problem

__all__ = ["SyntheticConfig"]

_TIMEFRAMES: Final = {"daily_universe": "1d", "minute_bars": "1m"}
_FEWEST: Final = {"daily_universe": 2, "minute_bars": 1}


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """What to compute.

    Attributes:
        kind: `daily_universe` or `minute_bars`.
        symbols: How many.
        start: First date.
        end: Last date, included.
        seed: Seed of all noise.
    """

    kind: str
    symbols: int
    start: date
    end: date
    seed: int

    @classmethod
    def from_options(
        cls, bundle: str, timeframe: str, options: Mapping[str, Any]
    ) -> "SyntheticConfig":
        """Return the checked options of a bundle.

        Raises:
            ConfigError: If an option is missing or refused; all mistakes are named.
        """
        where = f"bundles.{bundle}"
        problems = [
            Problem(f"{where}.{key}", "missing", f"add `{key}:`")
            for key in ("kind", "symbols", "start", "end", "seed")
            if key not in options
        ]
        if problems:
            raise ConfigError(problems)
        kind, symbols, seed = options["kind"], options["symbols"], options["seed"]
        start, end = _date(options["start"]), _date(options["end"])
        if kind not in _TIMEFRAMES:
            known = ", ".join(_TIMEFRAMES)
            problems.append(Problem(f"{where}.kind", repr(kind), f"known kinds: {known}"))
        elif _TIMEFRAMES[kind] != timeframe:
            found = f"{kind} in a bundle of timeframe {timeframe}"
            problems.append(Problem(f"{where}.kind", found, f"write timeframe {_TIMEFRAMES[kind]}"))
        fewest = _FEWEST.get(str(kind), 1)
        if not _is_int(symbols) or not fewest <= symbols <= 9999:
            problems.append(
                Problem(f"{where}.symbols", repr(symbols), f"write a number from {fewest} to 9999")
            )
        if not _is_int(seed):
            problems.append(Problem(f"{where}.seed", repr(seed), "write an integer"))
        for key, day in (("start", start), ("end", end)):
            if day is None:
                problems.append(
                    Problem(f"{where}.{key}", repr(options[key]), "write dates as YYYY-MM-DD")
                )
        if start is None or end is None or problems:
            raise ConfigError(problems)
        if start > end:
            raise ConfigError([Problem(f"{where}.start", f"{start} is after {end}", "swap them")])
        return cls(str(kind), int(symbols), start, end, int(seed))

    @property
    def symbol_names(self) -> tuple[str, ...]:
        """Names of all symbols, in order."""
        if self.kind == "minute_bars":
            width = len(str(self.symbols))
            return tuple(f"SYNM{index:0{width}d}" for index in range(1, self.symbols + 1))
        width = max(2, len(str(self.symbols)))
        return tuple(f"SYN{index:0{width}d}" for index in range(1, self.symbols + 1))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _date(value: object) -> date | None:
    if type(value) is date:
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return None
