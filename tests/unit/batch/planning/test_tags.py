import json

import pytest

from backtrail.artifacts.tags import read_tags
from backtrail.batch.planning.plan import make_plan
from backtrail.batch.planning.tags import tag_runs
from backtrail.errors import ConfigError
from tests.unit.batch.support import batch_config, entry


def configured(project, *, defaults=None, **tags):
    """Write a batch of `sma`, `grid`, which extends it, and `other`, with tags as given."""
    batch = {
        "sma": entry(),
        "grid": {"extends": "sma", "grid": {"fast": [3, 4]}},
        "other": entry(params={"slow": 9}),
    }
    for name, value in tags.items():
        batch[name]["tags"] = value
    sections = {"batch": batch} if defaults is None else {"batch": batch, "defaults": defaults}
    project.configure(batch_config(**sections))
    return project.batch()


def test_the_nearest_entry_that_names_tags_decides_then_the_defaults(project):
    assert configured(project).tags == {}
    assert configured(project, defaults={"tags": ["d"]}, sma=["b", "a"]).tags == {
        "sma": ["a", "b"],
        "grid": ["a", "b"],
        "other": ["d"],
    }
    assert configured(project, defaults={"tags": ["d"]}, sma=[], grid=["g"]).tags == {
        "grid": ["g"],
        "other": ["d"],
    }


def test_tags_change_neither_the_batch_key_nor_a_run_key(project):
    plain = configured(project)
    project.ingest()
    keys = [run.run_key for run in make_plan(plain).runs]
    for tagged in (
        configured(project, sma=["a"]),
        configured(project, defaults={"tags": ["d"]}),
        configured(project, defaults={}, other=[]),
    ):
        assert tagged.batch_key == plain.batch_key
    assert [run.run_key for run in make_plan(tagged).runs] == keys
    assert configured(project, defaults={"tags": ["d"], "shares": "fractional"}).batch_key != (
        plain.batch_key
    )


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("baseline", 'batch.sma.tags: "baseline" is text; write a list: labels of the runs'),
        (["a b"], r'batch.sma.tags\[0\]: "a b" has a form that is not allowed; a tag has letters'),
        (["a\n"], "has a form that is not allowed"),
        (["x" * 41], "at most 40 characters"),
        ([2024], r"batch.sma.tags\[0\]: 2024 is .*; write text"),
        (["a", "a"], r"batch.sma.tags: .*non-unique"),
        (None, r"batch.sma.tags: null stands there; write a list"),
    ],
)
def test_a_wrong_tag_is_a_mistake_also_in_a_batch_that_is_planned(project, tags, message):
    configured(project)
    project.ingest()
    make_plan(project.batch())
    with pytest.raises(ConfigError, match=message):
        configured(project, sma=tags)


def test_a_run_gets_the_tags_of_all_its_names(project, tmp_path):
    batch = configured(project, sma=["a"], grid=["g"], other=["o"])
    project.ingest()
    plan, receipt = make_plan(batch), tmp_path / "receipts" / "tags.json"
    tag_runs(plan, project.store, "config.yaml", batch.tags, receipt)
    found = {run.names: read_tags(project.store, run.run_key).names for run in plan.runs}
    assert found == {
        ("sma", "grid/fast=3"): ("a", "g"),
        ("grid/fast=4",): ("g",),
        ("other",): ("o",),
    }
    written = json.loads(receipt.read_text())
    assert written["tags"] == {run.run_key: list(found[run.names]) for run in plan.runs}
    tag_runs(plan, project.store, "config.yaml", {"other": ["o"]}, receipt)
    assert [read_tags(project.store, run.run_key).names for run in plan.runs] == [(), (), ("o",)]
