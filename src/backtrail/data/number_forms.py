"""Numbers as people write them: decimal comma, groups of thousands, currency signs, K and M.

Where a cell such as `1,234` could be two numbers, the other cells decide; where none does, nothing
is guessed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from backtrail.errors import DatasetError

__all__ = ["NULL_VALUES", "NumberForm", "detect_numbers", "is_plain", "parse_number", "shows_point"]

NULL_VALUES: Final = ("null", "NULL", "Null", "NA", "N/A", "n/a", "#N/A", "None", "-")
"""Cells that mean no value, besides the empty one, where the option does not say."""

_PLAIN: Final = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_SIGNS: Final = "$€£¥₹"
_GROUPS: Final = ",.'’ \u00a0\u202f"
_SUFFIXES: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_WORDS: Final = r"(?i)^[-+]?(nan|inf|infinity)$"

# What a cell without sign, currency and suffix proves about the decimal point, for either one.
_PROOFS: Final = {
    ".": r"\.(\d{0,2}|\d{4,})$|^0?\.\d{3}$|,.*\.|,\d{3},",
    ",": r",(\d{0,2}|\d{4,})$|^0?,\d{3}$|\..*,|\.\d{3}\.",
}
_COULD_BE_TWO: Final = r"^[1-9]\d{0,2},\d{3}$"
_SHOWS_POINT: Final = re.compile(r"^[-+]?(\d*\.(\d{0,2}|\d{4,})|0?\.\d{3})([eE][-+]?\d+)?$")
_VOLUME_LIKE: Final = ("volume", "dividend", "split")


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How the numbers of one file are written.

    Attributes:
        decimal: `.` or `,`.
        thousands: Characters between groups of three digits, in one text; empty for none.
        cleaned: What else was taken off: `currency`, `suffix`.
    """

    decimal: str = "."
    thousands: str = ""
    cleaned: tuple[str, ...] = ()


def is_plain(cells: Iterable[str], null_values: Sequence[str]) -> bool:
    """Say whether cells are numbers such as `1.5`, which a CSV reader parses by itself."""
    known = [cell for cell in cells if cell.strip() and cell.strip() not in null_values]
    return all(_PLAIN.fullmatch(cell) for cell in known)


def shows_point(cells: Iterable[str]) -> bool:
    """Say whether a cell proves that the dot is the decimal point: `1.5` does, `1.500` does not."""
    return any(_SHOWS_POINT.search(cell.strip()) for cell in cells)


def detect_numbers(
    label: str,
    lazy: pl.LazyFrame,
    columns: Sequence[str],
    *,
    decimal: str | None,
    thousands: str | None,
    delimiter: str,
    remedy: str = "give `decimal`, '.' or ','",
) -> NumberForm:
    """Return how the numbers of a file are written, from all of them.

    Args:
        label: Name of the file in messages.
        lazy: Its cells as text without surrounding space, null where there is no value.
        columns: Names of the columns with numbers.
        decimal: The option; None to look.
        thousands: The option; None to look.
        delimiter: Between cells; with a semicolon, or beside prices such as `999`, `1.234` may well
            be a thousand.
        remedy: What would do where the decimal point cannot be known.

    Raises:
        DatasetError: If the decimal point cannot be known, or cells show the one as often as the
            other.
    """
    found = _evidence(lazy, columns)
    point = decimal or _decimal(label, found, remedy, unclear=delimiter == ";" or found["whole"])
    if thousands is None:
        thousands = "".join(mark for mark in _GROUPS if mark != point and found[f"in {mark}"])
    return NumberForm(point, thousands, tuple(n for n in ("currency", "suffix") if found[n]))


def _evidence(lazy: pl.LazyFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Return what all cells together show: counts of proofs, unclear cells, groups, signs."""
    cells = lazy.select(pl.concat_list([pl.col(name) for name in columns]).explode().alias("cell"))
    cell, core = pl.col("cell"), _core(pl.col("cell"))
    dotted = cell.str.contains(r"^[-+]?[1-9]\d{0,2}\.\d{3}$")
    found = cells.select(
        *(core.str.contains(proof).sum().alias(name) for name, proof in _PROOFS.items()),
        cell.filter(core.str.contains(_COULD_BE_TWO)).first().alias("comma"),
        cell.filter(dotted).first().alias("dot"),
        *(
            core.str.contains(rf"\d{re.escape(mark)}\d{{3}}(\D|$)").any().alias(f"in {mark}")
            for mark in _GROUPS
        ),
        cell.str.contains(f"[{_SIGNS}]").any().alias("currency"),
        cell.str.contains(r"(?i)\d\s*[kmbt]$").any().alias("suffix"),
    ).collect(engine="streaming")
    prices = [pl.col(name) for name in columns if name not in _VOLUME_LIKE]
    whole = [price.str.contains(r"^[-+]?\d+$").any() for price in prices]
    any_whole = lazy.select(pl.any_horizontal(pl.lit(False), *whole)).collect(engine="streaming")
    return {**found.row(0, named=True), "whole": any_whole.item()}


def _decimal(label: str, found: Mapping[str, Any], remedy: str, *, unclear: bool) -> str:
    if found["."] or found[","]:
        if found["."] == found[","]:
            raise DatasetError(f"{label}: numbers mix decimal points and decimal commas; {remedy}")
        return "." if found["."] > found[","] else ","  # the few others are reported as unread
    cell = found["comma"] or (found["dot"] if unclear else None)
    if cell is not None:
        raise DatasetError(
            f"{label}: {cell!r} could have three decimals or be a thousand, and no other number "
            f"tells which; {remedy}"
        )
    return "."


def parse_number(text: pl.Expr, form: NumberForm) -> pl.Expr:
    """Return an expression from text to float; null where it is no number of this form.

    Args:
        text: Cells without surrounding space.
        form: How they are written.
    """
    core = _core(text)
    point = re.escape(form.decimal)
    whole = r"\d+"
    if form.thousands:
        marks = f"[{re.escape(form.thousands)}]"
        whole += rf"|\d{{1,3}}({marks}\d{{3}})+"
    sound = rf"^[-+]?({whole})?({point}\d*)?([eE][-+]?\d+)?$"
    digits = core
    if form.thousands:
        digits = digits.str.replace_all(marks, "")
    if form.decimal != ".":
        digits = digits.str.replace(form.decimal, ".", literal=True)
    value = digits.cast(pl.Float64, strict=False)
    if "suffix" in form.cleaned:
        letter = text.str.extract(r"\d\s*([kmbtKMBT])$").str.to_uppercase()
        factor = letter.replace_strict(_SUFFIXES, default=1.0, return_dtype=pl.Float64)
        value = pl.when(letter.is_null()).then(value).otherwise((value * factor).round(3))
    words = text.str.contains(_WORDS)
    return (
        pl.when(words)
        .then(text.cast(pl.Float64, strict=False))
        .when(core.str.contains(sound))
        .then(value)
    )


def _core(text: pl.Expr) -> pl.Expr:
    core = text.str.replace(rf"^([-+]?)[{_SIGNS}]\s*", "${1}").str.replace(rf"\s*[{_SIGNS}]$", "")
    return core.str.replace(r"(\d)\s*[kmbtKMBT]$", "${1}")
