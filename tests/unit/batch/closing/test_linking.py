import json

from backtrail.batch.closing.index import render_store_index
from backtrail.batch.closing.linking import close_failed_batch, link_catalog
from tests.unit.batch.support import batch_config, entry, functions


def test_closing_links_every_run_and_shows_it_on_the_page(project, tmp_path):
    project.write("strategies/bad.py", functions(initialize="raise ValueError('<b>no</b>')"))
    bad = entry(strategy="strategies/bad.py")
    project.configure(batch_config(batch={"sma": entry(), "bad": bad}))
    plan, _ = project.run()
    url = f"sqlite:///{project.store.base_dir / 'catalog.sqlite'}"
    receipt = tmp_path / "receipts" / "catalog.json"
    receipt.parent.mkdir()
    said = link_catalog(url, project.store, project.bundles, receipt)
    assert said == (
        "catalog: 2 runs added, 0 updated, 0 removed, 2 in all; of the added and updated 1 "
        "completed and 1 failed"
    )
    first = json.loads(receipt.read_bytes())
    assert first["runs"] == 2
    render_store_index(project.store, project.bundles)
    page = project.store.index.read_text()
    for run in plan.runs:
        assert run.backtest_id in page
    assert "<b>no</b>" not in page
    link_catalog(url, project.store, project.bundles, receipt)
    assert json.loads(receipt.read_bytes()) == first


def test_a_store_that_has_grown_large_is_warned_of_with_its_size(project, caplog):
    project.run()
    url = f"sqlite:///{project.store.base_dir / 'catalog.sqlite'}"
    receipt = project.store.base_dir / "catalog.json"
    with caplog.at_level("INFO"):
        link_catalog(url, project.store, project.bundles, receipt, warn_above=10**9)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert caplog.records[0].message.startswith("catalog: 1 run added")
    assert json.loads(receipt.read_bytes())["warning"] is None
    (run,) = project.store.run_dirs()
    listed = json.loads(run.manifest.read_bytes())["inventory"].values()
    size = sum(entry["size"] for entry in listed)
    caplog.clear()
    link_catalog(url, project.store, project.bundles, receipt, warn_above=size)
    assert caplog.records == []
    link_catalog(url, project.store, project.bundles, receipt, warn_above=size - 1)
    warning = caplog.records[-1]
    assert warning.levelname == "WARNING"
    assert f"take {size:,} bytes, more than the {size - 1:,} bytes of backtest_output" in (
        warning.message
    )
    assert json.loads(receipt.read_bytes())["warning"] == warning.message


def test_a_failed_batch_counts_its_runs_in_the_log_of_the_rule(project, tmp_path):
    project.write("strategies/sma.py", "import nowhere\n")
    project.run()
    url = f"sqlite:///{project.store.base_dir / 'catalog.sqlite'}"
    log = tmp_path / "logs/link_catalog/x.log"
    close_failed_batch(url, project.store, project.bundles, log=log)
    assert "1 run added" in log.read_text()
    assert log.read_text().endswith("0 completed and 1 failed\n")
    assert project.store.index.exists()


def test_closing_a_batch_that_made_nothing_makes_nothing(project):
    close_failed_batch("sqlite:///unused.sqlite", project.store, project.bundles)
    assert not project.store.base_dir.exists()


def test_a_failed_batch_whose_catalog_cannot_be_written_warns_and_goes_on(project, caplog):
    project.run()
    database = project.root / "c.sqlite"
    database.write_text("no database")
    log = project.root / "logs/link.log"
    url = f"sqlite:///{database}"
    close_failed_batch(url, project.store, project.bundles, log=log)
    (warning,) = caplog.messages
    assert warning.startswith(f"cannot write the catalog {url}: ")
    assert log.read_text() == f"{warning}\n"
    assert not project.store.index.exists()
    database.unlink()
    close_failed_batch(url, project.store, project.bundles, log=log)
    assert project.store.index.exists()
    assert log.read_text().splitlines()[1].startswith("catalog: 1 run added")
