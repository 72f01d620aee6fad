import json

from backtrail.batch.closing import close_failed_batch, link_catalog, render_store_index

from .support import batch_config, entry, functions


def test_closing_links_every_run_and_shows_it_on_the_page(project, tmp_path):
    project.write("strategies/bad.py", functions(initialize="raise ValueError('<b>no</b>')"))
    bad = entry(strategy="strategies/bad.py")
    project.configure(batch_config(batch={"sma": entry(), "bad": bad}))
    plan, _ = project.run()
    url = f"sqlite:///{project.store.base_dir / 'catalog.sqlite'}"
    receipt = tmp_path / "receipts" / "catalog.json"
    receipt.parent.mkdir()
    said = link_catalog(url, project.store, project.bundles, receipt)
    assert said == "catalog: 2 runs added, 0 updated, 0 removed, 2 in all"
    first = json.loads(receipt.read_bytes())
    assert first["runs"] == 2
    render_store_index(project.store, project.bundles)
    page = project.store.index.read_text()
    for run in plan.runs:
        assert run.backtest_id in page
    assert "<b>no</b>" not in page
    link_catalog(url, project.store, project.bundles, receipt)
    assert json.loads(receipt.read_bytes()) == first


def test_closing_a_batch_that_made_nothing_makes_nothing(project):
    close_failed_batch("sqlite:///unused.sqlite", project.store, project.bundles)
    assert not project.store.base_dir.exists()
