"""`data diff`: what changed between two datasets, and what that does to the runs of the store."""

import argparse
import sys
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Final

from backtrail.canonical import pretty_json
from backtrail.commands.finding import open_catalog
from backtrail.commands.history import number_words, parting_lines
from backtrail.commands.options import add_command, config_files, count_from_zero, read_places
from backtrail.errors import BacktrailError
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.batch.history.impact import JudgedRun, RevisionImpact
    from backtrail.batch.history.rerunning import Movement
    from backtrail.batch.planning.places import Places
    from backtrail.data.datasets import Dataset

__all__ = ["add_diff_command", "runs_words"]

_SHOWN_RUNS: Final = 5
_ROWS_OF_A_RUN: Final = 3
_METRIC: Final = "total_return"
_ONLY_WITH_IMPACT: Final = ("rerun", "where", "metric")
_HEADS: Final = {
    "affected": "affected",
    "unaffected": "not affected",
    "unjudged": "cannot be judged",
}


def add_diff_command(group: Any) -> None:
    """Add `diff` to the subparsers of the group `data`."""
    text = "compare two datasets of a bundle bar by bar, and name the runs that used each"
    diff = add_command(group, "diff", _diff, text)
    diff.add_argument("bundle", help="name of the bundle")
    diff.add_argument(
        "before", nargs="?", help="dataset id, or its beginning; the one before when left out"
    )
    diff.add_argument(
        "after", nargs="?", help="dataset id, or its beginning; the one of now when left out"
    )
    diff.add_argument(
        "--limit",
        type=count_from_zero,
        default=10,
        metavar="N",
        help="bars to show of each kind, and runs with --impact; --json has all runs (default: 10)",
    )
    diff.add_argument(
        "--impact",
        action="store_true",
        help="say of every run that read the older dataset whether what changed was in what it "
        "read, and why",
    )
    diff.add_argument(
        "--rerun",
        action="store_true",
        help="with --impact: execute the affected runs on the newer dataset, beside the store, and "
        "say how far their results move, worst first",
    )
    diff.add_argument(
        "--where",
        metavar="CONDITION",
        help="with --impact: only runs for which this holds, as of `backtrail list`",
    )
    diff.add_argument(
        "--metric",
        metavar="NAME",
        help=f"with --rerun: the metric by whose move runs are ordered (default: {_METRIC})",
    )


def runs_words(runs: Collection[str]) -> str:
    """Return how many runs there are, and the first of them."""
    shown = ", ".join(list(runs)[:_SHOWN_RUNS])
    more = f", and {len(runs) - _SHOWN_RUNS:,} more" if len(runs) > _SHOWN_RUNS else ""
    return f"{len(runs):,}: {shown}{more}" if runs else "none"


def _diff(options: argparse.Namespace) -> int:
    from backtrail.batch.history.impact import open_revision
    from backtrail.batch.history.sources import dataset_users
    from backtrail.data.comparison import compare_datasets, dataset_sentences

    _check(options)
    places = read_places(options)
    before, after = open_revision(places.bundles, options.bundle, options.before, options.after)
    difference = compare_datasets(before, after, limit=options.limit)
    users = dataset_users(places.store, options.bundle)
    runs = {side: users.get(getattr(difference, side), ()) for side in ("before", "after")}
    impact = _impact(options, places, before, after) if options.impact else None
    status = 1 if difference or (impact is not None and _has_failures(impact)) else 0
    if options.json:
        record = {"equal": not difference, **difference.to_dict(), "runs": runs}
        if impact is not None:
            record["impact"] = impact.to_dict()
        print(pretty_json(record), end="")
        return status
    print(f"{options.bundle}  {difference.before} -> {difference.after}")
    for sentence in dataset_sentences(difference):
        print(f"  {sentence}")
    if not difference:
        print("  the same bars, adjustments, calendar and timeframe")
    for side, names in runs.items():
        print(f"runs on {getattr(difference, side)}: {runs_words(names)}")
    if impact is not None:
        for line in _impact_lines(impact, options.limit, options.metric or _METRIC):
            print(line)
    return status


def _check(options: argparse.Namespace) -> None:
    """Refuse options that mean nothing without another one."""
    for name in _ONLY_WITH_IMPACT:
        if getattr(options, name) and not options.impact:
            raise BacktrailError(f"--{name} says something of --impact; give that, too")
    if options.metric is not None and not options.rerun:
        raise BacktrailError("--metric orders the runs of --rerun; give that, too")


def _impact(
    options: argparse.Namespace, places: "Places", before: "Dataset", after: "Dataset"
) -> "RevisionImpact":
    from backtrail.batch.history.impact import trace_revision
    from backtrail.batch.history.rerunning import rerun_affected
    from backtrail.batch.planning.limits import read_limits

    impact = trace_revision(
        places.store,
        places.bundles,
        before,
        after,
        among=_asked(options),
        limit=min(_ROWS_OF_A_RUN, options.limit),
    )
    if not options.rerun:
        return impact
    limits = read_limits(config_files(options), places.root)
    count, done = len(impact.affected), 0

    def tell(run: "JudgedRun") -> None:
        nonlocal done
        done += 1
        assert run.movement is not None
        print(f"{done:,} of {count:,}  {run.backtest_id}  {run.movement.state}", file=sys.stderr)

    metric = options.metric or _METRIC
    return rerun_affected(places.store, places.bundles, limits, impact, metric=metric, tell=tell)


def _asked(options: argparse.Namespace) -> "Collection[str] | None":
    """Return the ids of the runs that `--where` asks for; None for all."""
    if options.where is None:
        return None
    from backtrail.catalog.queries import RunQuery, select_runs

    with open_catalog(options) as catalog:
        return set(select_runs(catalog, RunQuery(where=options.where)).rows["backtest_id"])


def _has_failures(impact: "RevisionImpact") -> bool:
    return any(run.movement is not None and run.movement.problems for run in impact.runs)


def _impact_lines(impact: "RevisionImpact", limit: int, metric: str) -> Iterator[str]:
    others = ""
    if impact.left_out:
        others = f"; {counted(impact.left_out, 'more run')} on it that --where leaves out"
    if not impact.runs:
        yield f"impact: no run that was asked for read the older dataset, or one made of it{others}"
        return
    groups = {verdict: impact.of(verdict) for verdict in _HEADS}
    counts = ", ".join(f"{len(runs):,} {_HEADS[verdict]}" for verdict, runs in groups.items())
    yield f"impact on {counted(len(impact.runs), 'run')}: {counts}{others}"
    for verdict, runs in groups.items():
        if runs:
            yield f"{_HEADS[verdict]}:"
        for run in runs[:limit]:
            yield from (f"  {line}" for line in _run_lines(run, impact, metric))
        if len(runs) > limit:
            yield f"  and {counted(len(runs) - limit, 'more run')}"


def _run_lines(run: "JudgedRun", impact: "RevisionImpact", metric: str) -> Iterator[str]:
    made_of = ""
    if run.bundle not in (None, impact.bundle):
        made_of = f"  (on {run.bundle} {run.before} -> {run.after or 'nothing'})"
    yield f"{run.backtest_id}  {run.name or ''}".rstrip() + made_of
    yield from (f"  {reason}" for reason in run.reasons)
    if run.movement is not None:
        yield from (f"  {line}" for line in _movement_lines(run.movement, metric))


def _movement_lines(movement: "Movement", metric: str) -> Iterator[str]:
    from backtrail.batch.history.listing import params_words
    from backtrail.batch.history.rerunning import MAIN_METRICS

    if movement.problems:
        yield f"{movement.state}: {'; '.join(movement.problems)}"
        return
    how = "executed again" if movement.run is None else f"as run {movement.run} has it"
    yield f"results {movement.state}, {how}"
    if movement.state == "equal":
        return
    for name in dict.fromkeys((*MAIN_METRICS, metric)):
        move = movement.metrics.get(name)
        if move is not None:
            by = f", by {move.difference:+.6g}" if move.difference else ""
            yield f"  {name}: {number_words(move.before)} -> {number_words(move.after)}{by}"
    if movement.selected is not None:
        yield "  selected: " + " -> ".join(map(params_words, movement.selected))
    if movement.verdict is not None:
        words = ("passed" if passed else "not passed" for passed in movement.verdict)
        yield "  verdict: " + " -> ".join(words)
    if movement.trade is not None:
        yield from (f"  {line}" for line in parting_lines("first differing trade", movement.trade))
    yield from (f"  not of the data alone: {remark}" for remark in movement.remarks)
