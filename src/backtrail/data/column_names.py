"""Which column of a CSV file is which: by its name, or by a layout known to have no header.

Light: a Snakefile that is parsed asks whether a file has a symbol column.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from backtrail.errors import ConfigError, DatasetError, Problem

__all__ = ["ColumnMap", "count_known", "known_layout", "map_columns", "plain_name"]

REQUIRED: Final = ("timestamp", "open", "high", "low", "close", "volume")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names of the first set come before those of the second: a `close` beside a `last` is the close.
_SYNONYMS: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "symbol": (_names("symbol ticker act_symbol instrument"), _names("name")),
    "timestamp": (
        _names(
            "date datetime date_time time timestamp timestamp_utc time_utc date_utc datetime_utc "
            "gmt_time time_gmt open_time opentime window_start begins_at datum t"
        ),
        _names("unix"),
    ),
    "open": (_names("open o open_price openprice erster eröffnung"),),
    "high": (_names("high h high_price highprice hoch"),),
    "low": (_names("low l low_price lowprice tief"),),
    "close": (
        _names("close c close_price closeprice schluss schlusskurs"),
        _names("last price close_last"),
    ),
    "volume": (_names("volume vol v volumen stücke"), _names("tick_volume tickvol tickvolume")),
    "dividend": (_names("dividend dividends dividend_amount divcash div_cash ex_dividend"),),
    "split": (
        _names("split splits stock_splits splitfactor split_factor split_coefficient split_ratio"),
    ),
}
_DATE_NAMES: Final = frozenset({"date", "datum"})
_TIME_NAMES: Final = frozenset({"time", "zeit", "uhrzeit", "time_of_day", "time_utc", "time_gmt"})
_EPOCH: Final = re.compile(r"\d{13}|\d{16}")
_DOTTED_DATE: Final = re.compile(r"\d{4}\.\d{2}\.\d{2}")
_MINUTE: Final = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_HISTDATA: Final = re.compile(r"\d{8} \d{6}")
_NUMBER: Final = re.compile(r"\d+([.,]\d+)?")


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Where the canonical columns stand in the lines of one file.

    Attributes:
        positions: Canonical name to position from 0.
        names: Canonical name to the header's name, or `column 3` where there is no header; None
            for a volume that the source does not have.
        ignored: Names of the other columns, such as `Adj Close`.
        width: Cells of a line.
        layout: Name of a known layout without a header; empty otherwise.
    """

    positions: Mapping[str, int]
    names: Mapping[str, str | None]
    ignored: tuple[str, ...]
    width: int
    layout: str = ""

    def without(self, name: str) -> "ColumnMap":
        """Return the map with one column ignored."""
        return replace(
            self,
            positions={key: at for key, at in self.positions.items() if key != name},
            names={key: text for key, text in self.names.items() if key != name},
            ignored=(*self.ignored, str(self.names[name])),
        )


def plain_name(name: str) -> str:
    """Return a column's name without case, brackets, numbering and punctuation."""
    text = re.sub(r"^\s*\d+\.\s+", "", name).strip().lower()
    return re.sub(r"[\s_\-./()<>\[\]]+", "_", text).strip("_")


def count_known(cells: Sequence[str], given: Mapping[str, str | int | None]) -> int:
    """Return how many cells are names of columns."""
    stated = {value for value in given.values() if isinstance(value, str)}
    known = {name for tiers in _SYNONYMS.values() for tier in tiers for name in tier}
    return sum(cell in stated or plain_name(cell) in known | _TIME_NAMES for cell in cells)


def map_columns(
    where: str,
    label: str,
    cells: Sequence[str],
    given: Mapping[str, str | int | None],
    *,
    header: bool = True,
) -> ColumnMap:
    """Return where the canonical columns are.

    Args:
        where: Key of the option in messages, such as `bundles.prices.columns`.
        label: Name of the file in messages.
        cells: The header; or the first row of a file without one.
        given: What the option `columns` says.
        header: Whether `cells` are names.

    Raises:
        ConfigError: If the option names what the file has not.
        DatasetError: If a needed column is missing, or two could be meant.
    """
    names = [cell.strip() for cell in cells] if header else _numbered(len(cells))
    positions = _given_positions(where, label, names, given, header=header)
    no_volume = "volume" in given and given["volume"] is None
    if header:
        taken = set(positions.values())
        for name, tiers in _SYNONYMS.items():
            if name in positions or (name == "volume" and no_volume):
                continue
            if name == "timestamp":
                positions |= _timestamp(label, names, taken, stated="time" in positions)
                continue
            for tier in tiers:
                found = [
                    at
                    for at, text in enumerate(names)
                    if at not in taken and plain_name(text) in tier
                ]
                if found:
                    positions[name] = _only(label, name, names, found)
                    break
    missing = [item for item in REQUIRED if item not in positions]
    if no_volume and "volume" in missing:
        missing.remove("volume")
    if missing:
        raise DatasetError(_missing(label, missing, names if header else list(cells), header))
    columns: dict[str, str | None] = {name: names[at] for name, at in positions.items()}
    if no_volume:
        columns["volume"] = None
    used = set(positions.values())
    ignored = tuple(text for at, text in enumerate(names) if at not in used and text)
    return ColumnMap(positions, dict(sorted(columns.items())), ignored, len(names))


def known_layout(cells: Sequence[str]) -> ColumnMap | None:
    """Return the columns of a file without header that is written in a well-known layout."""
    numbers = all(_NUMBER.fullmatch(cell) for cell in cells[1:])
    if (
        len(cells) == 12
        and numbers
        and _EPOCH.fullmatch(cells[0])
        and _EPOCH.fullmatch(cells[6])
        and cells[0] < cells[6]
    ):
        return _in_order("Binance klines", len(cells), REQUIRED)
    if (
        len(cells) == 7
        and _DOTTED_DATE.fullmatch(cells[0])
        and _MINUTE.fullmatch(cells[1])
        and all(_NUMBER.fullmatch(cell) for cell in cells[2:])
    ):
        return _in_order("MetaTrader 4", 7, ("timestamp", "time", *REQUIRED[1:]))
    if len(cells) == 6 and _HISTDATA.fullmatch(cells[0]) and numbers:
        return _in_order("HistData", 6, REQUIRED)
    return None


def _in_order(layout: str, width: int, order: Sequence[str]) -> ColumnMap:
    numbered = _numbered(width)
    return ColumnMap(
        positions={name: at for at, name in enumerate(order)},
        names={name: numbered[at] for at, name in sorted(enumerate(order), key=lambda x: x[1])},
        ignored=tuple(numbered[len(order) :]),
        width=width,
        layout=layout,
    )


def _numbered(width: int) -> list[str]:
    return [f"column {at}" for at in range(1, width + 1)]


def _given_positions(
    where: str,
    label: str,
    names: Sequence[str],
    given: Mapping[str, str | int | None],
    *,
    header: bool,
) -> dict[str, int]:
    positions, problems = {}, []
    for name, value in given.items():
        if value is None:
            continue
        if isinstance(value, int):
            if value <= len(names):
                positions[name] = value - 1
                continue
            found = f"{label} has {len(names)} columns, no column {value}"
            remedy = "count from 1"
        elif names.count(value) == 1 and header:
            positions[name] = names.index(value)
            continue
        elif names.count(value) > 1:
            found = f"{label} has {names.count(value)} columns {value!r}"
            remedy = "give the position from 1"
        elif not header:
            found, remedy = f"{value!r}: {label} has no header", "give the position from 1"
        else:
            near = difflib.get_close_matches(value, names, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            found = f"{value!r} is not in the header of {label}"
            remedy = f"{hint}it has: {', '.join(names)[:500]}"
        problems.append(Problem(f"{where}.{name}", found, remedy))
    if problems:
        raise ConfigError(problems)
    return positions


def _timestamp(
    label: str, names: Sequence[str], taken: set[int], *, stated: bool
) -> dict[str, int]:
    plain = [plain_name(text) for text in names]
    for tier in _SYNONYMS["timestamp"]:
        found = [at for at, text in enumerate(plain) if text in tier and at not in taken]
        if len(found) == 2 and not stated:
            dates = [at for at in found if plain[at] in _DATE_NAMES]
            times = [at for at in found if plain[at] in _TIME_NAMES]
            if len(dates) == len(times) == 1:
                return {"timestamp": dates[0], "time": times[0]}
        if found:
            return {"timestamp": _only(label, "timestamp", names, found)}
    if names and not names[0] and 0 not in taken:
        return {"timestamp": 0}  # the index of a data frame has no name
    return {}


def _only(label: str, name: str, names: Sequence[str], found: Sequence[int]) -> int:
    if len(found) == 1:
        return found[0]
    texts = [names[at] for at in found]
    if len(set(texts)) == 1:
        raise DatasetError(
            f"{label}: the header {list(names)} names a column twice: {texts[0]}; "
            f"give its position in `columns`, such as {{{name}: {found[0] + 1}}}"
        )
    raise DatasetError(
        f"{label}: {' and '.join(texts)} could both be the {name}; "
        f"name one in `columns`, such as {{{name}: {texts[0]}}}"
    )


def _missing(label: str, missing: Sequence[str], cells: Sequence[str], header: bool) -> str:
    shown = str(list(cells))[:300]
    if header:
        return (
            f"{label}: no column for {', '.join(missing)} in the header {shown}; "
            "name them in `columns`"
        )
    return (
        f"{label} has no header (its first row is {shown}) and no layout known here; give "
        "the positions in `columns`, such as {timestamp: 1, open: 2, high: 3, low: 4, "
        f"close: 5, volume: 6}}; missing: {', '.join(missing)}"
    )
