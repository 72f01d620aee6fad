"""The commands that look back: `replay`, `why` and `diff`."""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from backtrail.canonical import pretty_json
from backtrail.commands.options import (
    add_command,
    config_files,
    count_from_zero,
    existing_store,
    read_places,
)
from backtrail.commands.showing import show_in_store
from backtrail.errors import BacktrailError
from backtrail.wording import counted

if TYPE_CHECKING:
    from backtrail.batch.history.diffing import Parting, ResultDifference, RunDifference
    from backtrail.batch.history.replay import Replay

__all__ = ["add_history_commands", "number_words", "parting_lines"]


def add_history_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the command line."""
    text = "execute sealed runs again from their captured code and compare every file"
    replay = add_command(commands, "replay", _replay, text)
    replay.add_argument("runs", nargs="*", help="backtest ids, or their beginnings")
    replay.add_argument("--all", action="store_true", help="every sealed run of the store")
    replay.add_argument(
        "--restore", action="store_true", help="put back missing files before comparing"
    )
    text = "say why a run exists beside the one before it: code, data, parameters, settings"
    why = add_command(commands, "why", _why, text)
    why.add_argument("run", help="backtest id, or its beginning")
    text = "compare two runs: code, data, parameters, results and the first differing trade"
    diff = add_command(commands, "diff", _diff, text)
    diff.add_argument("before", help="backtest id of a run, or its beginning")
    diff.add_argument("after", help="backtest id of another run, or its beginning")
    diff.add_argument(
        "--limit",
        type=count_from_zero,
        default=10,
        metavar="N",
        help="bars to show of each kind (default: 10)",
    )


def _replay(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.history.replay import replay_runs
    from backtrail.batch.planning.limits import read_limits

    places = read_places(options)
    limits = read_limits(config_files(options), places.root)
    if bool(options.runs) == options.all:
        raise BacktrailError("name the runs to replay, or give --all for every sealed run")
    store = existing_store(options)
    runs = [find_run(store, name) for name in options.runs] or [
        run for run in store.run_dirs() if run.success.exists()
    ]
    replays = []
    for replay in replay_runs(store, runs, places.bundles, limits, restore=options.restore):
        replays.append(replay)
        if not options.json:
            for line in _replay_lines(replay):
                print(line, flush=True)
    if any(replay.attestation for replay in replays):
        show_in_store(options, "the replays are attested")
    if options.json:
        print(pretty_json([replay.to_dict() for replay in replays]), end="")
    else:
        counts = Counter(replay.state for replay in replays)
        states = ("identical", "same content", "differs", "failed", "refused")
        said = ", ".join(f"{counts[state]} {state}" for state in states if counts[state])
        print(said or "no sealed runs")
    return 0 if all(replay.agrees for replay in replays) else 1


def _replay_lines(replay: "Replay") -> Iterator[str]:
    equal = sum(item.state == "identical" for item in replay.files)
    said = f", {equal} of {len(replay.files)} files identical" if replay.files else ""
    grade = f", grade {replay.grade}" if replay.grade else ""
    name = "" if replay.name == replay.backtest_id else f"  {replay.name}"
    yield f"{replay.state:<12}  {replay.backtest_id}{name}{said}{grade}"
    for path in replay.restored:
        yield f"    put back {path}"
    for problem in replay.problems:
        yield f"    {problem}"
    for item in replay.files:
        if item.state != "identical":
            yield f"    {item.path}: {item.state}" + (f", {item.first}" if item.first else "")
    if replay.state != "identical":
        for change in replay.environment:
            yield f"    environment: {change}"


def _why(options: argparse.Namespace) -> int:
    from backtrail.batch.history.reading import find_run
    from backtrail.batch.history.why import explain_run

    places = read_places(options)
    store = existing_store(options)
    explained = explain_run(store, find_run(store, options.run), places.bundles)
    if options.json:
        print(pretty_json(asdict(explained)), end="")
        return 0
    print(f"{explained.backtest_id}  {', '.join(explained.names)}")
    if explained.relation == "name":
        print(f"not {explained.predecessor}, the run of this name before it, because")
    elif explained.relation == "strategy":
        print(f"the first of its name; not {explained.predecessor}, the most similar run, because")
    for reason in explained.reasons:
        print(f"  {reason}")
    if explained.unchanged:
        print(f"unchanged: {', '.join(explained.unchanged)}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    from backtrail.batch.history.diffing import diff_runs
    from backtrail.batch.history.reading import find_run

    places = read_places(options)
    store = existing_store(options)
    before, after = (find_run(store, name) for name in (options.before, options.after))
    difference = diff_runs(store, before, after, places.bundles, limit=options.limit)
    if options.json:
        print(pretty_json(difference.to_dict()), end="")
    else:
        for line in _diff_lines(difference):
            print(line)
    return 1 if difference else 0


def _diff_lines(difference: "RunDifference") -> Iterator[str]:
    from backtrail.data.comparison import dataset_sentences

    for item in difference.code:
        yield from (f"code: {item.path} {item.kind}", *item.diff, "")
    if difference.data_note is not None:
        yield f"data: {difference.data_note}"
    if difference.data is not None:
        yield f"data: dataset {difference.data.before} -> {difference.data.after}"
        yield from (f"  {sentence}" for sentence in dataset_sentences(difference.data))
    if difference.values:
        yield "parameters and settings:"
        yield from (f"  {value}" for value in difference.values)
    if difference.environment:
        yield "environment:"
        yield from (f"  {change}" for change in difference.environment)
    if difference.results:
        yield "results:"
        yield from (f"  {line}" for line in _result_lines(difference.results))


def _result_lines(results: "ResultDifference") -> Iterator[str]:
    if results.status:
        yield f"status: {results.status[0]} -> {results.status[1]}"
    for name, (before, after) in results.metrics.items():
        yield f"{name}: {number_words(before)} -> {number_words(after)}"
    for name, (before, after) in results.tables.items():
        rows = "" if before == after else f", {_rows(before)} -> {_rows(after)}"
        yield f"{name} differs{rows}"
    yield from (f"{name} differs" for name in results.files)
    if results.equity is not None:
        yield f"first differing bar: {results.equity}"
    if results.decision is not None:
        yield from parting_lines("decisions part", results.decision)
    elif results.order is not None:
        yield from parting_lines("the same decisions, otherwise filled,", results.order)
    if results.trade is not None:
        yield from parting_lines("first differing trade", results.trade)


def _rows(count: int | None) -> str:
    return "no table" if count is None else counted(count, "row")


def number_words(value: float | None) -> str:
    """Return the value of a metric to six digits."""
    return "nothing" if value is None else f"{value:.6g}"


def parting_lines(what: str, parting: "Parting") -> Iterator[str]:
    """Yield where two runs part, and the rows of both there.

    Args:
        what: What parts, in words.
        parting: Where.
    """
    bar = "" if parting.bar is None else f", bar {parting.bar}"
    columns = f" ({', '.join(parting.columns)})" if parting.before and parting.after else ""
    yield f"{what} at {parting.at}{bar}: {parting.table} row {parting.row}{columns}"
    yield f"  before: {_row(parting.before)}"
    yield f"  after:  {_row(parting.after)}"


def _row(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "no such row"
    return ", ".join(f"{name}={value}" for name, value in row.items() if value is not None)
