from datetime import date

import polars as pl
import pytest

from backtrail.artifacts.tags import edit_tags
from backtrail.catalog.catalog import Catalog
from backtrail.catalog.filters import RunFilter
from backtrail.catalog.groups import group_runs, order_groups
from backtrail.catalog.queries import RunQuery, locate_artifacts, run_statistics, select_runs
from backtrail.errors import QueryError

OTHER = "e" * 16
COMMIT = "ab" * 20


@pytest.fixture
def catalog(runs):
    """Four runs: two of a grid, one with other parameters, and one that failed."""
    runs.dataset()
    runs.dataset(bundle="others", dataset=OTHER)

    def made(number, params, *, dataset="d" * 16, strategy="strategies/s.py", symbols=("AAA",)):
        identity = {
            **runs.manifest(number, dataset=dataset)["identity"],
            "params": params,
            "symbols": list(symbols),
            "strategy": {"entry": strategy, "code_hash": "c" * 64},
        }
        return {"identity": identity}

    def metrics(total, sharpe, **own):
        return {"total_return": total, "sharpe_ratio": sharpe, **own}

    git = {"commit": COMMIT, "branch": "main", "dirty": False}
    first, second = made(1, {"fast": 5, "seed": 1}), made(2, {"fast": 10, "seed": 1.5})
    runs.seal(1, **first, metrics=metrics(0.1, 1.5, worst_five=-0.3), git=git)
    runs.seal(
        2,
        **second,
        metrics=metrics(0.2, None, worst_five=-0.1),
        git={**git, "dirty": True},
        started_at="2026-01-31T23:59:59.999Z",
    )
    third = made(
        3, {"mode": "x"}, dataset=OTHER, strategy="strategies/t.py", symbols=("BBB", "AAA")
    )
    labels = {"names": ["three", "grid/mode=x"], "bundle": "others"}
    began = {"started_at": "2026-02-01T00:00:00Z"}
    runs.seal(3, **third, labels=labels, metrics=metrics(-0.5, -1.0), git=None, **began)
    runs.fail(4)
    edit_tags(runs.store, [f"{1:064x}", f"{3:064x}"], add=["paper"])
    edit_tags(runs.store, [f"{1:064x}"], add=["pap"])
    with Catalog(runs.url, runs.store, runs.bundles) as catalog:
        catalog.sync()
        yield catalog


def names(catalog, where=None, sort=None, limit=None, **filters):
    query = RunQuery(RunFilter.of(filters), where, sort, limit)
    return [name.removeprefix("run-") for name in select_runs(catalog, query).rows["name"]]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, ["1", "2", "three", "4"]),
        ({"dataset": "eee"}, ["three"]),
        ({"dataset": "d" * 16, "status": "completed"}, ["1", "2"]),
        ({"commit": COMMIT[:7]}, ["1", "2"]),
        ({"commit": COMMIT[:7].upper()}, []),
        ({"commit": "%"}, []),
        ({"dirty": True}, ["2"]),
        ({"since": "2026-01-31"}, ["2", "three"]),
        ({"until": date(2026, 1, 31)}, ["1", "2", "4"]),
        ({"since": "2026-01-31", "until": "2026-01-31"}, ["2"]),
        ({"until": "9999-12-31", "run_type": "backtest", "grade": "B"}, ["1", "2", "three"]),
        ({"tag": "pap"}, ["1"]),
        ({"tag": "paper"}, ["1", "three"]),
        ({"name": "grid"}, ["three"]),
        ({"name": "grid/mode"}, []),
    ],
)
def test_runs_are_found_by_what_they_have_in_common(catalog, filters, found):
    assert names(catalog, **filters) == found


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("sharpe_ratio > 1 and fast = 5", ["1"]),
        ("worst_five < 0", ["1", "2"]),
        ("worst_five > -30% or sharpe_ratio < 0", ["2", "three"]),
        ("param_fast * 2 == 20", ["2"]),
        ("mode = 'x'", ["three"]),
        ("seed > 1", ["2"]),
        ("status = 'failed' and n = 4", ["4"]),
        ("git_dirty or bundle = 'others'", ["2", "three"]),
        ("not git_dirty", ["1"]),
        ("started_at >= '2026-01-31'", ["2", "three"]),
        ("1 < 2", ["1", "2", "three", "4"]),
    ],
)
def test_a_condition_may_use_columns_metrics_and_parameters(catalog, where, found):
    assert names(catalog, where) == found


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (
            "sharp_ratio > 1",
            "no column, metric or parameter 'sharp_ratio'; there are sharpe_ratio,",
        ),
        ("worst = 1", "'worst'; there are worst_five, "),
        ("fsat = 1", "'fsat'; there are fast, "),
        ("param_sharpe_ratio > 1", "no column, metric or parameter 'param_sharpe_ratio'"),
        ("mode > 1", "'mode', which is text, with '1'"),
    ],
)
def test_a_name_that_no_run_has_is_refused_with_those_near_it(catalog, where, message):
    with pytest.raises(QueryError) as caught:
        names(catalog, where)
    assert message in str(caught.value)


def test_a_filter_that_is_none_and_a_date_that_is_none_are_refused(catalog):
    with pytest.raises(QueryError, match=r"no filter 'statsu'; there are status, "):
        names(catalog, statsu="failed")
    with pytest.raises(QueryError, match=r"'2026-02-30' is no date; write it as 2026-01-31"):
        names(catalog, since="2026-02-30")


def test_runs_are_ordered_by_a_name_with_missing_values_last_and_cut_after_that(catalog):
    assert names(catalog, sort="fast") == ["1", "2", "three", "4"]
    assert names(catalog, sort="-fast") == ["2", "1", "three", "4"]
    assert names(catalog, sort="-worst_five", limit=1) == ["2"]
    assert names(catalog, sort="sharpe_ratio", limit=2) == ["three", "1"]
    assert names(catalog, sort="-started_at", limit=1) == ["three"]
    assert names(catalog, limit=0) == []
    with pytest.raises(QueryError, match=r"'sharpe'; there are sharpe_ratio, "):
        names(catalog, sort="-sharpe")


def test_every_parameter_and_metric_is_a_column_of_the_wide_table(catalog):
    wide = select_runs(catalog, RunQuery()).wide()
    assert wide.columns[:2] == ["backtest_id", "run_key"]
    assert {"params_json", "metrics_json"} & set(wide.columns) == set()
    params = ["param_fast", "param_mode", "param_n", "param_seed"]
    assert [name for name in wide.columns if name.startswith("param_")] == params
    assert wide.select("param_fast", "param_seed", "worst_five", "total_return").rows() == [
        (5, 1.0, -0.3, 0.1),
        (10, 1.5, -0.1, 0.2),
        (None, None, None, -0.5),
        (None, None, None, None),
    ]
    assert wide.schema["param_fast"] == pl.Int64
    assert wide.schema["git_dirty"] == pl.Boolean
    chosen = select_runs(catalog, RunQuery(limit=2)).wide(["name", "worst_five", "name"])
    assert chosen.columns == ["name", "worst_five"]


def test_a_store_without_runs_has_the_columns_of_the_table(runs):
    with Catalog(runs.url, runs.store, runs.bundles) as catalog:
        catalog.sync()
        found = select_runs(catalog, RunQuery(where="fast = 1 and mode = 2", sort="-fast"))
        assert len(found) == 0
        assert {"sharpe_ratio", "git_commit"} <= set(found.wide().columns)
        assert found.wide(["name", "fast"]).is_empty()
        assert group_runs(found, "tag", "worst_five").is_empty()
        with pytest.raises(QueryError, match=r"write '>='"):
            select_runs(catalog, RunQuery(where="fast => 1"))


def groups(catalog, by, metric="sharpe_ratio"):
    found = group_runs(select_runs(catalog, RunQuery()), by, metric)
    return found.rows()


def test_runs_in_groups_are_counted_with_best_and_median(catalog):
    january, february = ("2026-01-01", "2026-01-31"), ("2026-02-01", "2026-02-01")
    assert groups(catalog, "month", "total_return") == [
        ("2026-01", 3, 2, 1, 0.2, pytest.approx(0.15), *january),
        ("2026-02", 1, 1, 0, -0.5, -0.5, *february),
    ]
    assert groups(catalog, "symbol") == [
        ("AAA", 4, 3, 1, 1.5, 0.25, january[0], february[1]),
        ("BBB", 1, 1, 0, -1.0, -1.0, *february),
    ]
    assert groups(catalog, "tag", "worst_five") == [
        ("pap", 1, 1, 0, -0.3, -0.3, "2026-01-01", "2026-01-01"),
        ("paper", 2, 2, 0, -0.3, -0.3, "2026-01-01", "2026-02-01"),
        (None, 2, 1, 1, -0.1, -0.1, *january),
    ]
    assert [row[:4] for row in groups(catalog, "strategy")] == [
        ("strategies/s.py", 3, 2, 1),
        ("strategies/t.py", 1, 1, 0),
    ]
    assert [row[:2] for row in groups(catalog, "bundle")] == [("others", 1), ("prices", 3)]
    assert [row[:2] for row in groups(catalog, "dataset")] == [("d" * 16, 3), (OTHER, 1)]


def test_groups_are_put_in_order_by_their_own_columns(catalog):
    found = group_runs(select_runs(catalog, RunQuery()), "tag", "total_return")
    assert order_groups(found, "-best", 1)["best"].to_list() == [0.2]
    assert order_groups(found, "group")["group"].to_list() == ["pap", "paper", None]
    with pytest.raises(QueryError, match=r"no column 'bset' to sort by; there are best, "):
        order_groups(found, "bset")
    with pytest.raises(QueryError, match=r"'status' is no number"):
        group_runs(select_runs(catalog, RunQuery()), "tag", "status")


def test_artifacts_are_found_by_table_file_and_path(catalog):
    runs = select_runs(catalog, RunQuery(sort="-started_at"))
    with pytest.raises(QueryError) as caught:
        locate_artifacts(catalog, runs, "performance")
    assert "no run has a file 'performance'; there are performance-metrics.json, " in str(
        caught.value
    )
    for name in ("performance-metrics.json", "results/performance-metrics.json"):
        found = locate_artifacts(catalog, runs, name)
        assert found["name"].to_list() == ["three", "run-2", "run-1"], "the failed run has no file"
    path = catalog.store.run("20260101_000000_003").results / "performance-metrics.json"
    assert found["file"][0] == str(path)
    assert found["size"][0] == path.stat().st_size
    with pytest.raises(QueryError, match=r"no run has a file 'metrics.json'"):
        locate_artifacts(catalog, runs, "metrics.json")


def test_what_runs_come_to_is_counted(catalog):
    found = run_statistics(catalog, select_runs(catalog, RunQuery()))
    assert found["runs"] == 4
    assert found["by_status"] == {"completed": 3, "failed": 1}
    assert found["by_strategy"] == {"strategies/s.py": 3, "strategies/t.py": 1}
    assert found["by_grade"] == {"B": 3, "D": 1}
    assert (found["first"], found["last"]) == ("2026-01-01", "2026-02-01")
    files = catalog.store.base_dir.glob("*/results/*.json")
    specs = catalog.store.base_dir.glob("*/metadata/*.json")
    failed = catalog.store.run("20260101_000000_004").path
    sizes = [path.stat().st_size for path in (*files, *specs) if failed not in path.parents]
    assert found["bytes"] == sum(sizes)
    assert found["trials"] == {"runs": 2, "sets": 2}
    empty = run_statistics(catalog, select_runs(catalog, RunQuery(RunFilter(tag="none"))))
    assert (empty["runs"], empty["first"], empty["trials"]["sets"]) == (0, None, 0)


def test_code_that_runs_share_is_counted_once(runs):
    for number in (1, 2):
        code = runs.store.run(f"20260101_000000_{number:03d}").code / "s.py"
        code.parent.mkdir(parents=True)
        code.write_text("x" * 1000)
        runs.seal(number)
    with Catalog(runs.url, runs.store, runs.bundles) as catalog:
        catalog.sync()
        found = run_statistics(catalog, select_runs(catalog, RunQuery()))
    files = runs.store.base_dir.glob("*/[rm]*/*.json")
    assert found["bytes"] == 1000 + sum(path.stat().st_size for path in files)
