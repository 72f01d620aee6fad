import json
import sys

import polars as pl
import pytest

from backtrail.artifacts.manifest import inspect_run, is_sealed
from backtrail.batch import stages
from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.history.replay import replay_runs
from backtrail.batch.history.showing import run_text
from backtrail.batch.holdout import open_holdout
from backtrail.batch.stages.searching import cover
from backtrail.batch.stages.working import WorkingFiles
from backtrail.errors import RunFailedError, SealError
from backtrail.reports.settings import ReportConfig
from tests.unit.batch.execution.test_searching import SIGNAL, SPACE
from tests.unit.batch.support import batch_config, entry


def plan_search(project, text=SIGNAL, *, sets_per_job=3, **keys):
    """Return the project's only run, planned and captured, and its chunks."""
    project.write("strategies/sma.py", text)
    optimize = {"space": SPACE, **keys.pop("optimize", {})}
    execution = {"sets_per_job": sets_per_job}
    entries = {"s": entry(optimize=optimize, **keys)}
    project.configure(batch_config(batch=entries, execution=execution))
    plan = project.plan()
    (planned,) = plan.runs
    stages.capture_code(project.store, planned.backtest_id)
    return planned.backtest_id, plan.searches[planned.backtest_id]


def finish(project, backtest_id, chunks=()):
    with project.executor() as executor:
        for chunk in chunks:
            stages.evaluate_chunk(project.store, backtest_id, chunk, executor)
        stages.select_parameters(project.store, backtest_id, executor)
        stages.run_backtest(project.store, backtest_id, executor)
        stages.seal_run(project.store, backtest_id)
    return project.store.run(backtest_id)


def results(run):
    return {
        path.relative_to(run.path).as_posix(): path.read_bytes()
        for path in run.results.rglob("*")
        if path.is_file()
    }


def test_chunks_that_are_missing_are_evaluated_by_the_selection(project, tmp_path):
    backtest_id, chunks = plan_search(project)
    assert chunks == tuple(f"{a:09d}-{b:09d}" for a, b in ((0, 3), (3, 6), (6, 8)))
    whole = results(finish(project, backtest_id, chunks[::-1]))
    other = type(project).make(tmp_path / "other")
    again, cut = plan_search(other)
    assert results(finish(other, again, cut[1:2])) == whole


def test_a_chunk_that_is_done_is_left_as_it_is(project):
    backtest_id, chunks = plan_search(project)
    work = WorkingFiles(project.store.run(backtest_id))
    with project.executor() as executor:
        said = stages.evaluate_chunk(project.store, backtest_id, chunks[0], executor)
        assert said.startswith(f"{backtest_id}: 38% of the search, 3 sets, ")
        first = work.rows(chunks[0]).stat()
        stages.evaluate_chunk(project.store, backtest_id, chunks[0], executor)
    assert work.rows(chunks[0]).stat() == first
    record = work.read_record(chunks[0])
    assert record["sets"] == 3
    assert record["seconds"] > 0
    assert record["max_rss_mb"] > 10
    assert "asked for 2" in (work.logs(chunks[0]) / "stdout.txt").read_text()


STEPPED = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Params:
    fast: int = 2
    slow: int = 5

def step(close, fast, slow):
    levels = {"in": 1.0}
    levels["out"] = [0.0]
    return levels["in"] if close % slow > fast else levels["out"][0]
"""


def test_what_a_chunk_was_warned_of_is_told_by_its_job(project, caplog):
    backtest_id, chunks = plan_search(project, STEPPED)
    with project.executor() as executor:
        stages.evaluate_chunk(project.store, backtest_id, chunks[0], executor)
    (record,) = [one for one in caplog.records if one.levelname == "WARNING"]
    told = record.getMessage()
    assert told.startswith(
        f"chunk {chunks[0]} wrote to standard error: step of strategy sma is not"
    )
    assert "it is stepped in Python" in told


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_chunks_are_forked_from_a_process_that_has_the_kernel_and_runs_from_one_without(project):
    question = 'print("llvmlite" in open(f"/proc/{os.getppid()}/maps").read())'
    text = "import os\n" + SIGNAL.replace('print("asked for", params.fast)', question)
    backtest_id, chunks = plan_search(project, text)
    run = project.store.run(backtest_id)
    with project.executor() as executor:
        for chunk in chunks:
            stages.evaluate_chunk(project.store, backtest_id, chunk, executor)
        said = [(WorkingFiles(run).logs(chunk) / "stdout.txt").read_text() for chunk in chunks]
        stages.select_parameters(project.store, backtest_id, executor)
        stages.run_backtest(project.store, backtest_id, executor)
    assert set("".join(said).split()) == {"True"}
    assert (run.logs / "stdout.txt").read_text() == "False\n"


@pytest.mark.parametrize(
    ("chunks", "taken", "gaps"),
    [
        ([], [], [(0, 10)]),
        ([(0, 4), (4, 10)], [(0, 4), (4, 10)], []),
        ([(6, 8), (0, 4)], [(0, 4), (6, 8)], [(4, 6), (8, 10)]),
        ([(0, 4), (2, 6), (6, 10), (4, 5)], [(0, 4), (4, 5), (6, 10)], [(5, 6)]),
    ],
)  # fmt: skip
def test_chunks_of_another_plan_are_used_where_they_do_not_overlap(chunks, taken, gaps):
    def names(ranges):
        return [f"{first:09d}-{stop:09d}" for first, stop in ranges]

    assert cover(names(chunks), 10) == (names(taken), names(gaps))


def test_a_sealed_search_says_what_it_took_and_counts_its_sets(project):
    run = finish(project, *plan_search(project))
    assert is_sealed(run)
    assert not inspect_run(run)
    assert not run.working.exists()
    manifest = run.read_manifest()
    assert manifest["run_type"] == "optimization"
    assert manifest["selection"] == run.read_selection()
    assert manifest["timings"]["chunks"] == 3
    assert manifest["timings"]["search_seconds"] > 0
    assert manifest["gaps"] == []
    assert manifest["grade"] == "B"
    assert {"results/optimization_results.parquet", "results/frontier.parquet"} <= {
        name for name, item in manifest["inventory"].items() if "content_sha256" in item
    }
    trial = json.loads(
        (
            project.store.ledger / "trials" / manifest["identity"]["dataset"]["dataset_id"]
            / f"{manifest['run_key']}.json"
        ).read_bytes()
    )  # fmt: skip
    assert trial["sets"] == 8
    assert trial["run_type"] == "optimization"
    assert trial["sets_sha256"] == manifest["selection"]["sets_sha256"]


def test_a_search_replays_and_its_tables_come_back_byte_for_byte(project):
    backtest_id, chunks = plan_search(project)
    run = finish(project, backtest_id, chunks)
    before = results(run)
    limits = Limits(seconds=60.0)
    (replay,) = replay_runs(project.store, [run], project.bundles, limits)
    assert replay.state == "identical", replay
    assert {"results/optimization_results.parquet", "results/selection.json"} <= {
        item.path for item in replay.files
    }
    for name in ("optimization_results.parquet", "selection.json", "trades.parquet"):
        (run.results / name).unlink()
    (run.metadata).unlink()
    with project.executor() as executor:
        stages.restore_run(project.store, backtest_id, executor)
    assert results(run) == before
    assert not inspect_run(run)


def test_every_stage_leaves_a_sealed_search_as_it_is(project):
    backtest_id, chunks = plan_search(project)
    run = finish(project, backtest_id, chunks)
    before = results(run)
    finish(project, backtest_id, chunks)
    assert results(run) == before
    assert not inspect_run(run)
    assert not run.working.exists()


def test_an_altered_selection_is_not_sealed(project):
    backtest_id, _chunks = plan_search(project)
    with project.executor() as executor:
        stages.select_parameters(project.store, backtest_id, executor)
        stages.run_backtest(project.store, backtest_id, executor)
    run = project.store.run(backtest_id)
    chosen = run.read_selection()
    run.selection.write_text(json.dumps({**chosen, "sets": 1}))
    with pytest.raises(SealError, match=r"selection\.json of run .* was altered before the seal"):
        stages.seal_run(project.store, backtest_id)


BROKEN = "raise RuntimeError('no such day')\n"


def test_a_strategy_that_cannot_be_loaded_is_told_once_for_all_chunks(project):
    backtest_id, chunks = plan_search(project, BROKEN)
    run = project.store.run(backtest_id)
    for attempt in (1, 2):
        with project.executor() as executor:
            for chunk in chunks:
                with pytest.raises(RunFailedError, match="RuntimeError: no such day"):
                    stages.evaluate_chunk(project.store, backtest_id, chunk, executor)
        manifest = run.read_manifest()
        assert (manifest["status"], manifest["attempt"]) == ("failed", attempt)
        assert manifest["error"]["stage"] == "evaluate_chunk"
        assert manifest["error"]["chunk"] == chunks[0]
    errors = pl.read_parquet(run.errors / "errors.parquet")
    assert errors["stage"].to_list() == ["evaluate_chunk"]
    assert (run.errors / "failed_run.html").exists()


SLOW_SET = SIGNAL.replace(
    'print("asked for", params.fast)',
    "import time\n    time.sleep(0 if params.fast < 5 else 60)",
)


def test_a_chunk_that_outruns_its_time_fails_and_the_others_stay(project):
    backtest_id, chunks = plan_search(project, SLOW_SET)
    run = project.store.run(backtest_id)
    with project.executor() as executor:
        stages.evaluate_chunk(project.store, backtest_id, chunks[0], executor)
    kept = WorkingFiles(run).rows(chunks[0]).stat()
    with (
        project.executor(seconds=3.0) as executor,
        pytest.raises(RunFailedError, match="stopped after its time limit of 3 s"),
    ):
        stages.evaluate_chunk(project.store, backtest_id, chunks[2], executor)
    assert run.failed.exists()
    assert WorkingFiles(run).rows(chunks[0]).stat() == kept
    assert WorkingFiles(run).chunks() == [chunks[0]]


def test_a_search_without_an_admissible_set_fails_and_keeps_its_table(project):
    backtest_id, _chunks = plan_search(project, optimize={"constraints": ["total_trades >= 1000"]})
    with (
        project.executor() as executor,
        pytest.raises(RunFailedError, match="NoAdmissibleSetError: none of 8 parameter sets"),
    ):
        stages.select_parameters(project.store, backtest_id, executor)
    run = project.store.run(backtest_id)
    assert run.read_manifest()["error"]["stage"] == "select_parameters"
    table = pl.read_parquet(run.errors / "optimization_results.parquet")
    assert table["admissible"].to_list() == [False] * 8
    assert len(WorkingFiles(run).chunks()) == 1, "a retry needs not to evaluate again"


FUNCTIONS = """
from dataclasses import dataclass


@dataclass(frozen=True)
class Params:
    size: int = 10


def initialize(context):
    context.bought = False
    context.artifact_manager.get_result_path("note.txt").write_text(str(context.params.size))


def handle_data(context, data):
    from backtrail.engine.api import order

    if not context.bought:
        order(context.universe[0], context.params.size)
        context.bought = True
"""


def test_a_strategy_in_event_form_is_searched_and_only_its_selected_run_leaves_files(project):
    backtest_id, chunks = plan_search(
        project, FUNCTIONS, optimize={"space": {"size": [10, 400, 50]}, "objective": "total_return"}
    )
    run = finish(project, backtest_id, chunks)
    table = pl.read_parquet(run.results / "optimization_results.parquet")
    assert table["error"].to_list() == [None] * 3
    best = table.sort("total_return", descending=True).row(0, named=True)
    assert (run.results / "note.txt").read_text() == str(best["params.size"])
    metrics = run.read_manifest()["metrics"]
    assert metrics["total_return"] == pytest.approx(best["total_return"], rel=1e-9)


def test_a_search_is_shown_with_what_it_selected(project):
    backtest_id, chunks = plan_search(project, validate={"holdout": {"start": "2020-02-20"}})
    run = finish(project, backtest_id, chunks)
    text = run_text(run)
    assert "parameters  searched, see below" in text
    assert "space      fast 2 to 5 by 1; slow 8, 12" in text
    assert "best of 8 parameter sets by grid, 2 of which failed; sharpe_ratio" in text
    assert "from 2020-02-20 on, withheld from the search" in text
    chosen = run.read_selection()["params"]
    assert f"fast={chosen['fast']}" in text
    pages = stages.render_report(project.store, backtest_id, project.bundles)
    page = pages[0].read_text()
    assert "were selected from 8 parameter sets on the same bars" in page
    assert "2020-01-02 to 2020-02-19" in page
    assert "2020-02-20 to 2020-02-26, withheld; not looked at" in page
    assert "The search measured" not in page


KEEPING = """
from dataclasses import dataclass

COUNT = []


@dataclass(frozen=True)
class Params:
    fast: int = 2


def target_weights(bars, params):
    COUNT.append(1)
    return (bars.close > 0) * (1.0 if len(COUNT) == 3 else 0.5)
"""


def test_a_report_says_when_the_run_of_a_set_is_not_what_the_search_measured(project):
    optimize = {"space": {"fast": [1, 2, 3]}, "objective": "annual_volatility"}
    text = run_note(project, KEEPING, optimize)
    assert "The search measured a total return of" in text
    assert "keep something from one set to the next" in text


def run_note(project, text, optimize):
    backtest_id, chunks = plan_search(project, text, optimize=optimize)
    finish(project, backtest_id, chunks)
    return stages.render_report(project.store, backtest_id, project.bundles)[0].read_text()


def test_a_bar_more_forgets_neither_the_trials_nor_the_looks_at_the_same_dates(project):
    validate = {"holdout": {"start": "2020-02-10", "warm_up": 5}}
    backtest_id, chunks = plan_search(project, validate=validate)
    first = finish(project, backtest_id, chunks)
    assert first.read_spec()["trials_before"] == 0
    assert open_holdout(project.store, first, project.bundles, Limits()).look == 1
    for path in (project.root / "prices").iterdir():
        with path.open("a") as rows:
            rows.write("2020-02-27,50,51,49,50,100\n")
    backtest_id, chunks = plan_search(project, validate=validate)
    second = finish(project, backtest_id, chunks)
    before, now = (run.read_spec()["identity"]["dataset"]["dataset_id"] for run in (first, second))
    assert before != now
    assert second.read_spec()["trials_before"] == 8 + 1  # the search and the run on its holdout
    opened = open_holdout(project.store, second, project.bundles, Limits())
    assert (opened.look, opened.contaminated) == (2, True)
    record = project.store.run(opened.backtest_id).results / "validation/holdout"
    told = json.loads((record / "validation-results.json").read_bytes())
    assert "This is look 2 at these dates" in told["summary"]
    pages = list(project.store.run(opened.backtest_id).reports.glob("*.html"))
    assert pages
    text = pages[0].read_text()
    assert 'data-looks="2" data-contaminated="yes"' in text
    config = ReportConfig(kinds=("advanced",))
    (page,) = stages.render_report(
        project.store, second.backtest_id, project.bundles, config=config
    )
    assert "18 parameter sets of it on all datasets of prices" in page.read_text()
