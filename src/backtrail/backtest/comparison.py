"""`compare_backtests`: runs side by side in a notebook or a script."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.artifacts.store import RunStore
from backtrail.backtest.places import locate_base_dir
from backtrail.batch.history.comparing import compare_runs
from backtrail.batch.history.reading import find_run
from backtrail.errors import ArtifactManagerError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["compare_backtests"]


def compare_backtests(
    runs: "Sequence[str] | pl.DataFrame", *, base_dir: str | Path | None = None
) -> "pl.DataFrame":
    """Return a frame with one row per run: identity, parameters and every metric.

    Args:
        runs: Backtest ids, or beginnings of them; or a frame with the column `backtest_id`, such as
            a part of `runs.parquet`, whose other columns are kept and whose rows keep their order.
        base_dir: Folder of the run store; a relative one counts from the project, None is the one
            that the project's config names.

    Returns:
        `backtest_id`, `timestamp` (UTC), `framework_version`, `name`, `status`, `grade`,
        `strategy`, `code_hash`, `bundle`, `dataset_id`, `start`, `end`, a column
        `param_<name>` per parameter, and a float column per metric. What a run does not have is
        null. A column that the given frame has already is left as it stands there.

    Raises:
        ArtifactManagerError: If a run is not in the store, or the frame has no `backtest_id`.
        SealError: If what a run states is not what was sealed.
    """
    import polars as pl

    store = RunStore(locate_base_dir(base_dir))
    if not isinstance(runs, pl.DataFrame):
        return compare_runs([find_run(store, name) for name in runs]).frame
    if "backtest_id" not in runs.columns:
        raise ArtifactManagerError(
            f"the frame has the columns {', '.join(runs.columns) or '(none)'}; to say which runs "
            "are meant it needs backtest_id"
        )
    ids = runs["backtest_id"].to_list()
    found = compare_runs([find_run(store, name) for name in ids]).frame
    new = [name for name in found.columns if name not in runs.columns]
    return runs.join(
        found.select("backtest_id", *new), on="backtest_id", how="left", maintain_order="left"
    )
