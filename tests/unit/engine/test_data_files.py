import threading

import pytest

from backtrail.engine import TradingAlgorithm, api
from backtrail.engine.data_files import data_file, data_folders
from backtrail.errors import StrategyError


@pytest.fixture
def folders(tmp_path):
    for name in ("strategies/near.csv", "strategies/both.csv", "both.csv", "data/far.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return [tmp_path / "strategies", tmp_path]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("near.csv", "strategies/near.csv"),
        ("both.csv", "strategies/both.csv"),
        ("data/far.csv", "data/far.csv"),
        ("strategies/near.csv", "strategies/near.csv"),
    ],
)
def test_a_file_is_looked_for_beside_the_strategy_then_at_the_root(folders, name, found):
    class Own(TradingAlgorithm):
        pass

    with data_folders(folders):
        for way in (data_file, api.data_file, Own().data_file):
            assert way(name).read_text() == found


@pytest.mark.parametrize("name", ["absent.csv", "data", "strategies"])
def test_what_is_no_captured_file_is_named(folders, name):
    with data_folders(folders), pytest.raises(StrategyError, match=rf"'{name}'.* finds no such"):
        data_file(name)


@pytest.mark.parametrize("name", ["/etc/passwd", "../both.csv", "data/../../x", "", "."])
def test_a_name_that_leaves_the_project_is_refused(folders, name):
    with data_folders(folders), pytest.raises(StrategyError, match=r"leaves the project"):
        data_file(name)


def test_outside_of_a_strategy_and_in_its_threads_there_is_no_data_file(folders):
    found = []

    def look():
        try:
            data_file("near.csv")
        except StrategyError as error:
            found.append(str(error))

    look()
    with data_folders(folders):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        with data_folders(folders[1:]), pytest.raises(StrategyError):
            data_file("near.csv")
        assert data_file("near.csv")
    assert len(found) == 2
    assert all("call it in the strategy itself and hand the path on" in text for text in found)
