"""Which runs of a catalog are asked for: what they are, when they began, what they are called."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any, Final

import polars as pl
import sqlalchemy as sa

from backtrail.canonical import canonical_json
from backtrail.catalog import tables
from backtrail.errors import QueryError
from backtrail.wording import choices

__all__ = ["RunFilter"]

_EQUAL: Final = ("status", "grade", "strategy", "bundle", "run_type")
_BEGINNINGS: Final = {"dataset": "dataset_id", "commit": "git_commit"}
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What the runs that are wanted have in common; None and False ask for nothing.

    Attributes:
        status: How they ended.
        grade: Their provenance grade.
        strategy: Their strategy file.
        bundle: Name of their bundle.
        run_type: What kind of run they are.
        name: A name of theirs in a batch, the first or another one; the name of an entry means
            all runs of its grid.
        tag: A tag of theirs.
        dataset: Their dataset id, or its beginning.
        commit: The git commit they were planned at, or its beginning.
        dirty: Whether only those are wanted that were planned with uncommitted changes.
        since: First day on which they may have begun, UTC.
        until: Last day on which they may have begun, UTC.
    """

    status: str | None = None
    grade: str | None = None
    strategy: str | None = None
    bundle: str | None = None
    run_type: str | None = None
    name: str | None = None
    tag: str | None = None
    dataset: str | None = None
    commit: str | None = None
    dirty: bool = False
    since: date | None = None
    until: date | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "RunFilter":
        """Return a filter from values by name; dates may be texts.

        Raises:
            QueryError: If a name is no filter, or a date is none.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise QueryError(f"there is no filter {name!r}; there {choices(name, known)}")
        dates = {key: parse_day(values[key]) for key in ("since", "until") if values.get(key)}
        return cls(**{**values, **dates})

    def asked(self) -> str:
        """Return the filter in the words of the command line."""
        found = ((field.name, getattr(self, field.name)) for field in fields(self))
        return " ".join(
            f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
            for name, value in found
            if value is not None and value is not False
        )

    def statement(self) -> sa.Select[Any]:
        """Return what selects the runs, oldest first.

        Databases differ in what they take for equal texts, so names, tags and beginnings have to
        be compared again by `fit`.
        """
        columns = tables.runs.c
        query = sa.select(tables.runs).order_by(columns.backtest_id)
        for key in _EQUAL:
            if getattr(self, key) is not None:
                query = query.where(columns[key] == getattr(self, key))
        for key, column in _BEGINNINGS.items():
            if getattr(self, key) is not None:
                query = query.where(columns[column].startswith(getattr(self, key), autoescape=True))
        if self.name is not None:
            start = canonical_json(self.name).removesuffix('"')
            query = query.where(columns.names_json.contains(start, autoescape=True))
        if self.tag is not None:
            tag = canonical_json(self.tag)
            query = query.where(columns.tags_json.contains(tag, autoescape=True))
        if self.dirty:
            query = query.where(columns.git_dirty.is_(True))
        if self.since is not None:
            query = query.where(columns.started_at >= self.since.isoformat())
        if self.until is not None and self.until < date.max:
            query = query.where(columns.started_at < (self.until + _DAY).isoformat())
        return query

    def fit(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a frame of runs whose names, tags and beginnings are those wanted."""
        return frame.filter(*_fits(self))


def _fits(wanted: RunFilter) -> Iterator[pl.Expr]:
    for key, column in _BEGINNINGS.items():
        if getattr(wanted, key) is not None:
            yield pl.col(column).str.starts_with(getattr(wanted, key))
    if wanted.name is not None:
        name = pl.element()
        yield _listed("names_json", (name == wanted.name) | name.str.starts_with(f"{wanted.name}/"))
    if wanted.tag is not None:
        yield _listed("tags_json", pl.element() == wanted.tag)


def _listed(column: str, fits: pl.Expr) -> pl.Expr:
    return pl.col(column).str.json_decode(pl.List(pl.String)).list.eval(fits).list.any()


def parse_day(value: str | date) -> date:
    """Return a day that was given as such, or as text.

    Raises:
        QueryError: If the text is no date.
    """
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise QueryError(f"{value!r} is no date; write it as 2026-01-31") from None
