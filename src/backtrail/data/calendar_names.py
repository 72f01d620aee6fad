"""Names of trading calendars: which come with this package, and which with `exchange_calendars`.

The list saves every Snakefile from importing that library, which takes two seconds. A name that a
later version of the library may have is asked of the library itself.
"""

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

__all__ = [
    "ALIASES",
    "CALENDARS_EXTRA",
    "LIBRARY_CALENDARS",
    "SHIPPED_CALENDARS",
    "calendar_mistake",
]

_LIBRARY: Final = """
AIXK ASEX BVMF CMES IEPA XAMS XASX XBDA XBEL XBKK XBOG XBOM XBRA XBRU XBSE XBUD XBUE XCBF XCSE
XCYS XDUB XDUS XEEE XETR XEUR XFRA XHAM XHEL XHKG XICE XIDX XIST XJSE XKAR XKLS XKRX XLIM XLIS
XLIT XLJU XLON XLUX XMAD XMEX XMIL XMOS XNZE XOSL XPAR XPHS XPRA XRIS XSAU XSES XSGO XSHG XSTO
XSTU XSWX XTAE XTAI XTAL XTKS XTSE XWAR XWBO XZAG us_futures
"""
_ALIASES: Final = """
ARCX=XNYS ASX=XASX BATS=XNYS BMF=BVMF BSE=XBOM BVB=XBSE CBOT=CMES CFE=XCBF CME=CMES COMEX=CMES
FWB=XFRA HKEX=XHKG ICE=IEPA ICEUS=IEPA JKT=XIDX JPX=XTKS LSE=XLON LUXSE=XLUX NASDAQ=XNYS NYFE=IEPA
NYMEX=CMES NYSE=XNYS OOTC=XNYS OSE=XOSL SIX=XSWX SSE=XSHG TASE=XTAE TSX=XTSE XASE=XNYS XNAS=XNYS
XTSX=XTSE
"""

SHIPPED_CALENDARS: Final = ("XNYS", "24/5", "24/7")
"""Calendars whose sessions come with this package."""

LIBRARY_CALENDARS: Final = frozenset(_LIBRARY.split())
"""Further calendars, of `exchange_calendars` 4.13."""

ALIASES: Final[Mapping[str, str]] = dict(pair.split("=") for pair in _ALIASES.split())
"""Other names of calendars, which are not accepted: one calendar has one name in an identity."""

CALENDARS_EXTRA: Final = "pip install 'backtrail[calendars]'"
"""How to install the library."""


def calendar_mistake(name: str) -> str | None:
    """Return what to write in place of a calendar's name; None when there is such a calendar.

    Args:
        name: As a config has it. For one that is not listed here the library is asked, where it is
            installed.
    """
    if name in SHIPPED_CALENDARS or name in LIBRARY_CALENDARS:
        return None
    if name in ALIASES:
        return f"write {ALIASES[name]}, its name among calendars"
    known = {*SHIPPED_CALENDARS, *LIBRARY_CALENDARS}
    is_installed = find_spec("exchange_calendars") is not None
    if is_installed:
        from exchange_calendars import get_calendar_names

        if name in get_calendar_names(include_aliases=False):
            return None
    by_case = {other.upper(): other for other in [*known, *ALIASES]}
    near = difflib.get_close_matches(str(name).upper(), sorted(by_case), n=3, cutoff=0.5)
    found = list(dict.fromkeys(ALIASES.get(by_case[item], by_case[item]) for item in near))
    meant = f"did you mean {' or '.join(found)}? " if found else ""
    shipped = ", ".join(SHIPPED_CALENDARS)
    return (
        f"{meant}calendars are {shipped}, and those of exchange_calendars, such as XLON, XTKS or "
        "CMES" + ("" if is_installed else f" ({CALENDARS_EXTRA})")
    )
