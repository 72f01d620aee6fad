"""Tags as a call of snakemake sees them: labels that reach the index and rerun nothing."""

import json

import pytest

from tests.workflow.project import Project, nothing_to_do

FAILING = """
def initialize(context):
    raise ValueError("no")


def handle_data(context, data):
    pass
"""


def tags_of(project: Project) -> dict[str, list[str]]:
    rows = project.backtrail_json("list")
    return {row["name"]: json.loads(row["tags_json"]) for row in rows}


def test_tags_change_the_index_and_no_run(project: Project) -> None:
    sealed, plans = project.checksums(), sorted((project.store / ".plans").glob("*/plan.json"))
    config = project.config()
    config["defaults"]["tags"] = ["baseline"]
    config["batch"]["hold"]["tags"] = ["paper", "index-1"]
    project.configure(config)
    said = project.snakemake()
    assert "4 runs: 0 new, 4 reused, 0 failed" in said
    assert "Rendering the report" not in said
    assert project.checksums() == sealed
    assert sorted((project.store / ".plans").glob("*/plan.json")) == plans
    assert tags_of(project) == {
        "sma": ["baseline"],
        "sma-grid/fast=3": ["baseline"],
        "sma-grid/fast=8": ["baseline"],
        "hold": ["index-1", "paper"],
    }
    assert '["index-1","paper"]' in (project.store / "index.html").read_text()
    assert nothing_to_do(project.snakemake())
    project.backtrail("tag", project.named("sma").name, "--add", "by-hand")
    assert '["baseline","by-hand"]' in (project.store / "index.html").read_text()
    assert nothing_to_do(project.snakemake()), "the page that the command rendered is not old"


@pytest.mark.slow
def test_tags_are_taken_back_by_who_gave_them(project: Project) -> None:
    config, sealed = project.config(), project.checksums()
    config["defaults"]["tags"] = ["baseline"]
    config["batch"]["hold"]["tags"] = ["paper", "index-1"]
    project.configure(config)
    project.snakemake()
    project.backtrail("tag", project.named("sma").name, "--remove", "baseline", "--add", "mine")
    del config["batch"]["hold"]["tags"]
    project.configure(config)
    assert "0 new, 4 reused" in project.snakemake()
    assert (tags_of(project)["sma"], tags_of(project)["hold"]) == (["mine"], ["baseline"])
    assert "index-1" not in (project.store / "index.html").read_text()
    assert nothing_to_do(project.snakemake())
    del config["defaults"]["tags"]
    project.configure(config)
    project.snakemake()
    assert [name for name, tags in tags_of(project).items() if tags] == ["sma"]
    assert nothing_to_do(project.snakemake())
    assert project.checksums() == sealed


@pytest.mark.slow
def test_two_batches_that_share_runs_keep_their_tags_apart(project: Project) -> None:
    first, second = project.config(), project.config()
    first["batch"]["hold"]["tags"] = ["first"]
    second["batch"]["hold"]["tags"] = ["second"]
    second["batch"]["bad"] = {**second["batch"]["hold"], "strategy": "strategies/bad.py"}
    second["batch"]["bad"]["tags"] = ["broken"]
    del second["batch"]["sma-grid"]
    project.write("strategies/bad.py", FAILING)
    project.configure(first)
    project.configure(second, "config/second.yaml")
    project.snakemake()
    said = project.snakemake("--configfile", "config/second.yaml", status=1)
    assert "0 new, 2 reused, 1 failed" in said
    assert tags_of(project)["hold"] == ["first", "second"]
    assert tags_of(project)["bad"] == ["broken"], "a run that failed has its tags, too"
    del second["batch"]["bad"]
    project.configure(second, "config/second.yaml")
    for arguments in (("--configfile", "config/second.yaml"), ()):
        project.snakemake(*arguments)
    for arguments in (("--configfile", "config/second.yaml"), ()):
        assert nothing_to_do(project.snakemake(*arguments))
    del second["batch"]["hold"]["tags"]
    project.configure(second, "config/second.yaml")
    project.snakemake("--configfile", "config/second.yaml")
    assert tags_of(project)["hold"] == ["first"]
