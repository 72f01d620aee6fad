"""Past runs repeated beside the workflow that made them: what agrees, what differs, and why."""

import json
import re

import polars as pl
import pytest

from tests.workflow.project import batch_config, nothing_to_do


def index_grades(project):
    """Return the grade of every run as the comparison page has it."""
    page = (project.store / "index.html").read_text()
    data = page[page.index('"backtest_id":') :]
    decoder = json.JSONDecoder()
    ids, _ = decoder.raw_decode(data[data.index("[") :])
    column = page[page.index('"grade":') :]
    grades, _ = decoder.raw_decode(column[column.index("[") :])
    return dict(zip(ids, grades, strict=True))


@pytest.mark.slow
def test_every_run_of_a_batch_replays_and_the_next_call_makes_no_run(project):
    before = {
        name: checksum
        for name, checksum in project.checksums().items()
        if "/results/reports/" not in name
    }
    replays = project.backtrail_json("replay", "--all")
    assert {item["state"] for item in replays} == {"identical"}
    assert [item["backtest_id"] for item in replays] == project.run_ids()
    after = project.checksums()
    assert {name: after[name] for name in before} == before
    assert {row["grade"] for row in project.backtrail_json("list", "--grade", "A")} == {"A"}
    assert index_grades(project) == dict.fromkeys(project.run_ids(), "A")
    table = pl.read_parquet(project.store / "runs.parquet")
    assert set(table["grade"]) == {"A"}
    assert set(table["capture_grade"]) == {"B"}
    page = project.named("sma") / "results/reports/basic_report.html"
    assert "Provenance grade A: captured completely, and a replay agreed" in page.read_text()
    assert project.temporary_files() == []
    assert nothing_to_do(project.snakemake())
    assert index_grades(project) == dict.fromkeys(project.run_ids(), "A")
    shown = page.read_bytes()
    project.snakemake("--forcerun", "render_report")
    assert page.read_bytes() == shown, "a page that is rendered again keeps the grade"
    assert {json.loads(path.read_bytes())["run_key"] for path in ledger(project)} == {
        run["run_key"] for run in project.runs().values()
    }


def executed_rules(output):
    """Return the names of the rules whose jobs a call executed."""
    return set(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", output, re.M)) - {"default"}


def ledger(project):
    return sorted((project.store / ".ledger/replays").glob("*"))


@pytest.mark.slow
def test_a_deleted_run_that_is_made_again_has_to_be_replayed_again(project):
    run = project.named("hold")
    project.backtrail("replay", run.name)
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    run.rmdir()
    project.snakemake()
    grades = {row["backtest_id"]: row["grade"] for row in project.backtrail_json("list")}
    assert grades[run.name] == "B"
    project.backtrail("replay", run.name)
    assert {row["name"] for row in project.backtrail_json("list", "--grade", "A")} == {"hold"}
    (path,) = ledger(project)
    assert len(json.loads(path.read_bytes())["replays"]) == 2


@pytest.mark.slow
def test_a_changed_source_file_is_explained_beside_the_run_before(project):
    old = project.named("hold").name
    project.replace("prices/BBB.csv", ",1003\n", ",1004\n")
    project.snakemake()
    new = project.named("hold").name
    told = project.backtrail_json("why", new)
    assert told["predecessor"] == old
    assert told["unchanged"] == ["code", "parameters", "settings", "library"]
    assert told["reasons"][1].startswith("1 bar changed (volume 1): BBB 2020-01-07 volume 1003.0")
    assert told["reasons"][2] == "of these, 1 lie in the symbols and dates of this run"
    found = project.backtrail_json("diff", old, new, status=1)
    assert found["data"]["bars"]["changed"] == 1
    assert (found["code"], found["values"], found["results"]["decision"]) == ([], [], None)


@pytest.mark.slow
def test_a_store_above_its_limit_is_warned_of_and_a_failing_batch_too(fresh):
    config = batch_config(backtest_output={"warn_above": "0.01MB"})
    fresh.configure(config)
    output = fresh.snakemake()
    warning = "more than the 10,000 bytes of backtest_output.warn_above"
    assert "Warning: the sealed runs in " in output
    assert warning in output
    (log,) = (fresh.root / "logs/link_catalog").glob("*.log")
    assert " INFO catalog: 4 runs added, 0 updated, 0 removed, 4 in all; of the added and " in (
        log.read_text()
    )
    assert "4 completed and 0 failed" in log.read_text()
    assert " WARNING the sealed runs in " in log.read_text()
    fresh.write("strategies/hold.py", "raise ValueError('no luck')\n")
    output = fresh.snakemake(status=1)
    assert warning in output
    texts = [path.read_text() for path in (fresh.root / "logs/link_catalog").glob("*.log")]
    assert any("1 run added" in text and "0 completed and 1 failed" in text for text in texts)
