"""Runs and plans as text for a terminal: aligned, and no wider than a hundred columns."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backtrail.artifacts.store import RunStore
from backtrail.batch.history.why import STATES, PreviewedRun
from backtrail.canonical import canonical_json
from backtrail.errors import CatalogError
from backtrail.reports.looks import HoldoutLooks
from backtrail.wording import choices, counted, error_words, first_line, risk_free_words

if TYPE_CHECKING:
    from backtrail.catalog.queries import RunQuery

__all__ = [
    "explain_nothing",
    "params_words",
    "plan_text",
    "rates_note",
    "runs_table",
    "shortened",
    "with_looks",
]

_WIDTH = 100
_GAP = "  "
_ID = "backtest_id"
# Heading, column of the catalog, unit.
_FIGURES = (
    ("return", "total_return", "fraction"),
    ("sharpe", "sharpe_ratio", "ratio"),
    ("drawdown", "max_drawdown", "fraction"),
    ("trades", "total_trades", "count"),
)
_LISTS = ("names_json", "tags_json")
# What has to be that of some run, and the column it stands in.
_SOUGHT = {
    "strategy": "strategy",
    "bundle": "bundle",
    "name": "names_json",
    "tag": "tags_json",
    "dataset": "dataset_id",
    "commit": "git_commit",
}
_LEAST_NAME = 8  # an id of a user's own may be long
_MOST_REASONS = 8


def shortened(text: str, width: int) -> str:
    """Return the first line of a text, cut to a width with `…` at its end."""
    line = first_line(text)
    return line if len(line) <= width else f"{line[: width - 1].rstrip()}…"


def params_words(params: Mapping[str, Any]) -> str:
    """Return parameters as `fast=10 slow=50`; texts without quotes, the rest as in JSON."""
    return " ".join(
        f"{name}={value if type(value) in (str, int) else canonical_json(value)}"
        for name, value in params.items()
    )


def with_looks(store: RunStore, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return catalog rows with who saw withheld dates, as the comparison page has it.

    Args:
        store: The run store, whose ledger says it.
        rows: Rows of the run table.

    Returns:
        The rows with `holdout_looks`, `holdout_seen` (how many runs that are no looks show such
        dates) and `holdout_contaminated` besides.

    Raises:
        ArtifactManagerError: If a record of the ledger is unreadable.
    """
    from backtrail.batch.stages.sightings import StoreLooks

    looks = StoreLooks(store)
    told = []
    for row in rows:
        found = looks.of(row)
        counts = {"holdout_looks": found.count, "holdout_seen": found.seen}
        told.append({**row, **counts, "holdout_contaminated": found.contaminated})
    return told


def runs_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return catalog rows as a table: a line of figures per run, and what they are of below it.

    Args:
        rows: Rows of `with_looks`, in the order wanted.
    """
    heads = (_ID, "name", "status", "grade", *(head for head, _, _ in _FIGURES))
    lines = [_first_cells(row) for row in rows]
    widths = [max(map(len, cells)) for cells in zip(heads, *lines, strict=True)]
    room = _WIDTH - (sum(widths) - widths[1]) - len(_GAP) * (len(widths) - 1)
    widths[1] = min(widths[1], max(room, _LEAST_NAME))
    text = [_aligned(heads, widths)]
    indent = " " * (widths[0] + len(_GAP))
    left = max(_WIDTH, len(text[0])) - len(indent)
    for row, cells in zip(rows, lines, strict=True):
        text.append(_aligned(cells, widths))
        text += [indent + shortened(line, left) for line in _below(row)]
    return "\n".join(text) + "\n"


def _first_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    from backtrail.reports.formatting import metric_text

    figures = ("" if row[key] is None else metric_text(row[key], unit) for _, key, unit in _FIGURES)
    return (row[_ID], row["name"], row["status"], row["grade"] or "", *figures)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    words = 4  # the columns before the figures
    aligned = [
        shortened(cell, width).ljust(width) if number < words else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return _GAP.join(aligned).rstrip()


def _below(row: Mapping[str, Any]) -> Iterator[str]:
    facts = [
        f"{row['start_date']}..{row['end_date']}",
        params_words(json.loads(row["params_json"])),
    ]
    if row["sets"] is None:
        facts.append("a search")
    elif row["sets"] > 1:
        facts.append(f"selected from {row['sets']:,} sets")
    if "risk_free_rate" in row["settings_json"]:
        facts.append(f"over {risk_free_words(json.loads(row['settings_json']))}")
    if row["names_json"].count('"') > 2:  # unpacking the names of each run takes long
        facts.append(f"also {', '.join(json.loads(row['names_json'])[1:])}")
    if row["tags_json"] != "[]":
        facts.append(f"tags {', '.join(json.loads(row['tags_json']))}")
    yield _GAP.join(fact for fact in facts if fact)
    looks = HoldoutLooks(row["holdout_looks"], row["holdout_contaminated"], row["holdout_seen"])
    # Runs that withheld nothing have it on their pages and with --json: a grid has many of them.
    if looks.is_told and row["run_type"] != "backtest":
        yield f"holdout {looks.words}"
    if row["error_kind"]:
        yield error_words(row["error_kind"], row["error_message"])


def rates_note(settings: Iterable[str]) -> str:
    """Return a line that warns of runs whose ratios are over different risk-free rates, or nothing.

    Args:
        settings: `settings_json` of the runs that stand together.
    """
    found = {json.loads(text).get("risk_free_rate", "0") for text in set(settings)}
    if len(found) < 2:
        return ""
    rates = sorted(found, key=float)
    return (
        f"these runs have the risk-free rates {', '.join(rates)}: Sharpe ratios and what else is "
        "over that rate cannot be compared\n"
    )


def explain_nothing(rows: Sequence[Mapping[str, Any]], query: "RunQuery") -> str:
    """Say in one line why a search of the catalog found no run.

    Args:
        rows: Every run of the catalog.
        query: What was asked for.

    Raises:
        CatalogError: If a strategy, bundle, name, tag, dataset or commit is that of no run; it
            says which there are.
    """
    if not rows:
        return "the catalog has no runs yet"
    for key, column in _SOUGHT.items():
        value: str | None = getattr(query.filter, key)
        if value is None:
            continue
        known = dict.fromkeys(
            text
            for row in rows
            for text in (json.loads(row[column]) if column in _LISTS else [row[column]])
            if text is not None
        )
        if not known:
            raise CatalogError(f"no run has the {key} {value!r}; none has any {key}")
        begins = {"name": f"{value}/", "dataset": value, "commit": value}.get(key)
        is_begun = begins is not None and any(item.startswith(begins) for item in known)
        if value not in known and not is_begun:
            hint = "; `backtrail plan --all` tells which run a name of the config means"
            raise CatalogError(
                f"no run has the {key} {value!r}; there {choices(value, list(known))}"
                f"{hint if key == 'name' else ''}"
            )
    return f"none of {counted(len(rows), 'run')} fits {query.asked()}"


def plan_text(
    previews: Sequence[PreviewedRun],
    *,
    with_reused: bool = False,
    warnings: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return what planning would make of a batch: the counts, then each run with its reasons.

    Args:
        previews: The runs, in the order of the config. A run with two names is counted once.
        with_reused: List reused runs, too.
        warnings: What capturing warned of, by the name of a run; each is told once, of runs shown.
    """
    states = {preview.run_key or preview.name: preview.state for preview in previews}
    counts = Counter(states.values())
    known = ", ".join(f"{counts[state]:,} {state}" for state in STATES if counts[state])
    text = [f"{counted(len(states), 'run')}: {known}"]
    shown = [item for item in previews if with_reused or item.state != "reused"]
    width = max((len(item.state) for item in shown), default=0)
    names = max((len(item.name) for item in shown), default=0)
    for item in shown:
        cells = (item.state.ljust(width), item.name.ljust(names), item.backtest_id or "")
        text.append(_GAP.join(cells).rstrip())
        reasons = list(item.reasons)
        if len(reasons) > _MOST_REASONS + 1:  # the last one says what comes of the others
            left = len(reasons) - _MOST_REASONS
            reasons[_MOST_REASONS - 1 : -1] = [f"and {left} more, which --json lists"]
        reasons += [item.search] if item.search else []
        text += [f"{' ' * (width + len(_GAP))}{reason}" for reason in reasons]
    warned = dict.fromkeys(line for item in shown for line in (warnings or {}).get(item.name, ()))
    text += [f"warning: {line}" for line in warned]
    return "\n".join(text) + "\n"
