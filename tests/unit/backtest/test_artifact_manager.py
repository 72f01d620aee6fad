import gc
import json
import logging
import re
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from backtrail.artifacts.store import BACKTEST_ID, RunStore
from backtrail.backtest import BacktestArtifactManager
from backtrail.errors import (
    ArtifactManagerError,
    InvalidNameError,
    RunNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)
from backtrail.files import write_json

from .support import become_nobody, in_child, limit_files, write_strategy


@pytest.fixture
def manager(tmp_path):
    return BacktestArtifactManager(tmp_path / "backtests")


def tree(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# Ids and directories


def test_a_manager_takes_an_id_of_this_moment_in_utc_and_its_directory(tmp_path):
    before = datetime.now(UTC)
    manager = BacktestArtifactManager(tmp_path / "backtests")
    assert re.fullmatch(BACKTEST_ID, manager.backtest_id)
    named = datetime.strptime(f"{manager.backtest_id}000", "%Y%m%d_%H%M%S_%f").replace(tzinfo=UTC)
    assert abs((named - before).total_seconds()) < 60
    assert manager.output_dir == tmp_path / "backtests" / manager.backtest_id
    assert manager.output_dir.is_dir()


def test_the_folders_of_a_manager_lie_below_its_directory(manager):
    home = manager.output_dir
    assert manager.results_dir == home / "results"
    assert manager.code_dir == home / "code"
    assert manager.metadata_dir == home / "metadata"
    assert tree(home) == [".lock"], "an id that is only taken is held by a lease"
    manager.initialize()
    assert tree(home) == ["code", "metadata", "results"]


def test_initialize_twice_changes_nothing_and_has_another_name(manager):
    manager.initialize()
    (manager.results_dir / "mine.txt").write_text("kept")
    manager.initialize()
    manager.create_output_structure()
    assert (manager.results_dir / "mine.txt").read_text() == "kept"


def test_an_id_that_is_taken_and_not_used_yet_is_not_swept_away(manager):
    store = RunStore(manager.base_dir)
    assert store.sweep_orphans() == []
    manager.initialize()
    assert store.sweep_orphans() == []
    assert manager.output_dir.is_dir()


def test_an_id_that_nobody_uses_any_more_is_swept_away(tmp_path):
    name = BacktestArtifactManager(tmp_path).backtest_id
    gc.collect()
    assert RunStore(tmp_path).sweep_orphans() == [name]


def test_generated_ids_differ_in_threads_without_a_directory():
    ids = []
    threads = [
        threading.Thread(target=lambda: ids.append(BacktestArtifactManager.generate_backtest_id()))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 50
    assert all(re.fullmatch(BACKTEST_ID, item) for item in ids)


def test_a_given_id_names_a_run_that_is_made_when_it_is_initialized(tmp_path):
    manager = BacktestArtifactManager(tmp_path / "backtests", backtest_id="test_run_001")
    assert manager.backtest_id == "test_run_001"
    assert not manager.base_dir.exists(), "opening makes nothing"
    manager.initialize()
    assert tree(manager.output_dir) == ["code", "metadata", "results"]


def test_a_given_id_that_is_taken_is_refused_and_the_other_run_untouched(tmp_path):
    first = BacktestArtifactManager(tmp_path, backtest_id="mine")
    first.save_metadata({"note": 1})
    second = BacktestArtifactManager(tmp_path, backtest_id="mine")
    with pytest.raises(ArtifactManagerError, match=r"the id mine is taken: .*/mine exists"):
        second.initialize()
    assert second.load_metadata() == {"note": 1}


@pytest.mark.parametrize(
    "name",
    ["", " ", "a/b", "..", "../x", "a..b", ".hidden", "a\nb", "a\0b", "a\\b", "-x", "é", "x" * 81,
     7],
)  # fmt: skip
def test_an_id_that_could_be_no_folder_of_its_own_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="invalid backtest id") as caught:
        BacktestArtifactManager(tmp_path, backtest_id=name)
    assert isinstance(caught.value, ArtifactManagerError)
    assert tree(tmp_path) == []


@pytest.mark.parametrize("mode", ["everything", "", "none", 1])
def test_an_unknown_capture_mode_is_refused(tmp_path, mode):
    with pytest.raises(ValueError, match="invalid code_capture_mode"):
        BacktestArtifactManager(tmp_path, code_capture_mode=mode)


def test_the_log_says_id_and_directory(manager, caplog):
    with caplog.at_level(logging.INFO):
        manager.initialize()
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert manager.backtest_id in record.getMessage()
    assert str(manager.output_dir) in record.getMessage()
    assert (record.backtest_id, record.output_dir) == (
        manager.backtest_id,
        str(manager.output_dir),
    )


# The base directory


@pytest.mark.parametrize("wrong", ["../../etc/passwd", "a/../b", "..", "", "  ", "a\0b", "a\nb"])
def test_a_base_directory_that_leads_elsewhere_is_refused(wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Invalid base directory"):
        BacktestArtifactManager(base_dir=wrong)
    assert tree(tmp_path) == []


def test_a_relative_base_directory_counts_from_the_project_and_not_from_where_we_are(
    tmp_path, monkeypatch
):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("seed: 1\n")
    nested = tmp_path / "notebooks" / "january"
    nested.mkdir(parents=True)
    monkeypatch.chdir(nested)
    manager = BacktestArtifactManager()
    assert manager.base_dir == tmp_path / "backtests"
    assert tree(nested) == []
    monkeypatch.chdir("/")
    assert manager.output_dir.is_dir(), "it does not move with the working directory"
    assert manager.output_dir.parent == tmp_path / "backtests"


def test_without_a_project_a_relative_base_directory_counts_from_where_we_are(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert BacktestArtifactManager("mine").output_dir.parent == tmp_path / "mine"


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert BacktestArtifactManager("~/runs").base_dir == tmp_path / "runs"


def test_a_base_directory_that_is_a_file_is_named_with_the_reason(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match=r"cannot make the base directory .*/file: File exists"):
        BacktestArtifactManager(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


# Disks that refuse


def test_a_base_directory_without_permission_is_named_with_the_reason(open_folder):
    closed = open_folder / "closed"
    closed.mkdir(mode=0o555)
    with pytest.raises(PermissionError) as caught:
        in_child(BacktestArtifactManager, closed / "backtests", before=become_nobody)
    error = caught.value
    assert isinstance(error, StorePermissionError)
    assert isinstance(error, ArtifactManagerError)
    assert error.path == str(closed / "backtests")
    assert f"{closed}/backtests: Permission denied; give this user" in str(error)
    assert tree(closed) == []


def make_and_initialize(base_dir):
    BacktestArtifactManager(base_dir, backtest_id="mine").initialize()


def test_a_disk_without_room_leaves_no_half_of_a_structure(tiny_disk):
    base = tiny_disk / "backtests"
    base.mkdir()
    taken = 0
    while True:  # leave room for two folders: the run's own, and one inside
        try:
            (base / f"file-{taken}").touch()
        except OSError:
            break
        taken += 1
    for number in range(2):
        (base / f"file-{number}").unlink()
    before = tree(base)
    with pytest.raises(OSError, match=r"cannot make the folders of .*No space left") as caught:
        make_and_initialize(base)
    assert isinstance(caught.value, StoreUnavailableError)
    assert caught.value.path == str(base / "mine")
    assert tree(base) == before, "what had been made was taken away again"


def test_a_disk_without_room_gives_no_id(tiny_disk):
    managers = []

    def fill():
        while True:
            managers.append(BacktestArtifactManager(tiny_disk / "backtests"))

    with pytest.raises(ArtifactManagerError, match="No space left on device; make room"):
        fill()
    assert len(managers) > 3
    found = [run.backtest_id for run in RunStore(tiny_disk / "backtests").run_dirs()]
    assert found == [manager.backtest_id for manager in managers], "the last one left nothing"


def save_much(base_dir):
    manager = BacktestArtifactManager(base_dir, backtest_id="mine")
    manager.save_metadata({"note": "small"})
    limit_files(1_000)
    manager.save_metadata({"note": "x" * 10_000})


def test_metadata_that_do_not_fit_leave_the_old_ones_whole(tmp_path):
    with pytest.raises(OSError, match=r"cannot write .*backtest_metadata\.json: File too large"):
        in_child(save_much, tmp_path)
    manager = BacktestArtifactManager.from_backtest_id("mine", tmp_path)
    assert manager.load_metadata() == {"note": "small"}
    assert tree(manager.metadata_dir) == ["backtest_metadata.json"]


# Opening


def test_a_run_is_opened_by_its_id(tmp_path):
    made = BacktestArtifactManager(tmp_path)
    made.save_metadata({"note": "found"})
    opened = BacktestArtifactManager.from_backtest_id(made.backtest_id, tmp_path)
    assert opened.output_dir == made.output_dir
    assert opened.load_metadata() == {"note": "found"}


def test_metadata_can_be_generated_of_a_run_that_was_opened_again(tmp_path):
    made = BacktestArtifactManager(tmp_path / "backtests")
    write_strategy(tmp_path)
    made.capture_strategy_code(tmp_path / "my_strategy.py")
    opened = BacktestArtifactManager.from_backtest_id(made.backtest_id, tmp_path / "backtests")
    opened.generate_metadata()
    found = opened.load_metadata()
    assert found["strategy_entry_point"] == found["captured_files"][0] == "my_strategy.py"
    assert sorted(found["captured_files"][1:]) == [
        "utils/__init__.py",
        "utils/indicators.py",
        "utils/risk.py",
    ]


def test_a_run_that_does_not_exist_is_not_made_by_opening_it(tmp_path):
    BacktestArtifactManager(tmp_path, backtest_id="here").initialize()
    with pytest.raises(FileNotFoundError, match=r"there is no run gone in .*newest is here"):
        BacktestArtifactManager.from_backtest_id("gone", tmp_path)
    with pytest.raises(RunNotFoundError, match="there are no runs there"):
        BacktestArtifactManager.from_backtest_id("gone", tmp_path / "nothing")
    assert tree(tmp_path) == ["here", "here/code", "here/metadata", "here/results"]


def test_an_id_cannot_lead_out_of_the_store(tmp_path):
    (tmp_path / "secret").mkdir()
    with pytest.raises(ValueError, match="invalid backtest id"):
        BacktestArtifactManager.from_backtest_id("../secret", tmp_path / "backtests")


# Metadata


def test_metadata_are_saved_sorted_indented_and_read_again(manager):
    saved = {
        "strategy_params": {"fast": 10},
        "capital_base": 1.5,
        "day": date(2020, 1, 2),
        "file": Path("a/b.py"),
        "backtest_id": manager.backtest_id,
    }
    path = manager.save_metadata(saved)
    assert path == manager.metadata_dir / "backtest_metadata.json"
    assert path.read_text().splitlines()[:2] == [
        "{",
        f'  "backtest_id": "{manager.backtest_id}",',
    ]
    assert manager.load_metadata() == {**saved, "day": "2020-01-02", "file": "a/b.py"}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ([1], "metadata is a list; give a dict"),
        ({"x": float("nan")}, "has no NaN"),
        ({"x": object()}, "has no canonical JSON form"),
        ({1: 2}, "keys are strings"),
        ({"backtest_id": "other"}, "metadata names the run 'other'"),
    ],
)
def test_metadata_that_cannot_be_meant_are_refused_and_nothing_is_written(
    manager, metadata, message
):
    with pytest.raises(ValueError, match=message):
        manager.save_metadata(metadata)
    assert not (manager.metadata_dir / "backtest_metadata.json").exists()


def test_metadata_that_are_absent_or_broken_are_named(manager):
    with pytest.raises(FileNotFoundError, match=r"has no metadata: .*backtest_metadata\.json"):
        manager.load_metadata()
    manager.initialize()
    (manager.metadata_dir / "backtest_metadata.json").write_text('{"a": ')
    with pytest.raises(json.JSONDecodeError, match=r"backtest_metadata\.json: Expecting value"):
        manager.load_metadata()


# Result files


def test_result_paths_lie_in_results_and_their_folders_are_made(manager):
    path = manager.get_result_path("backtest_results.csv")
    assert path == manager.results_dir / "backtest_results.csv"
    nested = manager.get_result_path("metrics.csv", subfolder="analytics/deep")
    assert nested == manager.results_dir / "analytics/deep/metrics.csv"
    nested.write_text("a\n1\n")
    assert manager.get_output_path("x.json", subdirectory="metadata") == (
        manager.metadata_dir / "x.json"
    )


@pytest.mark.parametrize(
    ("name", "folder"),
    [("../x", None), ("a/b", None), ("", None), (".x", None), ("x\n", None), ("x", "../y"),
     ("x", "/etc"), ("x", "a/../../b"), ("x", "")],
)  # fmt: skip
def test_a_result_path_that_leads_elsewhere_is_refused(manager, name, folder):
    with pytest.raises(InvalidNameError):
        manager.get_result_path(name, subfolder=folder)


@pytest.mark.parametrize("folder", ["logs", "errors", "..", "", "/tmp"])
def test_an_output_path_outside_the_three_folders_is_refused(manager, folder):
    with pytest.raises(InvalidNameError):
        manager.get_output_path("x", subdirectory=folder)


def test_result_files_are_listed_sorted_without_unfinished_ones(manager):
    assert manager.list_result_files() == []
    for name, folder in (("b.csv", None), ("a.csv", None), ("page.html", "reports")):
        manager.get_result_path(name, subfolder=folder).write_text("x")
    (manager.results_dir / ".c.csv.host.1.2.tmp~").write_text("half")
    assert manager.list_result_files() == [
        manager.results_dir / name for name in ("a.csv", "b.csv", "reports/page.html")
    ]


def test_a_run_that_the_engine_keeps_takes_nothing_of_ours(tmp_path):
    manager = BacktestArtifactManager(tmp_path)
    manager.initialize()
    write_json(manager.metadata_dir / "run_spec.json", {"backtest_id": manager.backtest_id})
    for work in (
        lambda: manager.save_metadata({}),
        lambda: manager.capture_strategy_code(__file__),
        manager.generate_metadata,
    ):
        with pytest.raises(ArtifactManagerError, match="is kept by the engine"):
            work()
    path = manager.get_result_path("x.csv", subfolder="mine")
    assert path == manager.results_dir / "mine/x.csv"
    assert not path.parent.exists(), "a place to read from"
    exports = manager.get_result_path("x.csv", subfolder="exports")
    assert exports.parent.is_dir()
