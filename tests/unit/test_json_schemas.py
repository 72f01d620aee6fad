"""Every JSON file that the product writes fits its published schema, and nothing else does."""

import copy
import json
import re
from itertools import accumulate

import pytest
from test_packaging import ROOT, load_tool

from tests.json_files import faults, json_files, misfits, published, schemas_of, validator
from tests.json_store import archived_list, fill_store, make_store

# Files of a validation that forty sessions are too few for: tests/workflow has them.
ELSEWHERE = {
    "deployed-strategy", "efficiency-metrics", "overfitting", "period-results", "stability-metrics",
    "walk-forward-config",
}  # fmt: skip
WRONG = [[{"planted": 0}]]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    project = make_store(tmp_path_factory.mktemp("json") / "project")
    return project, fill_store(project)


@pytest.fixture(scope="module")
def files(made, tmp_path_factory):
    """One file of each schema and the run.json of several runs, by what they are called."""
    project, ids = made
    found = {"archive": archived_list(project, ids, tmp_path_factory.mktemp("tar") / "runs.tar")}
    for path in json_files(project.root):
        found[schemas_of(path)[0]] = json.loads((project.root / path).read_bytes())
    for name, backtest_id in ids.items():
        run = project.store.run(backtest_id)
        found[f"run {name}"] = run.read_manifest()
        found[f"run-spec {name}"] = run.read_spec()
        if name == "search":  # of all trials the one that states what it withheld
            spec = run.read_spec()
            dataset = spec["identity"]["dataset"]["dataset_id"]
            trial = project.store.trial_path(dataset, spec["run_key"])
            found["trial"] = json.loads(trial.read_bytes())
    return found


def test_every_file_of_a_store_has_one_schema_and_fits_it(made, files):
    project, ids = made
    assert misfits(project.root) == {}
    assert faults("archive", files["archive"]) == []
    assert {name.split()[0] for name in files} == published().keys() - {"definitions", *ELSEWHERE}
    manifests = [project.store.run(item).read_manifest() for item in ids.values()]
    assert {manifest["status"] for manifest in manifests} == {"completed", "failed"}
    assert {manifest["grade"] for manifest in manifests} == {"B", "C", "D"}
    assert manifests[0]["run_key"] in {path.stem for path in project.store.ledger.rglob("*.json")}


def test_the_records_of_a_run_fit_at_every_moment_of_it(tmp_path):
    from backtrail.batch import stages
    from tests.unit.batch.support import Project

    project = Project.make(tmp_path / "project")
    (planned,) = project.plan().runs
    run = project.store.run(planned.backtest_id)
    seen = []

    def look():
        assert misfits(project.root) == {}
        seen.append((run.read_manifest() or {}).get("status"))

    look()
    stages.capture_code(project.store, run.backtest_id)
    look()
    with project.executor() as executor:
        stages.run_backtest(project.store, run.backtest_id, executor)
    look()
    stages.seal_run(project.store, run.backtest_id)
    look()
    assert seen == [None, "captured", "executed", "completed"]


def containers(value, path=""):
    """Yield every object and array in a value with its path, of arrays the first item."""
    if isinstance(value, (dict, list)):
        yield path, value
        items = value.items() if isinstance(value, dict) else [("[]", value[0])] if value else []
        for key, item in items:
            yield from containers(item, f"{path}.{key}".lstrip("."))


def shortened(value):
    """Return a value whose long lists of like things have two entries."""
    if isinstance(value, dict):
        like = ("packages", "inventory", "metrics", "contents", "files")
        return {
            key: dict(list(item.items())[:2])
            if key in like and isinstance(item, dict)
            else shortened(item)
            for key, item in value.items()
        }
    return [shortened(item) for item in value] if isinstance(value, list) else value


def accepted(name, value, change):
    """Return the places where a change of one entry goes unnoticed."""
    check = validator(name)
    assert check.is_valid(value)
    found = set()
    for path, container in containers(value):
        for key, restored in change(container):
            if check.is_valid(value):
                found.add(f"{path}.{key}".lstrip("."))
            restored()
    assert check.is_valid(value)
    return found


def extra(container):
    """Plant a key in an object."""
    if isinstance(container, dict):
        container["planted"] = WRONG
        yield "planted", lambda: container.pop("planted")


def missing(container):
    """Take each key out of an object."""
    for key in list(container) if isinstance(container, dict) else ():
        item = container.pop(key)
        yield key, lambda key=key, item=item: container.update({key: item})


def wrong(container):
    """Put what no field holds in the place of each entry."""
    keys = list(container) if isinstance(container, dict) else range(min(1, len(container)))
    for key in keys:
        item = container[key]
        container[key] = WRONG
        yield key, lambda key=key, item=item: container.__setitem__(key, item)


# Where the user's own values stand, or what the schema of another file describes.
OPEN = re.compile(
    r"(.*\.)?params|parameters|identity\.validate(\.\w+)+|(manifest\.)?dialect\.\[\](\.\w+)*"
)
MAY_BE_MISSING = {
    "backtest-metadata": set(),
    "bundle-receipt": set(),
    "code-manifest": set(),
    "dataset-manifest": set(),
    "holdout-look": {"bundle"},
    "plan": set(),
    "run bad": {"usage"},
    "run reader": set(),
    "run search": {"selection", "verdict"},
    "run-spec search": {"trials_before"},
    "run-tags": set(),
    "run-tombstones": set(),
    "selection": set(),
    "trial": {"bundle", "end", "start", "started_at", "withheld"},
}


@pytest.mark.parametrize("change", [extra, wrong], ids=["extra", "wrong"])
def test_a_planted_field_fails_but_where_values_are_the_users_own(files, change):
    for name, value in files.items():
        for place in accepted(name.split()[0], shortened(copy.deepcopy(value)), change):
            assert OPEN.fullmatch(place.rpartition(".")[0]), f"{name}: {place}"


def test_a_missing_field_fails_but_where_it_is_told_of_some_alone(files):
    for name, expected in MAY_BE_MISSING.items():
        found = accepted(name.split()[0], shortened(copy.deepcopy(files[name])), missing)
        assert {place for place in found if "." not in place} == expected, name


def with_changes(value, **changed):
    return {key: item for key, item in {**value, **changed}.items() if item is not None}


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("run reader", {"inventory": None}, "'inventory' is a required property"),
        ("run reader", {"status": "done"}, "'done' is not one of"),
        ("run reader", {"version": 2}, "1 was expected"),
        ("run reader", {"started_at": "2026-01-02T03:04:05"}, "does not match"),
        ("run reader", {"run_key": "k"}, "'k' does not match"),
        ("run reader", {"inventory": {"/etc/passwd": {}}}, "'/etc/passwd' does not match"),
        ("run reader", {"timings": {"capture_ms": 1}}, "'capture_ms'"),
        ("run bad", {"metrics": {}}, "False schema does not allow {}"),
        ("run bad", {"status": "completed"}, "is not of type 'null'"),
        ("trial", {"dataset_id": "105C9E2E5CB29FBF"}, "does not match"),
        ("trial", {"sets": 0}, "0 is less than the minimum of 1"),
        ("plan", {"plan_key": "105c9e2e5cb29fbf"}, "does not match"),
        ("run-tags", {"added": ["two words"]}, "'two words' does not match"),
    ],
)
def test_what_a_record_cannot_say_is_refused(files, name, changed, said):
    assert said in "; ".join(faults(name.split()[0], with_changes(files[name], **changed)))


def test_every_key_of_every_schema_is_told_with_its_meaning():
    page = load_tool("json_reference").json_page()
    rows = re.findall(r"^\| `[^`]+` \| .*$", page, re.MULTILINE)
    told = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    assert len(told) > 800
    assert [cells for cells in told if len(cells) == 3 and len(cells[2].strip()) < 4] == []
    timed = next(row for row in rows if row.startswith("| `timings.seal_seconds` "))
    _, kind, meaning = timed.split(" | ")
    assert kind == "number, ≥ 0, or absent"
    assert meaning == "Wall time of hashing every file, until the manifest is written. |"
    for name in published().keys() - {"definitions"}:
        assert f"\n## {name}\n" in page


def test_the_page_of_the_run_directory_names_every_file_that_has_a_schema():
    page = (ROOT / "docs/reference/run-directory.md").read_text(encoding="utf-8")
    named = set()
    for section in page.split("\n## ")[1:]:
        top = re.search(r"`((?:backtests|bundles)/[^`]*)`", section.partition("\n")[0])
        for first in re.findall(r"^\| ([^|]*) \|", section, re.MULTILINE) if top else ():
            named |= {f"{top[1]}{span}" for span in re.findall(r"`([^`]+)`", first)}
    named = {re.sub(r"<[^>]*>", "*", name) for name in named}
    for name in sorted(published().keys() - {"archive", "definitions"}):
        for place in published()[name]["x-files"]:
            folders = [f"{folder}/" for folder in accumulate(place.split("/")[:-1], "{}/{}".format)]
            assert named & {place, *folders[2:]}, f"{place} of {name}"
