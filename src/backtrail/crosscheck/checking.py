"""Running a finished run's strategy on another engine, and comparing what both got.

The other engine gets the captured strategy and the very bars of the run; nothing is written into
the run, and everything it makes lies in a temporary folder.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import backtrail
from backtrail.artifacts.manifest import inspect_run, is_sealed
from backtrail.artifacts.rundir import RunDir
from backtrail.canonical import derive_seed
from backtrail.crosscheck.comparing import Difference, Fill, first_difference
from backtrail.crosscheck.protocol import Adapter, CrossCheckError, adapter_of
from backtrail.optimization.search import executed_identity
from backtrail.provenance.closure import import_roots

__all__ = ["CrossCheck", "cross_check"]

TOLERANCE: Final = 1e-9
_BARS: Final = (
    "timestamps", "open", "high", "low", "close", "volume", "splits", "dividends", "delisted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What two engines got from one strategy.

    Attributes:
        backtest_id: The run.
        name: Its name in the batch.
        engine: The other engine.
        versions: Of the packages that took part there.
        agrees: Whether fills and equity are equal within the tolerance.
        fills: Fills of backtrail and of the other engine; those of delistings are left out.
        final_values: Portfolio value at the last bar, likewise.
        tolerance: Relative difference that counts as none.
        difference: The first one.
        at: Timestamp of its bar.
        explanation: The first difference in words; None when they agree.
        notes: What makes the other engine differ on these bars.
    """

    backtest_id: str
    name: str
    engine: str
    versions: Mapping[str, str]
    agrees: bool
    fills: tuple[int, int]
    final_values: tuple[float, float]
    tolerance: float
    difference: Difference | None
    at: str | None
    explanation: str | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def cross_check(
    run: RunDir,
    bundles_dir: Path,
    engine: str | Adapter,
    *,
    python: Path | None = None,
    root: Path | None = None,
    tolerance: float = TOLERANCE,
) -> CrossCheck:
    """Run a sealed run's strategy on another engine and compare fills and equity.

    Args:
        run: The run.
        bundles_dir: Folder of the bundles.
        engine: Name of the other engine, or its adapter.
        python: A Python that has it; looked for when None.
        root: The project, in which environments are looked for; the working directory when None.
        tolerance: Relative difference of money that counts as none.

    Raises:
        CrossCheckError: If the run is not intact, the engine is not installed or has no such
            setting, or the strategy fails on it.
    """
    adapter = adapter_of(engine) if isinstance(engine, str) else engine
    spec = _checked_spec(run, adapter)
    interpreter = _find_python(adapter, python, root or Path.cwd())
    bars = _bars_of(spec, bundles_dir)
    with tempfile.TemporaryDirectory(prefix=f"backtrail-{adapter.name}-") as folder:
        answer = _ask(adapter, interpreter, Path(folder), _task(spec, run), bars)
    stamps = [int(stamp) for stamp in bars.timestamps]
    own_fills, own_equity = _own_results(run, {stamp: row for row, stamp in enumerate(stamps)})
    fills = [Fill(**fill) for fill in answer["fills"]]
    found = first_difference(own_fills, fills, own_equity, answer["equity"], tolerance=tolerance)
    at = None if found is None else _day(stamps[found.row])
    return CrossCheck(
        backtest_id=run.backtest_id,
        name=spec["labels"]["names"][0],
        engine=adapter.name,
        versions=answer["versions"],
        agrees=found is None,
        fills=(len(own_fills), len(fills)),
        final_values=(own_equity[-1], answer["equity"][-1]),
        tolerance=tolerance,
        difference=found,
        at=at,
        explanation=None if found is None else _explain(found, at, adapter.name, stamps),
        notes=tuple(answer["notes"]),
    )


def _checked_spec(run: RunDir, adapter: Adapter) -> Mapping[str, Any]:
    if not is_sealed(run):
        state = "failed" if run.failed.exists() else "was never finished"
        raise CrossCheckError(f"run {run.backtest_id} {state}; only a sealed run has results")
    damage = inspect_run(run)
    if damage:
        names = ", ".join((*damage.altered, *damage.missing, *damage.unlisted))
        raise CrossCheckError(
            f"run {run.backtest_id} is not what its manifest says ({names}); see `backtrail verify`"
        )
    spec: dict[str, Any] = {
        **run.read_spec(),
        "identity": executed_identity(run.read_manifest() or {}),
    }
    if not spec.get("code"):
        raise CrossCheckError(f"the code of run {run.backtest_id} was not captured")
    refusal = adapter.refusal(spec["identity"])
    if refusal is not None:
        raise CrossCheckError(f"{adapter.name} has nothing for {refusal}")
    return spec


def _find_python(adapter: Adapter, given: Path | None, root: Path) -> Path:
    """Return a Python that can import the engine."""
    places = [root / name / "bin" / "python" for name in adapter.environments]
    candidates = [given] if given is not None else [*places, Path(sys.executable)]
    code = f"import importlib.util as u, sys; sys.exit(u.find_spec({adapter.package!r}) is None)"
    for candidate in candidates:
        try:
            found = subprocess.run([str(candidate), "-c", code], capture_output=True)
        except OSError:
            continue
        if found.returncode == 0:
            return candidate
    looked = ", ".join(map(str, candidates))
    raise CrossCheckError(
        f"no Python with {adapter.package} (looked at {looked}); make one with\n"
        f"    {adapter.install}\nor name one with --python"
    )


def _bars_of(spec: Mapping[str, Any], bundles_dir: Path) -> Any:
    from backtrail.data.arrays import load_bars
    from backtrail.data.datasets import Dataset

    identity = spec["identity"]
    dataset = Dataset.open(
        bundles_dir / spec["labels"]["bundle"] / identity["dataset"]["dataset_id"]
    )
    window = (date.fromisoformat(identity[name]) for name in ("start", "end"))
    return load_bars(dataset, identity["symbols"], *window)


def _task(spec: Mapping[str, Any], run: RunDir) -> dict[str, Any]:
    identity = spec["identity"]
    entry = identity["strategy"]["entry"]
    code = run.code.resolve()
    return {
        "entry": entry,
        "code_dir": str(code),
        "import_paths": [str(code / folder) for folder in import_roots(entry)],
        "functions": identity["strategy"].get("functions"),
        "library": str(Path(backtrail.__file__).resolve().parents[1]),
        "params": identity["params"],
        "symbols": list(identity["symbols"]),
        "calendar": identity["dataset"]["calendar"],
        "timeframe": identity["dataset"]["timeframe"],
        "capital_base": identity["capital_base"],
        "commission": identity["commission"],
        "rules": identity["execution"],
        "seed": derive_seed(identity["seed"], spec["run_key"], "run"),
    }


def _ask(
    adapter: Adapter, python: Path, folder: Path, task: Mapping[str, Any], bars: Any
) -> dict[str, Any]:
    import numpy as np

    (folder / "task.json").write_text(json.dumps(task))
    np.savez(folder / "bars.npz", **{name: getattr(bars, name) for name in _BARS})
    command = [str(python), "-B", str(adapter.script), str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    path = folder / "answer.json"
    if done.returncode or not path.exists():
        last = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise CrossCheckError(f"{adapter.name} did not get through:\n{last}")
    answer: dict[str, Any] = json.loads(path.read_text())
    if "error" in answer:
        raise CrossCheckError(f"the strategy fails on {adapter.name}: {answer['error']}")
    return answer


def _own_results(run: RunDir, rows: Mapping[int, int]) -> tuple[list[Fill], list[float]]:
    """Return the stored fills of orders, each with its order, and the stored equity."""
    import polars as pl

    orders = pl.read_parquet(run.results / "orders.parquet")
    by_id = {order["order_id"]: order for order in orders.iter_rows(named=True)}
    fills = pl.read_parquet(run.results / "fills.parquet").filter(pl.col("reason") == "order")
    stamps = fills["timestamp"].dt.timestamp("us").to_list()
    found = [
        Fill(
            rows[stamp],
            fill["symbol"],
            float(fill["quantity"]),
            float(fill["price"]),
            float(fill["commission"]),
            _told(by_id[fill["order_id"]]),
        )
        for stamp, fill in zip(stamps, fills.iter_rows(named=True), strict=True)
    ]
    equity = pl.read_parquet(run.results / "backtest_results.parquet")["portfolio_value"]
    return found, equity.to_list()


def _told(order: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "order_id": order["order_id"],
        "created_at": order["created_at"].date().isoformat(),
        "sizing": order["sizing"],
        "amount": order["amount"],
        "reason": order["reason"],
    }


def _explain(found: Difference, at: str | None, engine: str, stamps: list[int]) -> str:
    where = f"bar {found.row + 1} of {len(stamps)}, {at}"
    if found.kind == "equity":
        return (
            f"{where}: all fills so far are equal, and the portfolio value is {found.ours!r} in "
            f"backtrail, {found.theirs!r} in {engine}"
        )
    if found.what == "missing":
        said = f"backtrail fills {found.ours:g} of {found.symbol}, {engine} fills nothing"
    elif found.what == "extra":
        said = f"{engine} fills {found.theirs:g} of {found.symbol}, backtrail fills nothing"
    else:
        said = (
            f"the {found.what} of a fill of {found.symbol} is {found.ours!r} in backtrail, "
            f"{found.theirs!r} in {engine}"
        )
    if found.order is None:
        return f"{where}: {said}"
    order = found.order
    reason = f", {order['reason']}" if order["reason"] else ""
    placed = f"order {order['order_id']}, {order['sizing']} {order['amount']:g}"
    return f"{where}: {said} ({placed} placed {order['created_at']}{reason})"


def _day(stamp: int) -> str:
    return datetime.fromtimestamp(stamp / 1e6, UTC).date().isoformat()
