import logging
import shutil

from backtrail.batch.closing.index import render_store_index
from backtrail.batch.closing.linking import link_catalog


def test_a_run_whose_equity_cannot_be_read_is_named_and_the_page_is_made(project, caplog):
    plan, _ = project.run()
    (planned,) = plan.runs
    equity = project.store.run(planned.backtest_id).results / "backtest_results.parquet"
    equity.write_bytes(b"no table")
    link_catalog(f"sqlite:///{project.root}/c.sqlite", project.store, project.bundles)
    with caplog.at_level(logging.WARNING):
        render_store_index(project.store, project.bundles)
    assert planned.backtest_id in project.store.index.read_text()
    (warning,) = caplog.messages
    assert warning.startswith(f"the page shows no equity of {planned.backtest_id}: ")


def test_a_dataset_that_is_being_built_is_not_looked_at(project):
    project.run()
    (whole,) = (path.parent for path in project.bundles.glob("*/*/manifest.json"))
    half = whole.with_name(f".{whole.name}.building~")
    shutil.copytree(whole, half)
    (half / "manifest.json").chmod(0o644)
    (half / "manifest.json").write_text("{")
    link_catalog(f"sqlite:///{project.root}/c.sqlite", project.store, project.bundles)
    render_store_index(project.store, project.bundles)
    assert project.store.index.exists()
