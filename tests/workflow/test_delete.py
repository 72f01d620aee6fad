"""Deleting runs as calls of snakemake see it: what a batch asks for comes back, nothing else."""

import json
from pathlib import Path

import pytest

from tests.workflow.project import Project, nothing_to_do


def names(project: Project) -> list[str]:
    return sorted(row["name"] for row in project.backtrail_json("list"))


@pytest.mark.slow
def test_a_deleted_run_is_made_anew_only_when_a_batch_asks_for_it(project: Project) -> None:
    old, kept = project.named("hold").name, project.named("sma").name
    project.replace("config/config.yaml", "  hold:", "  held:")
    assert "4 runs: 0 new, 4 reused, 0 failed" in project.snakemake()
    config = project.config()
    del config["batch"]["held"]
    project.configure(config)
    assert "3 runs: 0 new, 3 reused, 0 failed" in project.snakemake()
    sealed = project.checksums(kept)

    said = project.backtrail("delete", old)
    assert said.startswith(f"{old}  hold, completed, 0.")
    assert "    planned as held, hold: the next snakemake of a batch that still has it" in said
    assert said.endswith("; 3 kept. Nothing was deleted: give --yes\n")
    assert names(project) == ["hold", "sma", "sma-grid/fast=3", "sma-grid/fast=8"]
    deleted = project.backtrail_json("delete", old, "--yes")
    assert deleted["deleted"]
    assert [run["backtest_id"] for run in deleted["runs"]] == [old]
    assert not (project.store / old).exists()
    assert names(project) == ["sma", "sma-grid/fast=3", "sma-grid/fast=8"]
    assert old not in (project.store / "index.html").read_text()
    assert nothing_to_do(project.snakemake()), "no batch of this config has the run"
    assert project.checksums(kept) == sealed
    for command in ("show", "why", "replay"):
        assert f"run {old} (hold, completed) was deleted 2" in project.backtrail(
            command, old, status=1
        )

    config["batch"]["hold"] = {**config["batch"]["sma"], "strategy": "strategies/hold.py"}
    for key in ("params", "symbols"):
        del config["batch"]["hold"][key]
    project.configure(config)
    assert "4 runs: 1 new, 3 reused, 0 failed" in project.snakemake()
    new = project.named("hold")
    key = json.loads((new / "run.json").read_bytes())["run_key"]
    stone = json.loads((project.store / f".ledger/tombstones/{key}.json").read_bytes())
    assert (stone["runs"][0]["backtest_id"], new.name > old) == (old, True)
    assert project.checksums(kept) == sealed
    assert f"equal content has been run again as {new.name}" in project.backtrail(
        "show", old, status=1
    )
    assert nothing_to_do(project.snakemake())

    project.backtrail("delete", new.name, "--yes")
    assert "4 runs: 1 new, 3 reused, 0 failed" in project.snakemake(), "its batch asks for it"
    assert nothing_to_do(project.snakemake())
    assert project.temporary_files() == []


@pytest.mark.slow
def test_runs_of_an_archive_are_reused_where_the_same_batch_is_run(
    project: Project, tmp_path: Path
) -> None:
    fresh = Project.make(tmp_path / "another")
    file = fresh.root / "all.tar.gz"
    project.backtrail("archive", *project.run_ids(), "--out", str(file))
    sealed = {name: text for name, text in project.checksums().items() if "/reports/" not in name}
    fresh.backtrail("archive", "--into-store", str(file))
    assert {name: text for name, text in fresh.checksums().items() if name in sealed} == sealed
    assert "4 runs: 0 new, 4 reused, 0 failed" in fresh.snakemake()
    assert {name: text for name, text in fresh.checksums().items() if name in sealed} == sealed
    assert nothing_to_do(fresh.snakemake())
    fresh.backtrail("views")
    assert nothing_to_do(fresh.snakemake())
    assert len(fresh.run_ids()) == 4
