"""One run as text for a terminal: what it is, what decided it, its figures, its files."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from backtrail.artifacts.manifest import Damage, inspect_run, is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.artifacts.store import RunStore
from backtrail.artifacts.timings import timing_words, warning_words
from backtrail.batch.history.listing import params_words, shortened
from backtrail.batch.history.reading import describe_run
from backtrail.provenance.git import git_words
from backtrail.wording import counted, risk_free_words

__all__ = ["run_text"]

_WIDTH = 100
_INDENT = "  "


def run_text(run: RunDir, *, with_files: bool = False) -> str:
    """Return a run in sections.

    Args:
        run: A run that was planned, begun or finished.
        with_files: List every file with size and checksum; otherwise they are counted.

    Raises:
        ArtifactManagerError: If its manifest, or before it begins its spec, cannot be read, or of a
            search with a holdout the ledger.
    """
    described = describe_run(run)
    sections = {
        "Run": list(_facts(_about(run, described))),
        "What decided it": list(_facts(_identity(described))),
        "Search": list(_search(run, described)),
        "Figures": list(_figures(run, described.get("metrics", {}))),
        "Files": list(_files(run, described.get("inventory"), with_files=with_files)),
        "Error": list(_error(described.get("error"))),
    }
    text: list[str] = []
    for title, lines in sections.items():
        if lines:
            text += [*([""] if text else []), title]
            text += [f"{_INDENT}{line}".rstrip() for line in lines]
    return "\n".join(text) + "\n"


def _facts(facts: Mapping[str, str | None]) -> Iterator[str]:
    width = max(map(len, facts))
    for name, value in facts.items():
        if value:
            yield f"{name.ljust(width)}  {value}"


def _about(run: RunDir, described: Mapping[str, Any]) -> dict[str, str | None]:
    pages = (run.reports / "basic_report.html", run.errors / "failed_run.html")
    report = next((str(page) for page in pages if page.exists()), None)
    attempt = described.get("attempt", 1)
    packages = described.get("usage", {}).get("packages", {})
    return {
        "id": described["backtest_id"],
        "names": ", ".join(described["labels"]["names"]),
        "tags": ", ".join(described["tags"]) or None,
        "status": _status(run, described) + (f", attempt {attempt}" if attempt > 1 else ""),
        "grade": described.get("grade"),
        "commit": git_words(described["git"]),
        "gaps": "; ".join(described.get("gaps", ())) or None,
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items()) or None,
        "warnings": warning_words(described.get("warnings", {})),
        "began": described.get("started_at"),
        "took": timing_words(described.get("timings", {})),
        "folder": str(run.path),
        "report": report,
    }


def _status(run: RunDir, described: Mapping[str, Any]) -> str:
    status: str = described["status"]
    damage = inspect_run(run, thorough=False) if is_sealed(run) else Damage()
    if "run.json" in damage.missing:
        return "sealed, but run.json is missing"
    if "run.json" in damage.altered:
        return f"{status}, but run.json was altered after the seal: trust nothing that is below"
    counts = [
        f"{counted(len(names), 'file')} {how}"
        for names, how in ((damage.missing, "missing"), (damage.altered, "altered"))
        if names
    ]
    hint = f"; see `backtrail verify {run.backtest_id}`"
    return f"{status}, but {' and '.join(counts)}{hint}" if counts else status


def _identity(described: Mapping[str, Any]) -> dict[str, str | None]:
    identity = described["identity"]
    strategy, dataset = identity["strategy"], identity["dataset"]
    symbols = identity["symbols"]
    space = identity.get("search", {}).get("space", ())
    is_searched = any(len(axis["values"]) > 1 for axis in space)
    single = {} if is_searched else {axis["name"]: axis["values"][0] for axis in space}
    own = params_words({**identity["params"], **single})
    many = f"{len(symbols)}: " if len(symbols) > 1 else ""
    form = f", {strategy['form']} form" if strategy["form"] else ""
    return {
        "strategy": f"{strategy['entry']}{form}",
        "code": strategy["code_hash"][:16],
        "parameters": "searched, see below" if is_searched else own or "none",
        "bundle": f"{described['labels']['bundle']}, dataset {dataset['dataset_id']}, "
        f"{dataset['calendar']}, {dataset['timeframe']} bars",
        "symbols": shortened(f"{many}{', '.join(symbols)}", _WIDTH - 14),
        "benchmark": identity["benchmark"] or "none",
        "risk-free": risk_free_words(identity),
        "window": f"{identity['start']} to {identity['end']}",
        "capital": f"{identity['capital_base']}, {identity['ledger']} ledger",
        "commission": _model(identity["commission"]),
        "slippage": _model(identity["slippage"]),
        "execution": params_words(identity["execution"]),
        "seed": str(identity["seed"]),
        "library": identity["library"],
    }


def _search(run: RunDir, described: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was searched and what was selected; nothing for a plain run."""
    search = described["identity"].get("search")
    if search is None:
        return
    from backtrail.reports.header import selection_words
    from backtrail.reports.search_header import space_words

    holdout = described["identity"].get("validate", {}).get("holdout")
    selection = described.get("selection")
    verdict = described["verdict"]["summary"] if "verdict" in described else None
    if all(len(axis["values"]) == 1 for axis in search["space"]):
        yield from _facts({"verdict": verdict})
        return
    facts = {
        "space": space_words(search["space"]),
        "condition": search["where"],
        "method": " ".join(str(search[name]) for name in ("method", "samples") if search[name]),
        "selection": "none yet" if selection is None else selection_words(selection),
        "selected": None if selection is None else params_words(selection["params"]),
        "holdout": holdout
        and f"from {holdout['start']} on, withheld from the search; {_looks(run)}",
        "verdict": verdict,
    }
    yield from _facts(facts)


def _looks(run: RunDir) -> str:
    from backtrail.batch.stages.trials import TrialCounts

    return TrialCounts(RunStore(run.path.parent)).looks(run).words


def _model(values: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in values.items() if key != "model"}
    is_none = values["model"] == "none"
    return values["model"] if is_none or not rest else f"{values['model']} {params_words(rest)}"


def _figures(run: RunDir, metrics: Mapping[str, float | None]) -> Iterator[str]:
    """Yield the sealed values in the order of the summary, with its units and assumptions."""
    from backtrail.reports.formatting import metric_text

    if not metrics:
        return
    summary = _summary(run)
    ordered = [name for name in summary if name in metrics]
    ordered += sorted(metrics.keys() - summary.keys())
    texts = {
        name: metric_text(metrics[name], summary[name][0])
        if name in summary
        else "undefined"
        if metrics[name] is None
        else f"{metrics[name]:.6g}"
        for name in ordered
    }
    width, digits = max(map(len, ordered)), max(map(len, texts.values()))
    for name, text in texts.items():
        _, assumption = summary.get(name, ("", ""))
        yield f"{name.ljust(width)}  {text.rjust(digits)}  {assumption}"
    if not summary:
        yield "units and assumptions stand in results/summary.parquet, which cannot be read"


def _summary(run: RunDir) -> dict[str, tuple[str, str]]:
    """Return unit and assumption of each metric; nothing when the table is gone or damaged."""
    import polars as pl

    try:
        frame = pl.read_parquet(run.results / "summary.parquet")
        rows = frame.select("metric", "unit", "assumption").rows()
    except (OSError, pl.exceptions.PolarsError):
        return {}
    return {metric: (unit, assumption) for metric, unit, assumption in rows}


def _files(
    run: RunDir, inventory: Mapping[str, Mapping[str, Any]] | None, *, with_files: bool
) -> Iterator[str]:
    sealed = inventory is not None
    sizes = (
        _sizes_on_disk(run)
        if inventory is None
        else {name: entry["size"] for name, entry in inventory.items()}
    )
    if with_files:
        width = max((len(f"{size:,}") for size in sizes.values()), default=0)
        for name, size in sizes.items():
            checksum = f"  {inventory[name]['sha256'][:16]}" if inventory is not None else ""
            yield f"{size:{width},}{checksum}  {name}"
    else:
        folders: dict[str, list[int]] = {}
        for name, size in sizes.items():
            folders.setdefault(name.partition("/")[0] if "/" in name else ".", []).append(size)
        width = max(map(len, folders), default=0)
        for folder, found in folders.items():
            yield f"{folder.ljust(width)}  {counted(len(found), 'file')}, {sum(found):,} bytes"
    hint = "" if with_files else "; --files lists them"
    how = "sealed" if sealed else "not sealed"
    yield f"{counted(len(sizes), 'file')}, {sum(sizes.values()):,} bytes, {how}{hint}"


def _sizes_on_disk(run: RunDir) -> dict[str, int]:
    sizes = {}
    for top, _, names in os.walk(run.path):
        for name in names:
            path = Path(top, name)
            sizes[path.relative_to(run.path).as_posix()] = path.stat().st_size
    return dict(sorted(sizes.items()))


def _error(error: Mapping[str, Any] | None) -> Iterator[str]:
    if error:
        yield from f"{error['kind']}: {error['message']}".splitlines()
        yield ""
        yield from error["traceback"].splitlines()
