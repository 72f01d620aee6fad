"""Opening a holdout: the selected set of a search, run on dates that nothing of it has seen.

A look is an explicit act and a run of its own, never a write into the sealed one. The ledger has
one record per look, written before the dates are read; a look that fails is a look. Looks at the
same dates by the same strategy file count together, whichever search they were for and whichever
dataset of the bundle they read, because what is learned from one steers the next: from the second
one on the dates are contaminated. So they are where runs from which nothing was withheld had shown
them; the sealed files say which look it was, and what follows from the ledger is told beside them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from backtrail.artifacts.rundir import RunDir, read_record
from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.outcome import Limits
from backtrail.batch.stages.trials import TrialCounts
from backtrail.canonical import sha256_json, utc_iso
from backtrail.errors import HoldoutError
from backtrail.files import lease, write_json
from backtrail.optimization.search import backtest_identity
from backtrail.provenance.fingerprint import library_fingerprint
from backtrail.reports.settings import ReportConfig

__all__ = ["OpenedHoldout", "count_look", "open_holdout"]


@dataclass(frozen=True, slots=True)
class OpenedHoldout:
    """A look at a holdout.

    Attributes:
        backtest_id: The run that looked.
        parent: The search run whose set it is.
        is_new: Whether it looked now; False when the same set was looked at before.
        look: The how-manyth look at these dates it was, from 1 on.
        seen_before: How many runs that are no looks had shown these dates by then.
        contaminated: Whether it was not the first look, or such runs had shown them.
        start: First date of the holdout.
        end: Last date of it.
        figures: Metrics on the holdout.
        in_sample: Metrics of the same names on the dates before it.
    """

    backtest_id: str
    parent: str
    is_new: bool
    look: int
    seen_before: int
    contaminated: bool
    start: str
    end: str
    figures: Mapping[str, float | None]
    in_sample: Mapping[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def open_holdout(
    store: RunStore,
    parent: RunDir,
    bundles_dir: Path,
    limits: Limits,
    *,
    config: ReportConfig = ReportConfig(),  # noqa: B008  it is frozen
) -> OpenedHoldout:
    """Run the selected set of a search on its holdout, once; a second call shows the same run.

    Args:
        store: The run store.
        parent: A sealed search run.
        bundles_dir: Folder of the bundles.
        limits: Time and memory of the run.
        config: Pages to render.

    Raises:
        HoldoutError: If the run is no sealed search with a holdout.
        RunFailedError: If the strategy fails on these dates; the look counts.
    """
    spec, selection = _openable(parent)
    identity = _identity(parent, spec, selection)
    run_key = sha256_json(identity)
    look = count_look(store, identity, run_key, bundle=spec["labels"]["bundle"])

    def make_spec(claimed: str) -> dict[str, Any]:
        return {
            **{key: value for key, value in spec.items() if key != "trials_before"},
            "backtest_id": claimed,
            "run_key": run_key,
            "identity": identity,
            "labels": {
                **spec["labels"],
                "names": [f"{name}-holdout" for name in spec["labels"]["names"]],
            },
            "parent": {"backtest_id": parent.backtest_id, "metrics": selection["metrics"]},
            "look": look,
        }

    backtest_id, _ = store.claim(run_key, make_spec, datetime.now(UTC))
    run = store.restore_spec(backtest_id)
    is_new = not run.success.exists()
    with Executor(bundles_dir, limits, csv_twins=True) as executor:
        stages.capture_code(store, backtest_id)
        stages.run_backtest(store, backtest_id, executor)
    stages.seal_run(store, backtest_id)
    if is_new:
        stages.render_report(store, backtest_id, bundles_dir, config=config)
        # Its pages say how often its holdout was looked at.
        stages.render_report_again(store, parent.backtest_id, bundles_dir)
    return _opened(store, run, parent.backtest_id, is_new=is_new)


def _opened(store: RunStore, run: RunDir, parent: str, *, is_new: bool) -> OpenedHoldout:
    spec = run.read_spec()
    identity = spec["identity"]
    found = json.loads((run.results / "validation/holdout/validation-results.json").read_bytes())
    record = store.holdout_looks(identity["dataset"]["dataset_id"]) / f"{spec['run_key']}.json"
    seen_before = TrialCounts(store).seen_before(read_record(record))
    return OpenedHoldout(
        run.backtest_id,
        parent,
        is_new,
        spec["look"],
        seen_before,
        found["contaminated"] or seen_before > 0,
        identity["holdout"]["start"],
        identity["holdout"]["end"],
        found["holdout"],
        found["in_sample"],
    )


def _openable(parent: RunDir) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = parent.read_spec()
    if not parent.success.exists():
        raise HoldoutError(f"run {parent.backtest_id} is not sealed; finish it first")
    if "search" not in spec["identity"]:
        raise HoldoutError(
            f"run {parent.backtest_id} is no search, so nothing was withheld from it; name a run "
            "of an entry with optimize and validate.holdout"
        )
    if "holdout" not in spec["identity"].get("validate", {}):
        raise HoldoutError(
            f"search {parent.backtest_id} withheld no dates; give its entry validate.holdout, "
            "which makes another search"
        )
    return spec, parent.read_selection()


def _identity(
    parent: RunDir, spec: Mapping[str, Any], selection: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what decides the run: the selected set, from the warm-up before the holdout on."""
    identity = spec["identity"]
    holdout = identity["validate"]["holdout"]
    bars = pl.read_parquet(parent.results / "backtest_results.parquet", columns=["timestamp"])
    kept = bars["timestamp"].tail(holdout["warm_up"])
    start = holdout["start"] if kept.is_empty() else kept.min().date().isoformat()  # type: ignore[union-attr]
    return {
        **backtest_identity(identity, selection["params"]),
        "run_type": "holdout",
        "parent": spec["run_key"],
        "start": start,
        "end": identity["end"],
        "holdout": {"start": holdout["start"], "end": identity["end"]},
        "library": library_fingerprint(search=True),
    }


def count_look(
    store: RunStore, identity: Mapping[str, Any], run_key: str, *, bundle: str | None = None
) -> int:
    """Write the record of a look, unless it has one, and return its number.

    Looks that are opened at the same time wait for each other: no two have one number.

    Args:
        store: The run store.
        identity: Of the run that looks.
        run_key: Its key.
        bundle: Name of the bundle whose dataset it reads; None counts looks at that dataset alone.

    Raises:
        ArtifactManagerError: If a record of the ledger is unreadable.
    """
    dataset, family = identity["dataset"]["dataset_id"], identity["strategy"]["entry"]
    folder = store.holdout_looks(dataset)
    path = folder / f"{run_key}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with lease(folder.parent / ".lock"):  # of all datasets: looks at two of them count together
        if path.exists():
            return int(read_record(path)["look"])
        look = 1 + len(store.find_looks(dataset, family, **identity["holdout"], bundle=bundle))
        record = {
            "run_key": run_key,
            "parent": identity["parent"],
            "dataset_id": dataset,
            **({} if bundle is None else {"bundle": bundle}),
            "family": family,
            **identity["holdout"],
            "look": look,
            "opened_at": utc_iso(datetime.now(UTC)),
        }
        write_json(path, record, durable=True)
    return look
