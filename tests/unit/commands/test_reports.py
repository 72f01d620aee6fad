import json
from pathlib import Path

import pytest
from batch.support import Project, batch_config, entry

from backtrail.cli import main

CONFIG = ("--configfile", "config.yaml")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with two runs of one strategy and one that failed."""
    project = Project.make(tmp_path_factory.mktemp("reports") / "project")
    project.write("strategies/bad.py", "raise ValueError('no luck')\n")
    bad = entry(strategy="strategies/bad.py")
    batch = {"sma": entry(), "slow": entry(params={"fast": 4}), "bad": bad}
    project.configure(batch_config(batch=batch))
    project.run()
    return project


@pytest.fixture
def call(made, monkeypatch, capsys):
    """Run a command in the project; return status, output and errors."""
    monkeypatch.chdir(made.root)

    def call(*arguments):
        status = main([*arguments, *CONFIG])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def ids(made):
    return {run.read_spec()["labels"]["names"][0]: run.backtest_id for run in made.store.run_dirs()}


def test_report_makes_what_the_config_asks_for_and_prints_where_it_is(call, ids):
    status, out, err = call("report", ids["sma"], ids["slow"])
    assert (status, err) == (0, "")
    pages = [Path(line) for line in out.splitlines()]
    assert [(page.parents[2].name, page.name) for page in pages] == [
        (ids[name], f"{kind}_report.html")
        for name in ("sma", "slow")
        for kind in ("basic", "advanced")
    ]
    for page in pages:
        assert page.parents[2].name in page.read_text()


def test_kind_and_theme_of_the_call_have_more_weight_than_the_config(call, ids):
    status, out, _ = call("report", ids["sma"], "--kind", "advanced", "--theme", "light", "--json")
    (page,) = json.loads(out)[ids["sma"]]
    assert status == 0
    assert page.endswith("advanced_report.html")
    assert 'data-theme="light"' in Path(page).read_text()


def test_a_failed_run_has_its_page_and_an_unknown_one_an_error(call, ids):
    status, out, _ = call("report", ids["bad"])
    assert (status, Path(out.strip()).name) == (0, "failed_run.html")
    assert "no luck" in Path(out.strip()).read_text()
    status, out, err = call("report", "1999")
    assert (status, out) == (1, "")
    assert "there is no run '1999'" in err


def test_what_the_config_says_wrong_of_reports_is_said(call, ids, made, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("reports: {theme: drak}\n")
    status, _, err = call("report", ids["sma"], "--configfile", str(wrong))
    assert status == 1
    assert "reports.theme" in err
    wrong.write_text("reports: {templates: nowhere}\n")
    status, _, err = call("report", ids["sma"], "--configfile", str(wrong))
    assert status == 1
    assert "nowhere does not exist; make it, name another one, or leave the key out" in err
