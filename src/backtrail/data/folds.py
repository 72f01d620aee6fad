"""The hour that autumn has twice: which of both a local time means, where the order of rows shows.

In ascending rows, times of the hour run through it once, jump back, and run through it again; what
stands before the jump is the earlier. Where there is not exactly one jump, nothing is guessed.
"""

import polars as pl

__all__ = ["resolve_folds"]


def resolve_folds(rows: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Return the moments of local times that exist twice.

    Args:
        rows: All rows of a file in its order: `row`, `symbol`, and `local`, the time as written.
        zone: Zone of the times.

    Returns:
        Columns `row` and `timestamp` (UTC) of those times that the order decides.
    """
    local = pl.col("local")
    early = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    late = local.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    falling = pl.col("local").first().over("symbol") > pl.col("local").last().over("symbol")
    twice = (
        rows.drop_nulls("local")
        .with_columns(early.alias("early"), late.alias("late"), falling.alias("falling"))
        .filter(pl.col("early") != pl.col("late"))
    )
    group = ["symbol", pl.col("local").dt.date()]
    step = pl.when("falling").then(-local.diff()).otherwise(local.diff())
    jumps = (step <= pl.duration()).fill_null(value=False)
    after = jumps.cum_sum().over(group) > 0
    decided = twice.with_columns(
        (after != pl.col("falling")).alias("second"), jumps.sum().over(group).alias("jumps")
    ).filter(pl.col("jumps") == 1)
    return decided.select(
        "row",
        pl.when("second")
        .then("late")
        .otherwise("early")
        .dt.convert_time_zone("UTC")
        .alias("timestamp"),
    )
