import pytest

from backtrail.artifacts.paths import RESERVED_RESULTS, RunPaths, reserved_result, result_name
from backtrail.batch.execution.executor import RESULT_TABLES
from backtrail.errors import ArtifactManagerError


@pytest.fixture
def paths(tmp_path):
    return RunPaths("20200101_000000_000", tmp_path)


def test_the_folders_of_a_run_lie_below_its_directory(paths, tmp_path):
    assert paths.backtest_id == "20200101_000000_000"
    assert paths.results_dir == tmp_path / "results"
    assert paths.code_dir == tmp_path / "code"
    assert paths.metadata_dir == tmp_path / "metadata"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("own.csv",), "results/own.csv"),
        (("own.csv", "a"), "results/a/own.csv"),
        (("own.csv", "a/b c/d.e"), "results/a/b c/d.e/own.csv"),
        (("Käufe und Verkäufe.csv",), "results/Käufe und Verkäufe.csv"),
        (("orders.csv",), "results/orders.csv"),
        (("orders.parquet", "mine"), "results/mine/orders.parquet"),
        (("x" * 255,), "results/" + "x" * 255),
    ],
)
def test_a_result_path_has_its_folder_made(paths, tmp_path, given, expected):
    found = paths.get_result_path(*given)
    assert found == tmp_path / expected
    assert found.parent.is_dir()
    assert not found.exists()


def test_an_output_path_may_lie_in_every_folder_of_a_strategy(paths, tmp_path):
    assert paths.get_output_path("a.csv") == tmp_path / "results/a.csv"
    assert paths.get_output_path("a.csv", "features/deep") == tmp_path / "features/deep/a.csv"
    assert paths.get_output_path("orders.parquet", "policy") == tmp_path / "policy/orders.parquet"
    for folder in ("code", "metadata", "inputs", "logs", "errors", "elsewhere"):
        with pytest.raises(ArtifactManagerError, match=rf"cannot write to {folder}/ of its run"):
            paths.get_output_path("a.csv", folder)
        assert not (tmp_path / folder).exists()


@pytest.mark.parametrize(
    ("filename", "subfolder"),
    [
        ("", None), (".", None), ("..", None), (".hidden", None), ("a\0b", None), ("a\nb", None),
        ("a\\b", None), ("a\x7f", None), ("x" * 256, None), ("ö" * 128, None),
        ("a", ""), ("a", "/"), ("a", "/etc"), ("a", ".."), ("a", "b/../c"), ("a", "b//c"),
        ("a", "b/"), ("a", "./b"), ("a", "b/.git"), ("a", "b\tc"), ("a{b}", None), ("a", "{b"),
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_and_makes_nothing(paths, tmp_path, filename, subfolder):
    with pytest.raises(ArtifactManagerError, match=r"cannot be the name of an artifact"):
        paths.get_result_path(filename, subfolder)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_inside_a_file_name_is_refused_with_the_way_to_say_it(paths):
    with pytest.raises(ArtifactManagerError, match=r"holds a separator.* subfolder='plots'"):
        paths.get_result_path("plots/a.png")


@pytest.mark.parametrize("name", sorted(RESERVED_RESULTS))
def test_names_of_the_program_are_refused_while_the_run_is_made(paths, tmp_path, name):
    with pytest.raises(ArtifactManagerError, match=r"is written by backtrail itself"):
        paths.get_result_path(name)
    done = RunPaths(paths.backtest_id, tmp_path, is_open=False)
    assert done.get_result_path(name) == tmp_path / "results" / name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["reports", "reports/deep", "validation"])
def test_folders_of_the_program_are_refused_while_the_run_is_made(paths, tmp_path, folder):
    with pytest.raises(ArtifactManagerError, match=rf"results/{folder}/a\.html is written by"):
        paths.get_result_path("a.html", folder)
    done = RunPaths(paths.backtest_id, tmp_path, is_open=False)
    assert done.get_result_path("a.html", folder) == tmp_path / "results" / folder / "a.html"


def test_every_table_that_a_run_writes_is_reserved():
    assert {f"{name}.parquet" for name in RESULT_TABLES} <= RESERVED_RESULTS
    for name in ("summary.parquet", "performance-metrics.json", "summary_statistics.csv"):
        assert reserved_result(name)
    assert not reserved_result("mine/summary.parquet")
    assert result_name("a", "b") == "b/a"
