import json

import pytest
from batch.support import Project, batch_config, entry, functions

from backtrail.cli import main

CLOCK = functions(
    top="import time",
    handle_data="import backtrail.engine.api as api\n"
    "api.order(api.symbol('AAA'), time.time_ns() % 1_000_000_007)",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project with two runs of one name, one that reads the clock, and one that failed."""
    project = Project.make(tmp_path_factory.mktemp("history") / "project")
    project.write("strategies/clock.py", CLOCK)
    project.write("strategies/bad.py", "raise ValueError('no luck')\n")
    batch = {name: entry(strategy=f"strategies/{name}.py") for name in ("sma", "clock", "bad")}
    project.configure(batch_config(batch=batch))
    project.run()
    project.configure(batch_config(batch={**batch, "sma": entry(params={"fast": 2})}))
    project.run()
    return project


@pytest.fixture
def ids(made):
    """Return ids by name, the two of `sma` as sma and sma2."""
    named = {}
    for run in made.store.run_dirs():
        (name,) = run.read_spec()["labels"]["names"]
        named[f"{name}2" if name in named else name] = run.backtest_id
    return named


def test_replay_says_what_agreed_and_lifts_the_grade_everywhere(call, ids, made):
    status, out, err = call("replay", ids["sma"], ids["sma2"])
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"identical     {ids['sma']}  sma, 18 of 18 files identical, grade A",
        f"identical     {ids['sma2']}  sma, 18 of 18 files identical, grade A",
        "2 identical",
    ]
    rows = json.loads(call("list", "--grade", "A", "--json")[1])
    assert [row["backtest_id"] for row in rows] == [ids["sma"], ids["sma2"]]
    assert [row["capture_grade"] for row in rows] == ["B", "B"]
    assert "\n  grade     A\n" in call("show", ids["sma"])[1]
    shown = json.loads(call("show", ids["sma"], "--json")[1])
    assert (shown["grade"], shown["capture_grade"], len(shown["replays"])) == ("A", "B", 1)
    page = made.store.index.read_text()
    assert '"grade":["A"' in page.replace(" ", "")


def test_replaying_all_ends_with_status_1_when_one_differs(call, ids):
    status, out, err = call("replay", "--all")
    assert (status, err) == (1, "")
    assert "2 identical, 1 differs\n" in out
    assert ids["bad"] not in out
    assert f"differs       {ids['clock']}  clock, " in out
    assert "    results/orders.parquet: differs, row 1 (2020-01-02 AAA), amount: " in out
    status, out, _ = call("replay", ids["clock"], "--json")
    assert status == 1
    (replay,) = json.loads(out)
    first = {item["path"]: item["first"] for item in replay["files"]}["results/orders.parquet"]
    assert (first["row"], first["column"]) == (1, "amount")
    assert first["before"] != first["after"]


def test_a_refused_replay_names_the_file_and_restore_puts_it_back(call, ids, made):
    table = made.store.run(ids["sma"]).results / "fills.parquet"
    data = table.read_bytes()
    table.unlink()
    status, out, _ = call("replay", ids["sma"])
    assert status == 1
    assert out.splitlines() == [
        f"refused       {ids['sma']}",
        "    results/fills.parquet is missing; `backtrail replay --restore` puts it back",
        "1 refused",
    ]
    status, out, _ = call("replay", ids["sma"], "--restore")
    assert status == 0
    assert "    put back results/fills.parquet\n" in out
    assert table.read_bytes() == data


def test_replay_wants_runs_or_all(call, ids):
    for arguments in ((), (ids["sma"], "--all")):
        status, out, err = call("replay", *arguments)
        assert (status, out) == (1, "")
        assert "name the runs to replay, or give --all" in err


def test_a_catalog_that_cannot_be_written_hinders_no_replay(call, ids, made):
    assert call("catalog-sync")[0] == 0
    catalog = made.store.base_dir / "catalog.sqlite"
    kept = catalog.read_bytes()
    for path in made.store.base_dir.glob("catalog.sqlite-*"):
        path.unlink()
    catalog.write_text("no database at all\n" * 50)
    try:
        status, out, err = call("replay", ids["sma"])
        assert (status, "1 identical" in out) == (0, True)
        assert "the replays are attested, but cannot write the catalog" in err
    finally:
        catalog.write_bytes(kept)


def test_verify_names_the_dataset_and_the_runs_that_use_it(call, ids, made):
    assert call("verify")[:2] == (0, "3 intact, 1 failed\n")
    dataset = made.store.run(ids["sma"]).read_spec()["identity"]["dataset"]["dataset_id"]
    bars = made.bundles / "prices" / dataset / "bars.parquet"
    data = bars.read_bytes()
    bars.chmod(0o644)
    bars.write_bytes(data[:10] + bytes([data[10] ^ 1]) + data[11:])
    try:
        status, out, _ = call("verify")
        assert status == 1
        line, users, _, counts = out.splitlines()
        assert line.startswith(f"damaged  {bars} has sha256 ")
        assert users == f"         used by 4 runs: {', '.join(sorted(ids.values()))}"
        assert counts == "3 intact, 1 failed, 1 dataset to mend"
        found = json.loads(call("verify", ids["sma"], "--json")[1])
        assert list(found["datasets"][0]["files"]) == [str(bars)]
    finally:
        bars.write_bytes(data)


def test_why_tells_the_reason_and_what_is_unchanged(call, ids):
    status, out, _ = call("why", ids["sma2"])
    assert status == 0
    assert out.splitlines() == [
        f"{ids['sma2']}  sma",
        f"not {ids['sma']}, the run of this name before it, because",
        "  parameter fast changed: 3 -> 2",
        "unchanged: code, data, settings, library",
    ]
    told = json.loads(call("why", ids["sma2"], "--json")[1])
    assert (told["predecessor"], told["relation"]) == (ids["sma"], "name")
    assert call("why", ids["sma"])[1].splitlines()[1:] == [
        "  it is the first run of its name and of its strategy file"
    ]


def test_diff_shows_where_two_runs_part_and_ends_with_status_1(call, ids):
    status, out, _ = call("diff", ids["sma"], ids["sma2"])
    assert status == 1
    for piece in (
        "parameters and settings:\n  parameter fast changed: 3 -> 2\n",
        "results:\n",
        "  total_return: -",
        "  decisions part at 2020-01-",
        "    before: order_id=",
        "  first differing trade at 2020-01-",
    ):
        assert piece in out, piece
    found = json.loads(call("diff", ids["sma"], ids["sma2"], "--json")[1])
    assert (found["equal"], found["code"], found["data"]) == (False, [], None)
    assert found["results"]["decision"]["bar"] >= 8
    assert found["values"] == [{"group": "parameter", "name": "fast", "before": 3, "after": 2}]


def test_diff_of_a_run_with_itself_is_empty(call, ids):
    assert call("diff", ids["sma"], ids["sma"]) == (0, "", "")
    assert json.loads(call("diff", ids["sma"], ids["sma"], "--json")[1])["equal"] is True


def test_diff_of_code_and_of_a_failed_run(call, ids):
    status, out, _ = call("diff", ids["sma"], ids["bad"])
    assert status == 1
    assert "code: strategies/bad.py added\n--- /dev/null\n" in out
    assert "+raise ValueError('no luck')\n" in out
    assert '  strategy entry changed: "strategies/sma.py" -> "strategies/bad.py"\n' in out
    assert "  status: completed -> failed: ValueError: no luck\n" in out
    assert "  fills differs, 7 rows -> no table\n" in out


@pytest.mark.parametrize("limit", ["-1", "x"])
def test_a_limit_is_a_count(limit, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["diff", "a", "b", "--limit", limit])
    assert caught.value.code == 2
    assert "--limit" in capsys.readouterr().err
