"""A lock, as a call of snakemake sees it."""

import pytest

from tests.workflow.project import Project, nothing_to_do


@pytest.mark.slow
def test_restated_prices_fail_before_any_run_until_they_are_locked(project: Project) -> None:
    assert project.backtrail("data", "lock").startswith("prices  ")
    assert "as locked: prices" in project.backtrail("data", "lock", "--check")
    project.snakemake()  # the plan is looked at again, and nothing else
    before, ids = project.checksums(), project.run_ids()
    assert nothing_to_do(project.snakemake())
    old = (project.root / "prices/BBB.csv").read_text()
    cells = old.splitlines()[-1].split(",")
    restated = ",".join([*cells[:5], "7"])
    project.replace("prices/BBB.csv", old.splitlines()[-1], restated)
    output = project.snakemake(status=1)
    assert "locks it to" in output
    assert f"1 bar changed (volume 1): BBB {cells[0]} volume " in output
    assert "Traceback" not in output
    assert project.run_ids() == ids
    assert project.checksums() == before
    project.backtrail("data", "lock")
    project.snakemake()
    assert len(project.run_ids()) == 2 * len(ids)
    assert project.checksums(*ids) == before
    assert nothing_to_do(project.snakemake())


def test_a_pinned_dataset_needs_no_source(project: Project) -> None:
    (head,) = (
        item["dataset_id"] for item in project.backtrail_json("data", "list") if item["is_head"]
    )
    ids = project.run_ids()
    config = project.config()
    config["bundles"]["prices"]["dataset"] = head
    project.configure(config)
    for path in (project.root / "prices").iterdir():
        path.unlink()
    project.snakemake()
    assert project.run_ids() == ids
