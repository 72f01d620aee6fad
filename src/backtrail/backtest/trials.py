"""Trials that a script made without a run: what a sweep or a study evaluated, for the ledger."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from backtrail.artifacts.store import RunStore
from backtrail.backtest.places import locate_base_dir
from backtrail.canonical import canonical_json, sha256_json
from backtrail.files import write_json
from backtrail.project import project_root
from backtrail.provenance.detection import capture_closure

__all__ = ["record_trials"]

_DATASET_ID: Final = re.compile(r"[0-9a-f]{16}")


def record_trials(
    sets: Iterable[Mapping[str, Any]],
    *,
    strategy: str | Path,
    dataset_id: str,
    bundle: str | None = None,
    start: date | str | None = None,
    end: date | str | None = None,
    base_dir: str | Path | None = None,
) -> int:
    """Count parameter sets that a script evaluated, as if a run had: every trial counts.

    Later searches of the same strategy file on the same bundle are judged with them. Recording the
    same sets of the same code again changes nothing.

    Args:
        sets: Every set that was evaluated, also those that failed or were not liked.
        strategy: The strategy file.
        dataset_id: The dataset they were evaluated on.
        bundle: The bundle it is of; looked for below the project's `bundles/` where it is not
            named. Without one the sets count on this dataset alone.
        start: First of the dates that they were evaluated on. Sets without dates count as tried on
            all of them, also on those that a search withholds as its holdout.
        end: Last of those dates; given together with `start`.
        base_dir: Folder of the runs; a relative one counts from the project, None is the one that
            the project's config names.

    Returns:
        How many parameter sets of this strategy file were ever evaluated on this dataset and the
        others of its bundle.

    Raises:
        CodeCaptureError: If the strategy file does not exist, or its code cannot be captured.
        ValueError: If there is no set, the dataset id is none, or the dates are none, or one of
            them is given without the other or before it.
    """
    listed = sorted({canonical_json(dict(item)) for item in sets})
    if not listed:
        raise ValueError("there is no parameter set to count; pass every set that was evaluated")
    if not _DATASET_ID.fullmatch(dataset_id):
        raise ValueError(
            f"{dataset_id!r} is no dataset id of 16 hex digits; pass `dataset.manifest.dataset_id`"
        )
    dates = _dates(start, end)
    file = Path(strategy).absolute()
    root = project_root(file)
    closure = capture_closure(file, root)
    counted = {
        "dataset_id": dataset_id,
        "family": closure.entry,
        "code_hash": closure.code_hash,
        "run_type": "script",
        "sets": len(listed),
        "sets_sha256": sha256_json(listed),
        **dates,
    }
    key = sha256_json(counted)
    if bundle is None:
        bundle = next((path.parent.name for path in root.glob(f"bundles/*/{dataset_id}")), None)
    named = {} if bundle is None else {"bundle": bundle}
    store = RunStore(locate_base_dir(base_dir))
    path = store.trial_path(dataset_id, key)
    if not path.exists():
        write_json(path, {"run_key": key, **counted, **named}, durable=True)
    return store.count_trials(dataset_id, closure.entry, bundle=bundle)


def _dates(start: date | str | None, end: date | str | None) -> dict[str, str]:
    """Return the dates of a record; none where none are given."""
    if start is None and end is None:
        return {}
    if start is None or end is None:
        raise ValueError(f"start={start!r} and end={end!r} go together; give both, or neither")
    first, last = _date(start), _date(end)
    if last < first:
        raise ValueError(f"start={first} is after end={last}; give the first date and the last one")
    return {"start": first.isoformat(), "end": last.isoformat()}


def _date(value: date | str) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no date; give one as 2018-12-31") from None
