"""Runs of a catalog as a table, with parameters and metrics as columns where they are wanted."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import polars as pl

from backtrail.catalog.conditions import RunCondition
from backtrail.catalog.params import PARAM, param_column
from backtrail.catalog.tables import MAIN_METRICS
from backtrail.errors import QueryError
from backtrail.wording import choices

__all__ = ["RunFrame"]

_PACKED: Final = ("params_json", "metrics_json")
_KEY: Final = r'"(\w+)":'


@dataclass(frozen=True)
class RunFrame:
    """Some runs of a catalog.

    A name means a column of the table of runs; else a metric; else a parameter. `param_<name>` is
    always the parameter.

    Attributes:
        rows: Rows of the table of runs as `Catalog.read_runs` returns them.
    """

    rows: pl.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def _params(self) -> list[dict[str, Any]]:
        # Joined, it is one call for all of them.
        texts = self.rows["params_json"]
        found: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
        return found

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Names of all parameters, sorted."""
        return tuple(sorted({name for row in self._params for name in row}))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics: those with a column of their own, then the others, sorted."""
        keys = self.rows["metrics_json"].str.extract_all(_KEY).explode(empty_as_null=False)
        found = set(keys.unique().str.strip_chars('":')) - set(MAIN_METRICS)
        return (*MAIN_METRICS, *sorted(found - set(self.rows.columns)))

    def _is_metric(self, name: str) -> bool:
        # Listing all of them takes longer than looking for one.
        keys = self.rows["metrics_json"].str
        return name.isidentifier() and keys.contains(f'"{name}":', literal=True).any()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that a condition may use."""
        columns = [name for name in self.rows.columns if name not in (*_PACKED, *MAIN_METRICS)]
        plain = [name for name in self.params if name not in (*columns, *self.metrics)]
        return (*plain, *self.metrics, *columns, *(f"{PARAM}{name}" for name in self.params))

    def with_columns(self, names: Iterable[str]) -> tuple[pl.DataFrame, dict[str, str]]:
        """Return the rows with columns for some names, and which column each name means.

        Raises:
            QueryError: If there are runs, and none has such a name; it says which are near.
        """
        columns: dict[str, str] = {}
        metrics: list[str] = []
        params: list[str] = []
        for name in dict.fromkeys(names):
            if name in self.rows.columns:
                columns[name] = name
            elif self._is_metric(name):
                columns[name] = name
                metrics.append(name)
            elif name.removeprefix(PARAM) in self.params:
                columns[name] = f"{PARAM}{name.removeprefix(PARAM)}"
                params.append(name.removeprefix(PARAM))
            elif name in self.params or self.rows.is_empty():  # no run, no name to be wrong
                columns[name] = f"{PARAM}{name}"
                params.append(name)
            else:
                raise QueryError(
                    f"the runs have no column, metric or parameter {name!r}; there "
                    f"{choices(name, self.names)}"
                )
        found = [*self._metric_columns(metrics), *self._param_columns(params)]
        return self.rows.with_columns(*found), columns

    def _metric_columns(self, names: Sequence[str]) -> list[pl.Series]:
        if not names:
            return []
        wanted = pl.Struct({name: pl.Float64 for name in names})
        unpacked = self.rows["metrics_json"].str.json_decode(wanted).struct.unnest()
        return unpacked.get_columns()

    def _param_columns(self, names: Iterable[str]) -> list[pl.Series]:
        found = []
        for name in dict.fromkeys(names):
            values = [row.get(name) for row in self._params]
            column = f"{PARAM}{name}"
            is_empty = all(value is None for value in values)
            found.append(
                pl.Series(column, values, pl.Null) if is_empty else param_column(column, values)
            )
        return found

    def where(self, text: str) -> "RunFrame":
        """Return the runs for which a condition holds; one that lacks a value in it does not.

        Raises:
            QueryError: If it is no condition, or uses a name that no run has.
        """
        condition = RunCondition(text)
        if self.rows.is_empty():
            return self
        frame, columns = self.with_columns(sorted(condition.names))
        schema = {name: (column, frame.schema[column]) for name, column in columns.items()}
        fits = frame.select(fits=condition.expression(schema)).get_column("fits")
        if len(fits) != len(self.rows):  # a condition without any name
            fits = pl.repeat(fits[0], len(self.rows), eager=True)
        return RunFrame(self.rows.filter(fits))

    def sort(self, by: str) -> "RunFrame":
        """Return the runs in another order, those without a value last, equal ones oldest first.

        Args:
            by: A name; `-` before it puts the largest value first.

        Raises:
            QueryError: If no run has the name.
        """
        name = by.removeprefix("-")
        if self.rows.is_empty():
            return self
        frame, columns = self.with_columns([name])
        order = frame.select(
            at=pl.arg_sort_by(
                columns[name],
                descending=by.startswith("-"),
                nulls_last=True,
                maintain_order=True,
            )
        )
        return RunFrame(self.rows[order["at"]])

    def head(self, limit: int) -> "RunFrame":
        """Return the first runs."""
        return RunFrame(self.rows.head(limit))

    def wide(self, names: Sequence[str] | None = None) -> pl.DataFrame:
        """Return the runs with every parameter and every metric as a column.

        Args:
            names: The columns wanted, in this order; all of them when None: those of the table of
                runs, a column `param_<name>` per parameter, the metrics.

        Raises:
            QueryError: If no run has one of the names.
        """
        if names is not None:
            frame, columns = self.with_columns(names)
            return frame.select(list(dict.fromkeys(columns.values())))
        kept = [name for name in self.rows.columns if name not in (*_PACKED, *MAIN_METRICS)]
        params, own = self._param_columns(self.params), self.metrics[len(MAIN_METRICS) :]
        found = self.rows.select(kept).with_columns(*params)
        return found.with_columns(*self.rows.select(MAIN_METRICS), *self._metric_columns(own))
