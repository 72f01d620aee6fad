import json
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
from batch.support import Project, batch_config, entry, functions

import backtrail
from backtrail.artifacts.tags import edit_tags
from backtrail.cli import build_parser, main
from backtrail.errors import QueryError


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with a grid of two runs at a commit, and later a failed one with changes."""
    project = Project.make(tmp_path_factory.mktemp("finding") / "project")
    project.write("config/config.yaml", "batch: {}\n")
    project.write("strategies/bad.py", functions(initialize="raise ValueError('no luck')"))
    git(project.root, "init", "-q", "-b", "main")
    git(project.root, "add", "strategies")
    git(project.root, "commit", "-q", "-m", "first")
    batch = {"grid": entry(grid={"fast": [2, 3]})}
    project.configure(batch_config(batch=batch))
    plan, _ = project.run()
    edit_tags(project.store, [run.run_key for run in plan.runs], add=["paper"])
    project.write("strategies/bad.py", functions(initialize="raise ValueError('out of luck')"))
    bad = entry(strategy="strategies/bad.py", symbols="all")
    project.configure(batch_config(batch={**batch, "bad": bad}))
    project.run()
    project.commit = git(project.root, "rev-parse", "HEAD")
    return project


@pytest.fixture
def ask(call):
    call("catalog-sync")

    def ask(*arguments):
        status, out, err = call(*arguments, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return ask


def named(rows):
    return [row["name"] for row in rows]


GRID = ["grid/fast=2", "grid/fast=3"]


def test_list_finds_runs_by_condition_commit_day_and_kind(ask, made):
    day = ask("list")[0]["started_at"][:10]
    for arguments, names in (
        (("--where", "fast = 3"), GRID[1:]),
        (("--where", "fast >= 2 and status = 'completed'", "--sort", "-fast"), GRID[::-1]),
        (("--sort", "-started_at", "--limit", "1"), ["bad"]),
        (("--commit", made.commit[:8], "--run-type", "backtest"), [*GRID, "bad"]),
        (("--dirty",), ["bad"]),
        (("--since", day, "--until", day, "--status", "failed"), ["bad"]),
        (("--run-type", "optimization"), []),
    ):
        assert named(ask("list", *arguments)) == names, arguments


def test_list_says_what_it_did_not_find(call, ask):
    ask("list")
    asked = "--run-type holdout --since 2020-01-01 --where 'fast = 2'"
    arguments = ("--where", "fast = 2", "--run-type", "holdout", "--since", "2020-01-01")
    assert call("list", *arguments)[1] == f"none of 3 runs fits {asked}\n"
    for arguments, message in (
        (("--commit", "beef"), "no run has the commit 'beef'; there is "),
        (("--where", "fsat = 2"), "no column, metric or parameter 'fsat'; there are fast, "),
        (("--where", "fast => 2"), "'fast => 2' has '=>'; write '>='"),
        (("--sort", "sharpe"), "parameter 'sharpe'; there are sharpe_ratio, "),
        (("--by", "month", "--metric", "sharpe"), "parameter 'sharpe'; there are sharpe_ratio, "),
        (("--by", "month", "--sort", "cagr"), "groups have no column 'cagr' to sort by"),
        (("--until", "yesterday"), "'yesterday' is no date; write it as 2026-01-31"),
    ):
        status, out, err = call("list", *arguments)
        assert (status, out) == (1, "")
        assert message in err


def test_a_table_that_is_cut_off_says_of_how_many_runs(call, ask):
    ask("list")
    lines = call("list", "--where", "fast > 0", "--limit", "1")[1].splitlines()
    assert (len(lines), lines[-1]) == (4, "1 of 2 runs")
    lines = call("list", "--limit", "3")[1].splitlines()
    assert lines[-1].strip() == "ValueError: out of luck"
    assert call("catalog-query", "--limit", "2")[1].splitlines()[-1] == "2 of 3 runs"
    assert call("list", "--limit", "0")[1] == "0 of 3 runs\n"
    assert call("catalog-query", "--artifact", "trades", "--limit", "1")[1].count("\n") == 1
    assert call("catalog-query", "--tag", "paper", "--where", "fast = 9")[1] == (
        "none of 3 runs fits --tag paper --where 'fast = 9'\n"
    )


def test_list_groups_runs(call, ask, made):
    rows = ask("list", "--by", "strategy", "--metric", "total_trades")
    counts = [[row[key] for key in ("group", "runs", "completed", "failed")] for row in rows]
    assert counts == [["strategies/bad.py", 1, 0, 1], ["strategies/sma.py", 2, 2, 0]]
    assert rows[0]["best"] is None
    trades = [row["total_trades"] for row in ask("list", "--name", "grid")]
    assert (rows[1]["best"], rows[1]["median"]) == (max(trades), sum(trades) / 2)
    (falling,) = ask("list", "--by", "symbol", "--sort", "-runs", "--limit", "1")
    assert (falling["group"], falling["runs"]) == ("AAA", 3)
    lines = call("list", "--by", "tag", "--metric", "total_trades")[1].splitlines()
    day = falling["first"]
    heads = "tag runs completed failed best total_trades median first last"
    assert " ".join(lines[0].split()) == heads
    assert re.fullmatch(rf"paper +2 +2 +0 +\d+ +[\d.]+  {day}  {day}", lines[1])
    assert re.fullmatch(rf"no tag +1 +0 +1 +{day}  {day}", lines[2])
    assert call("list", "--by", "tag", "--status", "altered")[1].startswith("none of 3 runs fits")
    assert ask("list", "--by", "tag", "--status", "altered") == []


def test_catalog_query_has_parameters_and_metrics_as_columns(call, ask):
    assert ask("catalog-query", "--where", "fast = 3", "--columns", "name, fast ,max_drawdown") == [
        {
            "name": "grid/fast=3",
            "param_fast": 3,
            "max_drawdown": ask("list", "--where", "fast = 3")[0]["max_drawdown"],
        }
    ]
    (row,) = ask("catalog-query", "--where", "fast = 2")
    assert (row["param_fast"], row["param_slow"], row["git_branch"]) == (2, 8, "main")
    assert "annual_volatility" in row
    assert "params_json" not in row
    lines = call("catalog-query", "--sort", "-fast")[1].splitlines()
    assert lines[0].split()[:5] == ["backtest_id", "name", "status", "fast", "slow"]
    assert [line.split()[1] for line in lines[1:]] == [*GRID[::-1], "bad"]
    assert lines[1].split()[2:5] == ["completed", "3", "8"]
    assert lines[3].split()[2:] == ["failed"]


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_catalog_query_writes_a_table_as_its_name_ends(call, ask, tmp_path, kind):
    path = tmp_path / "deep" / f"runs.{kind}"
    wanted = ask("catalog-query", "--sort", "name")
    status, out, _ = call("catalog-query", "--sort", "name", "--out", str(path))
    assert (status, out) == (0, f"3 rows in {path}\n")
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "json": pl.read_json}[kind]
    frame = read(path)
    assert set(frame.columns) == set(wanted[0])
    names = ["name", "param_fast", "total_return", "git_commit"]
    assert frame.select(names).rows() == [tuple(row[name] for name in names) for row in wanted]


def test_catalog_query_refuses_another_ending(call, ask, tmp_path):
    ask("list")
    status, _, err = call("catalog-query", "--out", str(tmp_path / "runs.xlsx"))
    assert status == 1
    assert "runs.xlsx ends in none of .csv, .parquet, .json" in err


def test_catalog_query_gives_the_paths_of_an_artifact(call, ask, made):
    status, out, _ = call("catalog-query", "--artifact", "trades", "--sort", "-fast")
    ids = [row["backtest_id"] for row in ask("list", "--name", "grid", "--sort", "-fast")]
    base = made.store.base_dir
    assert (status, out.splitlines()) == (
        0,
        [str(base / name / "results" / "trades.parquet") for name in ids],
    )
    (row,) = ask("catalog-query", "--artifact", "summary_statistics.csv", "--where", "fast = 2")
    assert row["path"] == "results/summary_statistics.csv"
    assert len(row["sha256"]) == 64
    status, _, err = call("catalog-query", "--artifact", "trade")
    assert status == 1
    assert "no run has a file 'trade'; there are trades.json, trades.parquet, " in err


def test_catalog_query_counts(call, ask, made):
    found = ask("catalog-query", "--stats")
    assert (found["runs"], found["by_status"]) == (3, {"completed": 2, "failed": 1})
    assert found["trials"] == {"runs": 2, "sets": 2}
    lines = call("catalog-query", "--stats", "--strategy", "strategies/sma.py")[1].splitlines()
    assert lines[0].split() == ["runs", "2"]
    assert lines[1].split() == ["status", "2", "completed"]
    assert lines[-1].startswith("trials    2 parameter sets in 2 runs of these strategies")
    status, _, err = call("catalog-query", "--stats", "--artifact", "trades")
    assert (status, err) == (
        1,
        "backtrail: --stats and --artifact cannot go together; give one of them\n",
    )


def test_scripts_ask_the_same(ask, made, monkeypatch):
    ask("list")
    monkeypatch.chdir(made.root)
    frame = backtrail.query_runs("fast > 1", sort="-fast", columns=["name", "fast"], tag="paper")
    assert frame.rows() == [("grid/fast=3", 3), ("grid/fast=2", 2)]
    assert backtrail.query_runs(status="failed", since="2020-01-01")["name"].to_list() == ["bad"]
    found = backtrail.find_artifacts("trades", "fast = 3")
    assert found["path"].to_list() == ["results/trades.parquet"]
    assert backtrail.find_artifacts("trades", name="grid/fast=3").equals(found)
    trades = pl.read_parquet(found["file"].to_list())
    assert len(trades) == ask("list", "--where", "fast = 3")[0]["total_trades"]
    with pytest.raises(QueryError, match=r"there is no filter 'stauts'; there are status, "):
        backtrail.query_runs(stauts="failed")


def rows_of(relation):
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


@pytest.mark.parametrize(("library", "number"), [("polars", 0), ("duckdb", 1)])
def test_the_example_of_the_catalogs_page_adds_up_the_trades_of_each_run(
    library, number, ask, made, monkeypatch
):
    pytest.importorskip(library, reason=f"the extra `{library}` is not installed")
    page = Path(__file__).parents[3] / "docs/reference/catalog.md"
    example = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[number]
    completed = ask("list", "--status", "completed")
    printed = []
    monkeypatch.chdir(made.root)
    exec(compile(example, library, "exec"), {"print": printed.append})
    (found,) = printed
    frame = found.to_dicts() if library == "polars" else rows_of(found)
    assert [row["backtest_id"] for row in frame] == [row["backtest_id"] for row in completed]
    for row, run in zip(frame, completed, strict=True):
        trades = pl.read_parquet(made.store.run(run["backtest_id"]).results / "trades.parquet")
        assert row["trades"] == len(trades) == run["total_trades"]
        assert float(row["net_profit"]) == pytest.approx(float(trades["pnl"].sum()))
        assert row["sharpe_ratio"] == run["sharpe_ratio"]


def test_a_minus_before_the_name_to_sort_by_is_no_option():
    parser = build_parser()
    for words in (["--sort", "-cagr"], ["--sort=-cagr"]):
        assert parser.parse_args(["list", *words]).sort == "-cagr"
    assert parser.parse_args(["list", "--sort", "cagr", "--dirty"]).dirty


@pytest.mark.parametrize("words", [["--sort", "--dirty"], ["--limit", "-1"], ["--by", "year"]])
def test_an_option_that_lacks_its_value_is_misuse(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["list", *words])
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err
