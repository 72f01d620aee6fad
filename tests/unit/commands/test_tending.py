import json

import pytest
from batch.tending.support import copy_project, ids_by_name, make_project


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("tending") / "project")


@pytest.fixture
def made(model, tmp_path):
    return copy_project(model, tmp_path / "project")


@pytest.fixture
def ids(made):
    return ids_by_name(made)


def test_a_deletion_is_shown_first_and_done_with_yes(call, made, ids):
    assert call("catalog-sync")[0] == 0
    status, out, err = call("delete", ids["hold"])
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(f"{ids['hold']}  hold, completed, 0.")
    assert lines[1].startswith("    planned as hold: the next snakemake of a batch that still has")
    assert lines[2] == "    stays in the ledger: the count of 1 parameter set"
    assert lines[3].endswith(
        " MB with 1 object that no other run needs (0.0 MB); 5 kept. "
        "Nothing was deleted: give --yes"
    )
    status, out, _ = call("delete", ids["hold"], ids["hold"], ids["bad"], "--yes", "--json")
    found = json.loads(out)
    assert status == 0
    assert [run["backtest_id"] for run in found["runs"]] == [ids["hold"], ids["bad"]]
    assert (found["deleted"], found["kept"], found["objects"]) == (True, 4, 2)
    assert found["bytes"] == sum(run["bytes"] for run in found["runs"]) + found["objects_bytes"]
    rows = json.loads(call("list", "--json")[1])
    assert {row["backtest_id"] for row in rows} == set(ids.values()) - {ids["hold"], ids["bad"]}
    assert ids["hold"] not in made.store.index.read_text()
    for command in ("show", "why", "delete"):
        status, out, err = call(command, ids["hold"])
        assert (status, out) == (1, "")
        assert f"backtrail: run {ids['hold']} (hold, completed) was deleted 20" in err


def test_deleting_what_is_not_there_says_so(call, ids):
    status, out, err = call("delete", "29990101_000000_000", "--yes")
    assert (status, out) == (1, "")
    assert "there is no run '29990101_000000_000'" in err


def test_a_cleanup_says_what_it_spares_and_takes_the_rest(call, made, ids):
    assert call("tag", ids["sma"], "--add", "paper")[0] == 0
    choice = ("cleanup", "--older-than", "0d", "--keep-tag", "paper")
    status, out, err = call(*choice)
    assert (status, err) == (0, "")
    assert f"{ids['sma']}  spared: it has the tag paper\n" in out
    assert out.endswith("; 1 kept. Nothing was deleted: give --yes\n")
    assert len(made.store.run_dirs()) == 6
    status, out, _ = call(*choice, "--yes")
    assert status == 0
    assert out.splitlines()[-1].startswith("deleted 5 runs, ")
    assert [run.backtest_id for run in made.store.run_dirs()] == [ids["sma"]]
    assert call("verify")[1] == "1 intact\n"
    assert call("cleanup")[1] == "nothing to delete; 1 kept\n"
    assert json.loads(call("cleanup", "--json")[1])["leftovers"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--older-than", "90"), "'90' is no age; write a whole number and h, d or w"),
        (("--keep-best", "3"), "--keep-best N and --metric NAME go together"),
        (("--keep-tag", "paper"), "give one of these (--older-than 0d chooses every run)"),
        (
            ("--status", "completed", "--keep-best", "1", "--metric", "sharp"),
            "no completed run has the metric 'sharp'",
        ),
    ],
)
def test_a_cleanup_guesses_nothing(call, made, arguments, said):
    status, out, err = call("cleanup", *arguments, "--yes")
    assert (status, out) == (1, "")
    assert said in err
    assert len(made.store.run_dirs()) == 6


def test_runs_go_to_another_project_in_one_file(call, made, ids, tmp_path, monkeypatch):
    file = tmp_path / "paper.tar.gz"
    status, out, err = call("archive", ids["sma"], ids["hold"], "--out", str(file))
    assert (status, err) == (0, "")
    assert out.splitlines()[0].startswith(f"{ids['sma']}  sma, sma-grid/fast=3, dataset ")
    assert f"written: {file}, 2 runs, 1 dataset, " in out
    monkeypatch.chdir(tmp_path)  # no project, no store
    found = json.loads(call("archive", "--check", str(file), "--json")[1])
    assert {run["backtest_id"] for run in found["runs"]} == {ids["sma"], ids["hold"]}
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.yaml").write_text((made.root / "config.yaml").read_text())
    monkeypatch.chdir(other)
    status, out, err = call("archive", "--into-store", str(file))
    assert (status, err) == (0, "")
    assert out.endswith("\n2 of 2 runs imported\n")
    rows = json.loads(call("list", "--json")[1])
    assert {row["backtest_id"] for row in rows} == {ids["sma"], ids["hold"]}
    assert ids["sma"] in (other / "backtests/index.html").read_text()
    assert call("verify")[1] == "2 intact\n"
    assert call("replay", "--all")[1].endswith("2 identical\n")
    status, out, _ = call("archive", "--into-store", str(file))
    assert "there already, the same in every byte of its manifest" in out
    assert out.endswith("\n0 of 2 runs imported\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--out", "x.tar"), "name runs with --out FILE"),
        (("20260101_000000_000", "--check", "x.tar"), "name runs with --out FILE"),
        (("--check", "x.tar", "--without-data"), "--without-data says what --out writes"),
        (("--check", "x.tar"), "there is no archive x.tar"),
        (("--into-store", "x.tar"), "there is no archive x.tar"),
    ],
)
def test_an_archive_is_asked_for_in_one_way(call, arguments, said):
    status, out, err = call("archive", *arguments)
    assert (status, out) == (1, "")
    assert said in err


def test_runs_are_exported_for_mlflow(call, made, ids, tmp_path):
    folder = tmp_path / "mlruns"
    status, out, err = call("export", ids["sma"], ids["hold"], "--mlflow", str(folder), "--link")
    assert (status, err) == (0, "")
    assert f"{ids['hold']}  run " in out
    assert out.endswith(f"\n2 runs in {folder}\n")
    (run,) = json.loads(call("export", ids["sma"], "--mlflow", str(folder), "--json")[1])
    home = folder / run["experiment_id"] / run["run_id"]
    assert (home / "params/slow").read_text() == "8"
    assert (home / "artifacts/run.json").stat().st_nlink == 1  # the second call copied


def test_views_are_written_beside_the_store(call, made, ids):
    status, out, err = call("views")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == "18 links to 6 runs"
    link = made.root / "views/by-symbol/AAA" / ids["sma"]
    assert link.resolve() == made.store.run(ids["sma"]).path.resolve()
    found = json.loads(call("views", "--to", "elsewhere", "--json")[1])
    assert found["folders"] == {"by-month": 1, "by-strategy": 4, "by-symbol": 1}
    assert len(json.loads(call("verify", "--json")[1])["runs"]) == 6
