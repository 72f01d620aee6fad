import json
import re

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.stages.shards import report_shard
from backtrail.batch.stages.trials import TrialCounts
from backtrail.errors import ArtifactManagerError
from backtrail.reports.settings import ReportConfig
from tests.unit.batch.support import batch_config, entry


def add_trial(store, dataset, name, *, family="strategies/sma.py", sets=1):
    path = store.trial_path(dataset, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"run_key": name, "family": family, "sets": sets}))


def shown(page):
    """Return what a page says of trials beside its figures."""
    fact = re.search(r"<dt>Trials</dt>\s*<dd[^>]*>(?:<[^>]*>)*([^<]*)", page.read_text())
    return None if fact is None else fact[1].strip()


@pytest.fixture
def grid(project):
    """Three runs of one strategy in one shard, and the dataset they are of."""
    batch = {"sma": entry(grid={"fast": [2, 3, 4]})}
    project.configure(batch_config(batch=batch, execution={"runs_per_job": 10}))
    plan, failed = project.run()
    assert not failed
    return project, plan, plan.datasets["prices"]


def test_a_basic_page_says_how_many_sets_were_tried_when_it_was_made(grid):
    project, plan, dataset = grid
    run = project.store.run(plan.runs[0].backtest_id)
    add_trial(project.store, dataset, "a" * 64, sets=40)
    add_trial(project.store, dataset, "b" * 64, family="strategies/other.py", sets=7)
    add_trial(project.store, "0" * 16, "c" * 64, sets=900)
    (page,) = stages.render_report(project.store, run.backtest_id, project.bundles)
    assert shown(page) == (
        "43 parameter sets of this strategy file in 4 runs, and 1 run of others, on this dataset, "
        "when this page was made"
    )


def test_a_trial_more_makes_no_page_anew_and_the_next_making_counts_it(grid):
    project, plan, dataset = grid
    run = project.store.run(plan.runs[0].backtest_id)
    (page,) = stages.render_report(project.store, run.backtest_id, project.bundles)
    before, made_at = page.read_bytes(), page.stat().st_mtime_ns
    add_trial(project.store, dataset, "a" * 64, sets=40)
    stages.render_report(project.store, run.backtest_id, project.bundles, only_stale=True)
    assert (page.read_bytes(), page.stat().st_mtime_ns) == (before, made_at)
    stages.render_report(project.store, run.backtest_id, project.bundles)
    assert shown(page).startswith("43 parameter sets of this strategy file in 4 runs on")
    record = json.loads((run.reports / "reports.json").read_bytes())
    assert [item["trials"] for item in record] == [shown(page)]


def test_a_page_from_before_trials_were_recorded_is_stale_only_by_its_templates(grid):
    project, plan, _ = grid
    run = project.store.run(plan.runs[0].backtest_id)
    (page,) = stages.render_report(project.store, run.backtest_id, project.bundles)
    record = run.reports / "reports.json"
    (item,) = json.loads(record.read_bytes())
    del item["trials"]
    record.write_text(json.dumps([item]))
    made_at = page.stat().st_mtime_ns
    stages.render_report(project.store, run.backtest_id, project.bundles, only_stale=True)
    assert page.stat().st_mtime_ns == made_at


def test_a_shard_reads_the_ledger_once_for_all_its_pages_and_they_agree(
    grid, tmp_path, monkeypatch
):
    project, plan, _ = grid
    for run in plan.runs:
        reports = project.store.run(run.backtest_id).reports
        for path in reports.glob("*") if reports.exists() else ():
            path.unlink()
    opened = []
    real = json.loads

    def reading(content, *rest, **options):
        found = real(content, *rest, **options)
        if isinstance(found, dict) and found.keys() >= {"family", "sets"}:
            opened.append(found["run_key"])
        return found

    monkeypatch.setattr(json, "loads", reading)
    (shard,) = plan.report_shards
    report_shard(project.store, plan, shard, project.bundles, tmp_path / "r.json")
    monkeypatch.undo()
    keys = sorted(run.run_key for run in plan.runs)
    assert sorted(opened) == keys, "once, not for every page"
    pages = [project.store.run(run.backtest_id).reports / "basic_report.html" for run in plan.runs]
    (said,) = {shown(page) for page in pages}
    assert said.startswith("3 parameter sets of this strategy file in 3 runs on this dataset")


def test_the_page_on_paper_says_the_same(grid):
    from backtrail.reports.contents import read_contents
    from backtrail.reports.pdf import paper_data

    project, plan, _ = grid
    run = project.store.run(plan.runs[0].backtest_id)
    config = ReportConfig(kinds=("pdf",))
    stages.render_report(project.store, run.backtest_id, project.bundles, config=config)
    (record,) = json.loads((run.reports / "reports.json").read_bytes())
    said = TrialCounts(project.store).words(run)
    assert record["trials"] == said
    contents = read_contents(run.path, project.bundles)
    assert dict(paper_data(contents, trials=said)["facts"])["Trials"] == said
    assert "Trials" not in dict(paper_data(contents)["facts"])


def test_an_unreadable_record_of_the_ledger_is_an_error_that_names_it(grid):
    project, plan, dataset = grid
    store = RunStore(project.store.base_dir, project.root)
    store.trial_path(dataset, "a" * 64).write_text("{")
    with pytest.raises(ArtifactManagerError, match=f"{'a' * 64}.json is not valid JSON"):
        TrialCounts(store).words(store.run(plan.runs[0].backtest_id))
