"""Write docs/reference: config, commands, artifacts, metrics, Python interface; from the code."""

import argparse
import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from json_reference import json_page
from reference_tables import TYPE_WORDS, bounds, markdown_table, page_head

import backtrail
from backtrail import metrics
from backtrail.artifacts import schemas
from backtrail.batch.planning.config import load_schema
from backtrail.catalog import tables
from backtrail.catalog.frames import frame_of
from backtrail.cli import build_parser
from backtrail.metrics import MetricRow, summarize

__all__ = [
    "api_page",
    "artifacts_page",
    "catalog_page",
    "cli_page",
    "config_page",
    "metrics_page",
    "pages",
    "search_page",
]

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
Schema = Mapping[str, Any]

_SETTINGS = "#/$defs/settings/properties/"


def pages() -> dict[str, str]:
    """Return the text of every generated page by its file name."""
    return {
        "api.md": api_page(),
        "search-and-validation.md": search_page(),
        "artifacts.md": artifacts_page(),
        "catalog.md": catalog_page(),
        "cli.md": cli_page(),
        "config.md": config_page(),
        "json-files.md": json_page(),
        "metrics.md": metrics_page(),
    }


# Config


def config_page() -> str:
    """Return the page of config keys: type, default and meaning of each."""
    text = page_head("Config keys", "workflow/schemas/config.schema.yaml")
    text += (
        "A batch is one YAML file. Unknown keys, duplicate keys and `..` in paths are errors. "
        "Dates, times such as `10:30` and numbers that begin with 0, such as `0700`, are text. "
        "Later files of one `--configfile` list have more weight than earlier ones.\n\n"
    )
    for title, node in _sections("", load_schema()):
        text += f"## {title}\n\n"
        if "description" in node and title != "Top level":
            text += f"{' '.join(node['description'].split())}\n\n"
        text += markdown_table(("Key", "Type", "Default", "Meaning"), list(_key_rows(node)))
        if node.get("additionalProperties") is True:
            text += "Further keys are options of the adapter.\n\n"
    return text.rstrip("\n") + "\n"


def _resolve(node: Schema) -> Schema:
    while "$ref" in node:
        target: Any = load_schema()
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _is_setting(node: Schema) -> bool:
    return str(node.get("$ref", "")).startswith(_SETTINGS)


def _sections(path: str, node: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield every mapping with keys of its own, outer ones first."""
    if node.get("properties"):
        yield (f"`{path}`" if path else "Top level"), node
    for name, child in node.get("properties", {}).items():
        if _is_setting(child):
            continue  # told once, under `defaults`
        below = f"{path}.{name}".lstrip(".")
        resolved = _resolve(child)
        yield from _sections(below, resolved)
        items = resolved.get("items")
        if isinstance(items, Mapping):
            yield from _sections(f"{below}[]", _resolve(items))
        values = resolved.get("additionalProperties")
        if isinstance(values, Mapping):
            named = _resolve(values)
            yield from _sections(f"{below}.<name>", named)


def _key_rows(node: Schema) -> Iterator[tuple[str, ...]]:
    required = set(node.get("required", ()))
    for name, child in node["properties"].items():
        resolved = _resolve(child)
        if _is_setting(child):
            default = "as in `defaults`"
        elif name in required:
            default = "required"
        elif "default" in resolved:
            default = f"`{json.dumps(resolved['default'])}`"
        else:
            default = ""
        yield f"`{name}`", _type(resolved), default, _meaning(resolved)


def _meaning(node: Schema) -> str:
    """Return a key's description, with that of its values where names are the user's own."""
    values = node.get("additionalProperties")
    parts = [node.get("description", "")]
    if isinstance(values, Mapping) and not _resolve(values).get("properties"):
        parts.append(_resolve(values).get("description", ""))
    return " ".join(part for part in parts if part)


def _type(node: Schema) -> str:
    if "enum" in node:
        return ", ".join(f"`{json.dumps(value).strip(chr(34))}`" for value in node["enum"])
    if "const" in node:
        return f"`{node['const']}`"
    if "oneOf" in node:
        return " or ".join(_type(_resolve(choice)) for choice in node["oneOf"])
    kinds = node.get("type", "any")
    if kinds == "any":
        return "any"
    if isinstance(kinds, list):
        return " or ".join(TYPE_WORDS[kind] for kind in kinds)
    if node.get("format") == "date":
        return "date, `YYYY-MM-DD`"
    if kinds == "array" and "items" in node:
        return f"list of {_type(_resolve(node['items']))}"
    if kinds == "object" and isinstance(node.get("additionalProperties"), Mapping):
        return "mapping of names"
    return TYPE_WORDS[kinds] + bounds(node)


# Command line


def cli_page() -> str:
    """Return the page of commands, with every option of each."""
    parser = build_parser()
    text = page_head("Command line", "backtrail.cli")
    text += f"{parser.description}\n\n"
    text += "Exit status: 0 well, 1 a finding or an error, 2 a command line that is none.\n\n"
    commands = _commands(parser)
    text += markdown_table(
        ("Command", "What it does"),
        [
            (f"[`{name}`](#{name.replace(' ', '-')})", str(each.description))
            for name, each in commands.items()
        ],
    )
    for name, command in commands.items():
        text += f"## `{name}`\n\n{command.description}\n\n```sh\n{_usage(name, command)}\n```\n\n"
        text += markdown_table(("Argument", "Meaning"), [_option(a) for a in _arguments(command)])
    return text.rstrip("\n") + "\n"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return every command by its words; a group of commands gives those in it."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, each in action.choices.items():
                inner = _commands(each)
                found |= {f"{name} {word}": item for word, item in inner.items()} or {name: each}
    return found


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
    return sorted(found, key=lambda action: bool(action.option_strings))


def _value(action: argparse.Action) -> str:
    """Return how the value of an argument is written; empty for a switch."""
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return f"{{{','.join(map(str, action.choices))}}}"
    name = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    many = {"+": " ...", "*": " ..."}.get(str(action.nargs), "")
    return f"{name}{many}"


def _usage(name: str, parser: argparse.ArgumentParser) -> str:
    words = [f"backtrail {name}"]
    for action in _arguments(parser):
        value = _value(action)
        if action.option_strings:
            words.append(f"[{' '.join([action.option_strings[-1], value]).strip()}]")
        else:
            words.append(f"[{value}]" if action.nargs in ("*", "?") else value)
    return " ".join(words)


def _option(action: argparse.Action) -> tuple[str, str]:
    shown = ", ".join(action.option_strings) or str(action.dest)
    value = _value(action) if action.option_strings else ""
    return f"`{' '.join([shown, value]).strip()}`", action.help or ""


# Artifacts


def artifacts_page() -> str:
    """Return the page of tables: every column with its type and meaning."""
    text = page_head("Artifacts", "backtrail.artifacts.schemas")
    text += f"{' '.join(str(schemas.__doc__).split())}\n\n"
    text += (
        "All tables but `errors` lie in `results/` of a run as `<name>.parquet`; `errors` lies in "
        "`errors/`. Where each file of a run lies: [run-directory.md](run-directory.md).\n\n"
    )
    comments = _comments(inspect.getsource(schemas))
    searches = schemas.SEARCH_SCHEMAS
    validations = {f"validation/{name}": item for name, item in schemas.VALIDATION_SCHEMAS.items()}
    for path, columns in {**schemas.ARTIFACT_SCHEMAS, **searches, **validations}.items():
        table = path.removeprefix("validation/")
        text += f"## `{path}`\n\n{comments[table, '']}\n\n"
        text += markdown_table(
            ("Column", "Type", "Meaning"),
            [
                (f"`{name}`", _dtype(dtype), comments.get((table, name), ""))
                for name, dtype in columns.items()
            ],
        )
        if table in searches:
            text += "A column `params.<name>` for each searched parameter follows `set`."
            if "objective" in columns:
                text += " Metrics that the strategy defines come before `objective`."
            text += "\n\n"
    return text.rstrip("\n") + "\n"


def _comments(source: str) -> dict[tuple[str, str], str]:
    """Return the comments of declarations: of tables under (table, ""), of columns beside them."""
    found: dict[tuple[str, str], str] = {}
    above: list[str] = []
    table = ""
    for line in source.splitlines():
        if match := re.fullmatch(r"    # (.*)", line):
            above.append(match[1])
            continue
        if match := re.fullmatch(r'    "([\w/-]+)": \{', line):
            table = match[1]
            found[table, ""] = " ".join(above)
        elif match := re.fullmatch(r'        "(\w+)": [^#]*# (.*)', line):
            found[table, match[1]] = match[2]
        above = []
    return found


def _dtype(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Datetime):
        return "timestamp, µs, UTC"
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision}, {dtype.scale})"
    return str(dtype).lower()


# Catalog

_QUESTIONS = Path(__file__).with_name("catalog_questions.md")


def catalog_page() -> str:
    """Return the page of the catalog: every column of every table with its type and meaning."""
    text = page_head("Catalog", "backtrail.catalog.tables")
    text += (
        f"{' '.join(str(tables.__doc__).split())} It is `backtests/catalog.sqlite` unless "
        "`storage.catalog_url` names another database. What ends in `_json` is JSON as text.\n\n"
    )
    text += f"{_QUESTIONS.read_text(encoding='utf-8')}\n"
    order = [tables.runs, tables.artifacts, tables.data_links, tables.datasets, tables.bundles]
    for table in (*order, tables.trials, tables.replays):
        text += f"## `{table.name}`\n\n{table.comment}\n\n"
        text += markdown_table(
            ("Column", "Type", "Meaning"),
            [(f"`{item.name}`", _sql_type(item), str(item.comment)) for item in table.columns],
        )
    schema = frame_of(tables.runs.columns, []).schema
    text += "## `runs.parquet`\n\n"
    text += (
        "The table `backtest_runs_catalog`, oldest run first, with the same columns in the same "
        "order, written by every sync. A failed run has nulls in place of metrics.\n\n"
    )
    rows = [(f"`{name}`", _dtype(dtype)) for name, dtype in schema.items()]
    return f"{text}{markdown_table(('Column', 'Type'), rows)}".rstrip("\n") + "\n"


def _sql_type(column: sa.Column[Any]) -> str:
    kind = column.type
    if isinstance(kind, sa.String):
        said = "text" if kind.length is None else f"text, ≤ {kind.length}"
    else:
        said = {bool: "true or false", int: "whole number", float: "number"}[kind.python_type]
    key = ", key" if column.primary_key else ""
    return f"{said}{key}{', or null' if column.nullable else ''}"


# Metrics

_ASSUMED = """\
Every run has these metrics: in `summary.parquet`, in `performance-metrics.json`, in the catalog and
on its pages. A function of `backtrail.metrics` with the name of a metric gives its number.

- **r** are simple returns per bar; n bars have n − 1 of them, and the first begins with the
  capital, see [decision 32](../decisions/0032-wealth-begins-with-the-capital.md). **b** are
  those of the benchmark at the same bars, **rf** and **t** the risk-free rate per bar. **V** is the
  portfolio value at a bar, and **pnl** the profit of a closed round trip, net of commission.
- **rf** is made of the key `risk_free_rate`, an annual rate: (1 + rate)^(1 / bars a year) - 1. It
  is also the target t of `sortino_ratio`, `downside_deviation` and `omega_ratio`, and the SR of
  `probabilistic_sharpe_ratio` is of r - rf. Without rf in its formula a metric does not change with
  the rate; cash earns none. See [decision 37](../decisions/0037-ratios-over-a-risk-free-rate.md).
- *Rests on* is what stands beside the number, here of a run of 252 bars a year without a risk-free
  rate. With one, each of the figures above states it.
- *Null when* is what stands there where there is no number. Whatever is made of r is also null in a
  run of a single bar, and where equity fell to zero or below before the last one.

"""
_NO_RETURNS = frozenset({"a single bar", "equity fell to zero or below"})
# Metrics without a function: what they are, and whose definition it is.
_SUMS = {
    "benchmark_total_return": ("prod(1 + b) - 1", "as total_return"),
    "open_trades": ("the number of round trips that are open at the end", "own"),
    "gross_pnl": ("net_pnl + total_commission + total_slippage", "own"),
    "net_pnl": ("the last V less the capital", "own"),
    "total_commission": ("sum(commission) over all fills", "own"),
    "total_slippage": ("sum(slippage) over all fills, against the bars' prices", "own"),
}


def metrics_page() -> str:
    """Return the page of metrics: formula, source, unit, assumption, and when each is null."""
    text = page_head("Metrics", "backtrail.metrics") + _ASSUMED
    reasons = _null_reasons()
    rows = []
    for row in _example():
        formula, source = _formula(row.metric)
        found = "; ".join(reasons[row.metric]) or "–"
        rows.append((f"`{row.metric}`", row.unit, formula, row.assumption, found, source))
    columns = ("Metric", "Unit", "Formula", "Rests on", "Null when", "Source")
    return f"{text}{markdown_table(columns, rows)}".rstrip("\n") + "\n"


def _formula(name: str) -> tuple[str, str]:
    """Return what a metric's function says of it: the formula, and where it comes from."""
    if name in _SUMS:
        return _SUMS[name]
    parts = str(inspect.getdoc(getattr(metrics, name))).split("\n\n")
    said = [part for part in parts if not _SECTION.match(part)]
    (source,) = [part.removeprefix("Source: ") for part in said if part.startswith("Source: ")]
    words = " ".join(part for part in said if not part.startswith(("Source: ", "None ")))
    words = " ".join(words.split()).removeprefix("Return ")
    words = re.sub(r"(?:; |(?<=[.]) )None [^.]*[.]", ".", words).replace("..", ".")
    return words.rstrip("."), " ".join(source.split()).rstrip(".")


def _summary(equity: Sequence[float], **given: Any) -> list[MetricRow]:
    return summarize(
        equity, [day * 86_400_000_000 for day in range(len(equity))], periods_per_year=252, **given
    )


def _example() -> list[MetricRow]:
    """Return the summary of a small run in which every metric has a value."""
    return _summary(
        [100.0, 102.0, 101.0, 104.0, 103.0],
        benchmark_returns=[None, 0.01, -0.02, 0.02, 0.01],
        trade_columns={"pnl": [3.0, -1.0], "bars_held": [2, 1], "is_open": [False, False]},
        gross_exposure=[0.0, 1.0, 1.0, 1.0, 0.0],
        fills={"value": [50.0, -51.0], "commission": [0.1, 0.1], "slippage": [0.0, 0.0]},
    )


def _null_reasons() -> dict[str, list[str]]:
    """Return what each metric says where it is null, in runs that have nothing to measure."""
    nothing: dict[str, list[float]] = {name: [] for name in ("value", "commission", "slippage")}
    flat = {"benchmark_returns": [None, 0.0, 0.0, 0.0, 0.0], "fills": nothing}
    runs = (
        _summary([100.0]),
        _summary([100.0, -1.0, 5.0]),
        _summary([100.0] * 5, **flat),
        _summary([100.0, 1.0], benchmark_returns=[None, 0.1], fills=nothing),
        _summary([100.0, 101.0]),
        _summary([1.0, 1e9, 1.0, 1e9], benchmark_returns=[None, 0.01, -0.02, 0.01]),
        _summary([100.0, 102.0, 101.0, 104.0, 103.0]),
        _summary(
            [100.0, 102.0, 105.0, 106.0],
            trade_columns={"pnl": [3.0], "bars_held": [1], "is_open": [False]},
        ),
        _summary(
            [100.0, 99.0], trade_columns={"pnl": [-3.0], "bars_held": [1], "is_open": [False]}
        ),
    )
    found: dict[str, dict[str, None]] = {row.metric: {} for row in runs[0]}
    for row in (row for rows in runs for row in rows):
        reason = row.assumption.removeprefix("undefined: ")
        if row.value is None and reason not in _NO_RETURNS:
            found[row.metric][reason] = None
    return {name: list(reasons) for name, reasons in found.items()}


# Python interface

# Where each name is defined, and from where it is imported.
_API = (
    ("run_algorithm", "backtest/running.py", "backtrail"),
    ("TradingAlgorithm", "backtest/algorithm.py", "backtrail"),
    ("BacktestResult", "backtest/result.py", "backtrail.backtest"),
    ("compare_backtests", "backtest/comparison.py", "backtrail"),
    ("query_runs", "backtest/queries.py", "backtrail"),
    ("find_artifacts", "backtest/queries.py", "backtrail"),
    ("revision_impact", "backtest/revisions.py", "backtrail"),
    ("BacktestArtifactManager", "backtest/artifact_manager.py", "backtrail.backtest"),
    ("StrategyCodeCapture", "provenance/capture.py", "backtrail.backtest"),
    ("BacktestMetadataGenerator", "provenance/metadata.py", "backtrail.backtest"),
    ("record_trials", "backtest/trials.py", "backtrail.backtest"),
    ("DataCatalog", "backtest/data_catalog.py", "backtrail.backtest"),
    ("adjusted_bars", "data/adjusted.py", "backtrail.data"),
    ("RunPaths", "artifacts/paths.py", "backtrail.artifacts.paths"),
    ("Dataset", "data/datasets.py", "backtrail.data"),
    ("load_bars", "data/arrays.py", "backtrail.data"),
    ("Bars", "engine/bars.py", "backtrail.engine"),
    ("EngineConfig", "engine/config.py", "backtrail.engine"),
    ("ParameterDefinition", "optimization/parameters.py", "backtrail.optimization.parameters"),
    ("summarize", "metrics/summary.py", "backtrail.metrics"),
    ("metric", "metrics/own.py", "backtrail.metrics"),
)
_LIBRARY = Path(backtrail.__file__).parent
_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):")


def api_page() -> str:
    """Return the page of what scripts and notebooks call: signatures and docstrings."""
    text = page_head("Python interface", "the docstrings")
    text += (
        "What a strategy calls while it runs stands in "
        "[strategies/README.md](../../strategies/README.md). `RunPaths` is what it finds as "
        "`self.artifact_manager` or `context.artifact_manager`.\n\n"
    )
    names = [(f"[`{name}`](#{name.lower()})", f"`{home}`") for name, _, home in _API]
    text += markdown_table(
        ("Name", "Import it from"), [*names, ("[errors](#errors)", "`backtrail.errors`")]
    )
    return f"{text}{_entries(_API)}{_errors()}".rstrip("\n") + "\n"


_SEARCH = (
    ("ParameterSet", "optimization/parameters.py", "backtrail.optimization.parameters"),
    ("Sweep", "optimization/sweep.py", "backtrail.optimization.sweep"),
    ("SweepResult", "optimization/sweep.py", "backtrail.optimization.sweep"),
    ("search_study", "optimization/studies.py", "backtrail.optimization.studies"),
    ("seeded_study", "optimization/studies.py", "backtrail.optimization.studies"),
    ("StudiedSets", "optimization/studies.py", "backtrail.optimization.studies"),
    ("SharpeEstimate", "metrics/sharpe_estimate.py", "backtrail.metrics"),
    *(
        (name, f"validation/{file}.py", "backtrail.validation")
        for file, names in (
            ("trials", "deflated_sharpe_ratio expected_maximum expected_maximum_sharpe"),
            ("trials", "effective_trials least_years most_trials"),
            ("clusters", "cluster_trials Clusters"),
            ("backtest_overfitting", "backtest_overfitting Overfitting"),
            ("superiority", "superior_ability reality_check SuperiorityTest"),
            ("streaming", "SearchStatistics SearchPart"),
            ("walk_forward", "make_folds walk_forward WalkForward require_disjoint"),
            ("search_forward", "search_forward SearchForward SearchedFold WindowResult"),
            ("stability", "parameter_stability ParameterStability"),
            ("resampling", "bootstrap_intervals Interval block_length draw_positions"),
            ("resampling", "resample_paths ResampledPaths"),
            ("reordering", "reorder_trades Reordering ruin_share"),
            ("noise", "parameter_noise price_noise Sensitivity"),
            ("luck", "measure_luck SearchLuck"),
            ("verdict", "judge Verdict Gate"),
            ("checks", "Check"),
            ("foresight", "check_look_ahead check_warm_up cuts_between"),
            ("controls", "check_random_entries check_noise check_costs"),
            ("cost_levels", "costs_at break_even BreakEven most_level has_costs"),
            ("histories", "scrambled_future noise_bars disturbed_bars still_bars"),
            ("histories", "truncated_bars without_first shared_rows"),
        )
        for name in names.split()
    ),
)


def search_page() -> str:
    """Return the page of parameter search and of the tests of what a search has found."""
    text = page_head("Search and validation", "the docstrings")
    text += "How they go together: [measure luck](../how-to/measure-luck.md).\n\n"
    names = [(f"[`{name}`](#{name.lower()})", f"`{home}`") for name, _, home in _SEARCH]
    text += markdown_table(("Name", "Import it from"), names)
    return f"{text}{_entries(_SEARCH)}".rstrip("\n") + "\n"


def _entries(entries: Sequence[tuple[str, str, str]]) -> str:
    return "".join(
        f"## `{name}`\n\n{_api_entry(_definition(name, file))}" for name, file, _ in entries
    )


_Definition = ast.ClassDef | ast.FunctionDef


def _definition(name: str, file: str) -> _Definition:
    """Return the syntax of a class or function; reading it is the same on every Python."""
    tree = ast.parse((_LIBRARY / file).read_text(encoding="utf-8"))
    for node in reversed(tree.body):  # overloads come before what they are of
        if isinstance(node, _Definition) and node.name == name:
            return node
    raise ValueError(f"{file} defines no {name}")


def _api_entry(node: _Definition) -> str:
    if isinstance(node, ast.FunctionDef):
        return f"{_signature(node)}{_docstring(node)}"
    members = [item for item in node.body if isinstance(item, ast.FunctionDef)]
    made = [item for item in members if item.name == "__init__"]
    text = _signature(made[0], node.name) if made else ""
    text += _docstring(node)
    for member in members:
        if not member.name.startswith("_"):
            text += f"### `{node.name}.{member.name}`\n\n"
            text += _signature(member) + _docstring(member)
    return text


def _signature(node: ast.FunctionDef, name: str | None = None) -> str:
    kinds = {ast.unparse(item) for item in node.decorator_list}
    returns = "" if node.returns is None else f" -> {_annotation(node.returns)}"
    if "property" in kinds:
        return f"```text\n{node.name}{returns.replace(' ->', ':')}\n```\n\n"
    spec = node.args
    plain = [*spec.posonlyargs, *spec.args]
    if plain and plain[0].arg in {"self", "cls"}:
        plain = plain[1:]
    defaults = [None] * (len(plain) - len(spec.defaults)) + list(spec.defaults)
    words = [_argument(item, default) for item, default in zip(plain, defaults, strict=True)]
    words += ["*"] if spec.kwonlyargs and spec.vararg is None else []
    words += [f"*{spec.vararg.arg}"] if spec.vararg else []
    words += [_argument(a, d) for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)]
    words += [f"**{spec.kwarg.arg}"] if spec.kwarg else []
    called = name or node.name
    end = "" if name else returns
    line = f"{called}({', '.join(words)}){end}"
    if len(line) > 88:
        inner = "".join(f"    {word},\n" for word in words)
        line = f"{called}(\n{inner}){end}"
    kind = "classmethod " if "classmethod" in kinds else ""
    return f"```text\n{kind}{line}\n```\n\n"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = "" if argument.annotation is None else f": {_annotation(argument.annotation)}"
    return argument.arg + kind + ("" if default is None else f" = {ast.unparse(default)}")


def _annotation(node: ast.expr) -> str:
    return ast.unparse(node).replace("'", "").replace('"', "")


def _docstring(node: _Definition) -> str:
    """Return a docstring of Google's form as Markdown."""
    parts: list[str] = []
    for line in (ast.get_docstring(node) or "").splitlines():
        heading = _SECTION.fullmatch(line)
        item = re.fullmatch(r"    (\*{0,2}\w+): (.*)", line)
        if heading:
            parts.append(f"**{heading[1]}**\n")
        elif item:
            parts.append(f"- `{item[1]}`: {item[2]}")
        elif line.startswith("        "):
            parts[-1] += f" {line.strip()}"
        else:
            parts.append(line.strip() if line.startswith("    ") else line)
    return "\n".join(parts).strip() + "\n\n"


def _errors() -> str:
    tree = ast.parse((_LIBRARY / "errors.py").read_text(encoding="utf-8"))
    rows = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
            bases = ", ".join(f"`{ast.unparse(base)}`" for base in node.bases)
            if not node.name.startswith("_"):
                meaning = (ast.get_docstring(node) or "").split("\n\n")[0]
                rows.append(
                    (
                        f"`{node.name}`",
                        bases.replace("`_ProblemsError`", "`BacktrailError`"),
                        meaning,
                    )
                )
    return f"## Errors\n\n{markdown_table(('Error', 'Is also', 'Meaning'), rows)}"


def main() -> None:
    """Write the pages."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
