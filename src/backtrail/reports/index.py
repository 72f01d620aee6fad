"""The index of the store: every run in one table, with a comparison of the ticked ones.

A small store's page holds all it shows. Beyond `INLINE_RUNS` runs, rows and equity curves lie in
script files beside the page, since a page on a disk may load those and nothing else; so does the
captured code beyond `INLINE_CODE` bytes. Their names are hashes of their content, so a run more
leaves all but the last of them as they are.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from backtrail.canonical import sha256_json
from backtrail.files import remove_stale, write_bytes
from backtrail.reports.code_files import CapturedCode, CodeScripts, script_prefixes, write_code
from backtrail.reports.formatting import INDEX_COLUMNS, UNITS, metric_label, plain_text
from backtrail.reports.pages import embedded_json, write_page
from backtrail.reports.settings import ReportConfig

__all__ = ["CURVES_PER_FILE", "INLINE_CODE", "INLINE_RUNS", "ROWS_PER_FILE", "render_index"]

INLINE_RUNS = 400
INLINE_CODE = 200_000  # bytes of all captured files together
ROWS_PER_FILE = 1_000
CURVES_PER_FILE = 200
_FORMAT = 1  # counted up when what a file of curves holds is changed
_TEXT_KEYS = (
    "backtest_id",
    "name",
    "entry",
    "strategy",
    "code_hash",
    "bundle",
    "dataset_id",
    "status",
    "grade",
    "run_type",
    "start",
    "end",
    "risk_free",
    "error",
    "report",
    "advanced",
    "search",
)
_UNFINISHED = frozenset({"failed", "running", "planned", "claimed"})

Curve = Sequence[tuple[str, float]]


def render_index(
    rows: Sequence[Mapping[str, Any]],
    out: Path,
    *,
    equity: Callable[[str], Curve | None] = lambda _: None,
    code: CapturedCode | None = None,
    config: ReportConfig | None = None,
) -> Path:
    """Write the comparison page of a store.

    The same rows in any order give the same bytes.

    Args:
        rows: One mapping per run: `backtest_id`, `name`, `entry` (of the batch), `strategy`,
            `code_hash`, `params` (mapping), `bundle`, `dataset_id`, `status`, `grade`, `run_type`,
            `start`, `end`, `risk_free` (the rate in words, or None), `metrics` (mapping of name to
            value or None), `error` (reason or None), `report`, `advanced` and `search` (paths
            relative to the page, or None), `synthetic`, `looks` (`HoldoutLooks` at its dataset by
            its strategy file), `tags` (sorted), and `version`, which is another one when the run's
            results are.
        out: The HTML file to write; what it needs is written to `.index/` beside it.
        equity: Returns dates and equity of a run, 1.0 at its start, or None; asked only for runs
            whose curves are not written yet.
        code: Where captured code is read, for the lines in which two runs differ.
        config: Theme and templates of one's own.

    Returns:
        `out`.
    """
    ordered = sorted(rows, key=lambda row: str(row["backtest_id"]))
    folder = out.parent / ".index"
    curves = [
        _curve_file(folder, ordered[at : at + CURVES_PER_FILE], equity)
        for at in range(0, len(ordered), CURVES_PER_FILE)
    ]
    scripts = write_code(folder, ordered, code)
    damage = [] if code is None else [_damage(row, code, scripts) for row in ordered]
    inline = len(ordered) <= INLINE_RUNS
    inline_code = inline and scripts.size(folder) <= INLINE_CODE
    files = []
    if not inline:
        files = [
            _write(folder, "runs", f"page.add({embedded_json(part)});\n")
            for part in _parts(ordered, damage, ROWS_PER_FILE)
        ]
    data = {
        "rows": _columns(ordered, damage) if inline else None,
        "curves": [_read_curves(folder / name) for name in curves] if inline else None,
        "curve_files": [] if inline else [f".index/{name}" for name in curves],
        "curves_per_file": CURVES_PER_FILE,
        "code": {
            "prefixes": None if inline_code else script_prefixes(".index/"),
            "absent": scripts.absent,
            "lost": sorted(scripts.lost),
            **(scripts.embedded(folder) if inline_code else {}),
        },
        "main": list(INDEX_COLUMNS),
    }
    write_page(
        out,
        "index.html.j2",
        data=data,
        scripts=("index.js", "diff.js", "index_code.js", "index_compare.js"),
        config=config,
        sources="" if inline_code else "'self' file:",
        files=[f".index/{name}" for name in files],
        is_alone=inline_code,
        counts=_counts(ordered),
        synthetic=sum(1 for row in ordered if row["synthetic"]),
        contaminated=sum(1 for row in ordered if row["looks"].contaminated),
        total=len(ordered),
    )
    _tidy(folder, {*files, *curves, *scripts.names})
    return out


def _damage(row: Mapping[str, Any], code: CapturedCode, scripts: CodeScripts) -> Mapping[str, str]:
    """Return what is no longer as it was captured of the code in a run's folder."""
    files = scripts.closures.get(row["code_hash"] or "")
    return code.damage(str(row["backtest_id"]), files) if files else {}


def _parts(
    rows: Sequence[Mapping[str, Any]], damage: Sequence[Mapping[str, str]], size: int
) -> list[dict[str, Any]]:
    return [
        _columns(rows[at : at + size], damage[at : at + size]) for at in range(0, len(rows), size)
    ]


def _counts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    return [
        ("Runs", len(rows)),
        ("Finished", sum(1 for row in rows if row["status"] not in _UNFINISHED)),
        ("Failed", sum(1 for row in rows if row["status"] == "failed")),
        ("Strategies", len({row["strategy"] for row in rows})),
        ("Bundles", len({row["bundle"] for row in rows})),
    ]


def _number(value: float | None) -> float | None:
    """Return a metric with seven digits; what is not finite is shown as no value."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.7g}")


def _columns(
    rows: Sequence[Mapping[str, Any]], damage: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Return rows as columns, in the order of ids."""
    names = sorted({name for row in rows for name in row["metrics"]})
    ordered = [name for name in INDEX_COLUMNS if name in names]
    ordered += [name for name in names if name not in INDEX_COLUMNS]
    return {
        "columns": {
            key: [None if row[key] is None else str(row[key]) for row in rows] for key in _TEXT_KEYS
        },
        "metrics": {name: [_number(row["metrics"].get(name)) for row in rows] for name in ordered},
        "order": ordered,
        "labels": {name: metric_label(name) for name in ordered},
        "params": [
            {str(key): plain_text(value) for key, value in row["params"].items()} for row in rows
        ],
        "tags": [list(row["tags"]) for row in rows],
        "synthetic": [int(bool(row["synthetic"])) for row in rows],
        "looks": {
            str(place): [looks.count, int(looks.contaminated), looks.seen]
            for place, looks in enumerate(row["looks"] for row in rows)
            if looks.is_told
        },
        "damage": {
            str(place): [list(item) for item in sorted(found.items())]
            for place, found in enumerate(damage)
            if found
        },
        "units": {name: UNITS.get(name, "") for name in ordered},
    }


def _write(folder: Path, kind: str, text: str) -> str:
    """Write a script under the hash of its content, unless it is there; return its name."""
    name = f"{kind}-{sha256_json(text)[:16]}.js"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / name, text.encode("utf-8", errors="replace"))
    return name


def _curve_file(
    folder: Path, rows: Sequence[Mapping[str, Any]], equity: Callable[[str], Curve | None]
) -> str:
    """Return the file of curves of some runs, which is made only when one of them is new."""
    key = sha256_json([_FORMAT, [[row["backtest_id"], row["version"]] for row in rows]])[:16]
    name = f"curves-{key}.js"
    if (folder / name).exists():
        return name
    axes: dict[tuple[str, ...], int] = {}
    curves: list[Any] = []
    for row in rows:
        curve = equity(str(row["backtest_id"]))
        if not curve:
            curves.append(None)
            continue
        axis = axes.setdefault(tuple(str(date) for date, _ in curve), len(axes))
        curves.append([axis, [_number(value) for _, value in curve]])
    first = json.dumps(str(rows[0]["backtest_id"]))
    value = embedded_json({"axes": [list(axis) for axis in axes], "curves": curves})
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / name, f"page.curves({first},\n{value}\n);\n".encode())
    return name


def _read_curves(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8").split("\n")[1])


def _tidy(folder: Path, kept: set[str]) -> None:
    """Remove the files of earlier pages."""
    if folder.is_dir():
        remove_stale(folder)
        for path in folder.glob("*.js"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
