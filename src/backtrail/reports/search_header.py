"""The head of a search's page: which dates and which space were searched, and what was selected.

Beside its page, a search has those of a plain run, whose head is that of its selected set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backtrail.reports.formatting import params_text, plain_text
from backtrail.reports.header import Fact, Header
from backtrail.reports.rundata import RunRecord
from backtrail.wording import counted

__all__ = ["search_header", "space_words"]


def space_words(space: Sequence[Mapping[str, Any]]) -> str:
    """Return a space in words, as `fast 5 to 30 by 5; slow 50, 100`; `no parameters` where none is.

    Args:
        space: Axes with `name` and `values`: a list, or a mapping of `min`, `max` and `step`.
    """
    words = "; ".join(f"{axis['name']} {_axis_words(axis['values'])}" for axis in space)
    return words or "no parameters"


def _axis_words(values: object) -> str:
    if isinstance(values, Mapping):
        return f"{values['min']} to {values['max']} by {values['step']}"
    return plain_text(values)


def search_header(
    header: Header, run: RunRecord, selection: Mapping[str, Any], *, sets: int
) -> Header:
    """Return the head of a search's page, made from that of its selected set.

    Args:
        header: The head as a page of the selected set has it.
        run: The search.
        selection: The content of `selection.json`.
        sets: How many sets it evaluated.
    """
    search = run.spec["identity"]["search"]
    symbols = [str(symbol) for symbol in run.identity["symbols"]]
    what = symbols[0] if len(symbols) == 1 else counted(len(symbols), "symbol")
    space = space_words(search["space"])
    condition = f", where {search['where']}" if search.get("where") else ""
    chosen = f"set {selection['set']}: {params_text(selection['params'])}"
    taken = {"Parameters", "Period", "Search", "Holdout"}
    first = (
        header.facts[0],
        Fact("Space", f"{space}{condition}"),
        Fact("Sets evaluated", f"{sets:,} by {search['method']}"),
        Fact("Selected", chosen),
        Fact("Searched in sample", _period(run)),
        Fact("Withheld as holdout", _withheld(header, run)),
    )
    return replace(
        header,
        lead=(
            f"Search of {counted(sets, 'parameter set')} on {what}, {_period(run)} in sample"
            f"{_beside(run)}: {space}{condition}. Selected {chosen}."
        ),
        facts=first + tuple(fact for fact in header.facts[1:] if fact.name not in taken),
        # The verdict has a place of its own below the figures it is about.
        notes=tuple(note for note in header.notes if not note.startswith("Validation ")),
    )


def _period(run: RunRecord) -> str:
    return f"{run.identity['start']} to {run.identity['end']}"


def _beside(run: RunRecord) -> str:
    return "" if run.holdout is None else f" ({run.holdout[0]} to {run.holdout[1]} withheld)"


def _withheld(header: Header, run: RunRecord) -> str:
    if run.holdout is None:
        return "none"
    return f"{run.holdout[0]} to {run.holdout[1]}; {header.looks.words}"
