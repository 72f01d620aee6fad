import json
import multiprocessing

import pytest

from backtrail.artifacts.store import RunStore
from backtrail.artifacts.tags import ask_tags, check_tag, edit_tags, read_tags, tag_files
from backtrail.errors import ArtifactManagerError, InvalidNameError

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path):
    return RunStore(tmp_path / "backtests")


def names(store, key=KEY):
    return read_tags(store, key).names


def test_a_run_has_the_tags_of_every_config_that_asks_for_it(store):
    assert ask_tags(store, "one.yaml", {KEY: ["paper", "baseline"], OTHER: []}) == 1
    assert ask_tags(store, "two.yaml", {KEY: ["paper", "x"]}) == 1
    assert names(store) == ("baseline", "paper", "x")
    assert [path.name for path in tag_files(store)] == [f"{KEY}.json"], "no record without tags"
    assert ask_tags(store, "two.yaml", {KEY: ["x", "paper"]}) == 0


def test_a_config_takes_back_its_own_tags_and_no_other(store):
    ask_tags(store, "one.yaml", {KEY: ["baseline", "old"]})
    ask_tags(store, "two.yaml", {KEY: ["baseline"]})
    edit_tags(store, [KEY], add=["mine"])
    ask_tags(store, "one.yaml", {KEY: []})
    assert names(store) == ("baseline", "mine")
    ask_tags(store, "two.yaml", {KEY: []})
    assert names(store) == ("mine",)


def test_what_a_person_removed_stays_away_until_it_is_added(store):
    ask_tags(store, "one.yaml", {KEY: ["baseline", "paper"]})
    assert edit_tags(store, [KEY], remove=["paper"]) == 1
    ask_tags(store, "two.yaml", {KEY: ["paper"]})
    assert names(store) == ("baseline",)
    edit_tags(store, [KEY], add=["paper"])
    assert names(store) == ("baseline", "paper")
    assert read_tags(store, KEY).removed == ()


def test_the_tags_of_a_config_that_has_another_name_now_are_forgotten_by_hand(store):
    for source in ("config/old.yaml", "config/new.yaml"):
        ask_tags(store, source, {KEY: ["paper"], OTHER: []})
    ask_tags(store, "config/old.yaml", {KEY: ["paper", "draft"]})
    with pytest.raises(InvalidNameError) as refused:
        edit_tags(store, [KEY, OTHER], add=["x"], forget="old.yaml")
    assert str(refused.value) == (
        "no config 'old.yaml' gave these runs a tag; those that did: config/new.yaml,"
        " config/old.yaml"
    )
    assert edit_tags(store, [KEY, OTHER], forget="config/old.yaml") == 1
    assert names(store) == ("paper",)
    assert read_tags(store, KEY).asked == {"config/new.yaml": ("paper",)}
    assert read_tags(store, KEY).removed == (), "a config may give the tag again"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "ü", "x" * 41, "a\n", "<b>", None])
def test_a_name_that_cannot_be_a_tag_is_refused_before_anything_is_written(store, name):
    with pytest.raises(InvalidNameError, match=r"invalid tag .*at most 40 characters"):
        edit_tags(store, [KEY], add=["good", name])
    assert tag_files(store) == []


def test_forty_characters_of_every_kind_are_a_tag():
    assert check_tag("a.B_c-9" + "x" * 33) == "a.B_c-9" + "x" * 33


def test_a_tag_is_not_added_and_removed_at_once(store):
    with pytest.raises(InvalidNameError, match="'x' is to be added and to be removed"):
        edit_tags(store, [KEY], add=["x"], remove=["x"])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"run_key": "b"}',
        json.dumps({"run_key": OTHER, "asked": {}, "added": [], "removed": []}),
        json.dumps({"run_key": KEY, "asked": {"c": ["a b"]}, "added": [], "removed": []}),
        json.dumps({"run_key": KEY, "asked": {}, "added": "abc", "removed": []}),
    ],
)
def test_a_damaged_record_is_named_and_stops_a_change_before_it_begins(store, text):
    edit_tags(store, [KEY, OTHER], add=["x"])
    path = next(path for path in tag_files(store) if path.stem == KEY)
    path.write_text(text)
    with pytest.raises(ArtifactManagerError, match=KEY):
        edit_tags(store, [OTHER, KEY], add=["y"])
    assert names(store, OTHER) == ("x",)


def _tag(folder, number):
    store = RunStore(folder)
    for step in range(10):
        edit_tags(store, [KEY], add=[f"t{number}-{step}"])
        ask_tags(store, f"{number}.yaml", {KEY: [f"c{number}"], OTHER: [f"c{number}"]})


def test_four_processes_that_tag_one_run_lose_no_tag(store):
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_tag, args=(store.base_dir, number)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    by_hand = {f"t{number}-{step}" for number in range(4) for step in range(10)}
    asked = {f"c{number}" for number in range(4)}
    assert set(names(store)) == by_hand | asked
    assert set(names(store, OTHER)) == asked
    assert sorted(path.name for path in store.ledger.iterdir()) == ["tags"], "no lock is left"
