"""What a config says about one bundle: where prices come from and what they mean."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from backtrail.data.calendar_names import calendar_mistake
from backtrail.data.calendars import resampling_mistake, timeframe_minutes
from backtrail.data.csv_options import CSV_OPTIONS, PARQUET_OPTIONS, file_option_problems
from backtrail.data.network_options import (
    CCXT_OPTIONS,
    NETWORK_ADAPTERS,
    NETWORK_REQUIRED,
    YFINANCE_OPTIONS,
    network_option_problems,
)
from backtrail.errors import ConfigError, Problem

__all__ = [
    "ADAPTERS",
    "FILE_ADAPTERS",
    "REQUIRED_OPTIONS",
    "WAIVABLE_RULES",
    "BundleConfig",
    "Parent",
    "Waiver",
    "derivation_mistakes",
    "source_names",
]

WAIVABLE_RULES: Final[Mapping[str, str]] = {
    "contradicting_duplicate": "last row of the source kept",
    "impossible_ohlc": "kept as it stands",
    "missing_session": "left as it stands",
    "negative_volume": "row dropped",
    "non_finite": "row dropped",
    "non_positive_price": "row dropped",
    "null_price": "row dropped",
    "null_row": "row dropped",
    "null_symbol": "row dropped",
    "null_timestamp": "row dropped",
    "null_volume": "row dropped",
    "off_session_bar": "kept as it stands",
    "ragged_row": "row dropped",
    "split_not_in_prices": "split kept as it stands",
    "unparsable": "row dropped",
}
"""Rules that a config may waive, with what then happens to the rows."""

ADAPTERS: Final[Mapping[str, frozenset[str]]] = {
    "bundle": frozenset({"source"}),
    "ccxt": CCXT_OPTIONS,
    "csv": CSV_OPTIONS,
    "parquet": PARQUET_OPTIONS,
    "synthetic": frozenset({"end", "kind", "seed", "start", "symbols"}),
    "yfinance": YFINANCE_OPTIONS,
}
"""Known adapters, each with the keys its `options` may have."""

REQUIRED_OPTIONS: Final[Mapping[str, frozenset[str]]] = {
    **{name: frozenset(NETWORK_REQUIRED.get(name, ())) for name in ADAPTERS},
    "bundle": ADAPTERS["bundle"],
    "synthetic": ADAPTERS["synthetic"],
}
"""Keys that the `options` of each adapter must have."""

FILE_ADAPTERS: Final = ("csv", "parquet")
"""Adapters that read files below `path`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Waiver:
    """A validation rule that some rows of a bundle may break, and why.

    Attributes:
        rule: One of `WAIVABLE_RULES`.
        reason: Why the rows are accepted; recorded in the manifest, never empty.
        symbols: Symbols it holds for; empty means all.
        dates: UTC dates of the bars it holds for; empty means all.

    Raises:
        ConfigError: If the rule cannot be waived, or no reason is given.
    """

    rule: str
    reason: str
    symbols: tuple[str, ...] = ()
    dates: tuple[date, ...] = ()

    def __post_init__(self) -> None:
        problems = []
        if self.rule not in WAIVABLE_RULES:
            known = ", ".join(sorted(WAIVABLE_RULES))
            problems.append(
                Problem("waiver", f"unknown rule {self.rule!r}", f"rules to waive: {known}")
            )
        if not isinstance(self.reason, str) or not self.reason.strip():
            remedy = "add `reason:` with why these rows are accepted"
            problems.append(Problem(f"waiver {self.rule}", "no reason", remedy))
        if problems:
            raise ConfigError(problems)

    def to_mapping(self) -> dict[str, Any]:
        """Return the waiver as plain values for a manifest or a checksum."""
        return {
            "rule": self.rule,
            "reason": self.reason,
            "symbols": sorted(self.symbols),
            "dates": sorted(day.isoformat() for day in self.dates),
        }


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """A named source of prices.

    Attributes:
        name: The bundle's name; also its folder below `bundles/`.
        adapter: One of `ADAPTERS`.
        calendar: `XNYS`, `24/5`, `24/7`, or a calendar of `exchange_calendars`.
        timeframe: Length of a bar: `1d`, `1m`, `5m`, `1h`, `1w`.
        path: File or folder of the source, relative to the project root or absolute.
        options: Keys of the adapter's own; see the adapter.
        waivers: Rules that rows may break, each with a reason.
        gaps: `allow` counts sessions without a bar and bars in no session; `fail` refuses them,
            but for those with a waiver.
        resample_from: Timeframe of the source, when bars of `timeframe` are made of shorter ones.
        universe: File that says which symbols were in the universe when, relative to the project
            root or absolute; see `backtrail.data.membership`.
        parents: The bundles whose datasets this one's is made of, for the adapter `bundle`: one,
            whose bars may be joined to longer ones, or several, whose symbols it has.

    Raises:
        ConfigError: If something cannot be meant as written; every mistake is named.
    """

    name: str
    adapter: str
    calendar: str
    timeframe: str
    path: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    gaps: str = "allow"
    resample_from: str | None = None
    universe: str | None = None
    parents: "tuple[Parent, ...]" = ()

    def __post_init__(self) -> None:
        where = f"bundles.{self.name}"
        problems = []
        if not _NAME.fullmatch(self.name):
            remedy = "use letters, digits, `.`, `_`, `-`, beginning with a letter or digit"
            problems.append(Problem(where, f"the name {self.name!r} is no folder name", remedy))
        if self.adapter not in ADAPTERS:
            known = ", ".join(sorted(ADAPTERS))
            problems.append(
                Problem(f"{where}.adapter", repr(self.adapter), f"known adapters: {known}")
            )
        else:
            problems += _unknown_keys(where, self.options, ADAPTERS[self.adapter])
        mistake = calendar_mistake(self.calendar)
        if mistake is not None:
            problems.append(Problem(f"{where}.calendar", repr(self.calendar), mistake))
        if self.universe is not None and (not self.universe or type(self.universe) is not str):
            remedy = "name a CSV file with the columns symbol, from, to"
            problems.append(Problem(f"{where}.universe", repr(self.universe), remedy))
        if self.gaps not in ("allow", "fail"):
            problems.append(Problem(f"{where}.gaps", repr(self.gaps), "write allow or fail"))
        if self.resample_from is not None:
            mistake = resampling_mistake(self.resample_from, self.timeframe)
            if mistake is not None:
                at = f"{where}.resample_from"
                problems.append(Problem(at, repr(self.resample_from), mistake))
        if timeframe_minutes(self.timeframe) is None:
            remedy = "write a number and m, h, d or w, such as 1m, 5m, 1h, 1d"
            problems.append(Problem(f"{where}.timeframe", repr(self.timeframe), remedy))
        if self.adapter in FILE_ADAPTERS:
            if not self.path or not isinstance(self.path, str):
                remedy = f"name the {self.adapter} file or folder"
                problems.append(Problem(f"{where}.path", repr(self.path), remedy))
            problems += file_option_problems(where, self.options)
        if self.adapter in NETWORK_ADAPTERS:
            problems += network_option_problems(where, self.adapter, self.timeframe, self.options)
        if self.adapter == "bundle":
            problems += self._parent_problems(where)
        if problems:
            raise ConfigError(problems)

    def _parent_problems(self, where: str) -> list[Problem]:
        known = {parent.bundle.name: parent.bundle for parent in self.parents}
        unknown = [name for name in source_names(self.options) if name not in known]
        if unknown or not known:
            remedy = "name a bundle of the config"
            found = f"there is no bundle {', '.join(map(repr, unknown))}".removesuffix(" ")
            return [Problem(f"{where}.source", found, remedy)]
        given = {
            "source": self.options["source"],
            "calendar": self.calendar,
            "timeframe": self.timeframe,
            "resample_from": self.resample_from,
            "gaps": self.gaps,
            "waivers": list(self.waivers),
        }
        made_of = {
            name: {"calendar": bundle.calendar, "timeframe": bundle.timeframe}
            for name, bundle in known.items()
        }
        return [
            Problem(f"{where}.{key}", found, remedy)
            for key, found, remedy in derivation_mistakes(given, made_of)
        ]

    @property
    def as_source(self) -> "BundleConfig":
        """The bundle with the bars that its source has."""
        if self.resample_from is None:
            return self
        return replace(self, timeframe=self.resample_from, resample_from=None)


@dataclass(frozen=True, slots=True)
class Parent:
    """A bundle that another one is made of.

    Attributes:
        bundle: The bundle.
        dataset_id: Which dataset of it; None for the one its name means.
    """

    bundle: BundleConfig
    dataset_id: str | None = None


def source_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the bundles that a bundle of adapter `bundle` names as its source."""
    source = values.get("source", ())
    return (source,) if isinstance(source, str) else tuple(map(str, source))


def derivation_mistakes(
    values: Mapping[str, Any], parents: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, str]]:
    """Yield what hinders a bundle from being made of others: key, what stands there, remedy.

    Args:
        values: Keys of the bundle.
        parents: Keys of those that it names, by name.
    """
    names = source_names(values)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield "source", f"{name!r} stands there twice", "name each bundle once"
    for name, parent in parents.items():
        if len(names) > 1:
            is_other = parent["timeframe"] != values["timeframe"]
            mistake = (
                f"write {parent['timeframe']}; longer bars are made of the joined bundle by another"
                if is_other
                else None
            )
        else:
            mistake = resampling_mistake(parent["timeframe"], values["timeframe"])
        if mistake is not None:
            found = f"{values['timeframe']} of {parent['timeframe']} bars of {name!r}"
            yield "timeframe", found, mistake
        if values["calendar"] != parent["calendar"]:
            found = f"{values['calendar']!r}, where {name!r} has {parent['calendar']!r}"
            yield "calendar", found, f"write {parent['calendar']}"
    for key in ("gaps", "resample_from", "waivers"):
        if values.get(key) not in (None, [], "allow"):
            at = " and ".join(map(repr, parents))
            yield key, "is of no use here", f"drop it, or write it at {at}"


def _unknown_keys(where: str, found: Mapping[str, Any], known: frozenset[str]) -> list[Problem]:
    problems = []
    for key in sorted(set(found) - known, key=str):
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        listed = ", ".join(sorted(known))
        problems.append(Problem(f"{where}.{key}", "unknown key", f"{hint}known keys: {listed}"))
    return problems
