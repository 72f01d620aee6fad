import shutil

import pytest

from backtrail.batch.closing.captured_code import StoredCode
from backtrail.batch.closing.index import render_store_index
from backtrail.batch.closing.linking import link_catalog
from tests.unit.reports.test_basic import data_of


@pytest.fixture
def two(project):
    """A project with a run, and another one made after an edit of a file that it imports."""
    (first,) = project.run()[0].runs
    means = project.root / "strategies/lib/means.py"
    means.write_text(means.read_text() + "\n\n# </script> 😀\n")
    (second,) = project.run()[0].runs
    assert first.backtest_id != second.backtest_id
    return project, first.backtest_id, second.backtest_id


def page_data(project):
    link_catalog(f"sqlite:///{project.root}/c.sqlite", project.store, project.bundles)
    render_store_index(project.store, project.bundles)
    return data_of(project.store.index.read_text(encoding="utf-8"))


def test_the_page_has_the_files_that_runs_captured_and_not_those_of_today(two):
    project, first, second = two
    (project.root / "strategies/lib/means.py").write_text("today = 1\n")
    data = page_data(project)
    hashes, code = data["rows"]["columns"]["code_hash"], data["code"]
    assert data["rows"]["columns"]["backtest_id"] == [first, second]
    path = "strategies/lib/means.py"
    old, new = (code["files"][code["closures"][item][path]]["text"] for item in hashes)
    assert old == "def mean(x):\n    return float(sum(x)) / len(x)\n"
    assert new == old + "\n\n# </script> 😀\n"
    assert len({code["closures"][item]["strategies/sma.py"] for item in hashes}) == 1
    assert (data["rows"]["damage"], code["absent"], code["lost"]) == ({}, {}, [])


def test_code_that_was_altered_or_is_missing_in_a_run_is_told_and_what_was_captured_is_shown(two):
    project, first, second = two
    path = "strategies/lib/means.py"
    mine = project.store.run(first).code / path
    mine.unlink()  # as an editor does that writes a new file
    mine.write_text("evil = 1\n")
    shutil.rmtree(project.store.run(second).code)
    data = page_data(project)
    assert data["rows"]["damage"]["0"] == [[path, "altered"]]
    files = data["code"]["closures"][data["rows"]["columns"]["code_hash"][1]]
    assert data["rows"]["damage"]["1"] == [[name, "missing"] for name in sorted(files)]
    assert "evil" not in project.store.index.read_text()


def test_a_file_that_was_altered_in_all_its_links_is_lost_and_told(two):
    project, first, _ = two
    path = "strategies/lib/means.py"
    linked = project.store.run(first).code / path
    before = linked.read_bytes()
    linked.chmod(0o644)
    linked.write_text("evil = 1\n")
    sha256 = StoredCode(project.store).files(first)[path]
    data = page_data(project)
    assert data["code"]["lost"] == [sha256]
    assert data["rows"]["damage"] == {"0": [[path, "altered"]]}
    assert "evil" not in project.store.index.read_text()
    shutil.rmtree(project.store.objects)
    linked.write_bytes(before)
    data = page_data(project)
    assert (data["code"]["lost"], data["rows"]["damage"]) == ([], {}), "the run's own copy will do"
