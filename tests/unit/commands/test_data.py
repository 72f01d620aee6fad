import json
import shutil

import pytest

from backtrail.cli import main
from backtrail.data import ingest_bundle
from backtrail.data.lock import LOCK_FILE
from backtrail.data.manifest import read_head
from tests.projects import PRICES, write_prices
from tests.unit.batch.support import Project, batch_config


def close_of_first_bar(project, text):
    path = project.root / "prices/BBB.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    lines[1] = ",".join([*cells[:2], "110", cells[3], text, cells[5]])
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A project with three datasets: of a run, of nothing, and of another run and the name."""
    project = Project.make(tmp_path_factory.mktemp("model") / "project")
    project.run()
    ids = [read_head(project.bundles, "prices")]
    for sessions, close in ((41, "101.5"), (42, "102.5")):
        write_prices(project.root / "prices", sessions=sessions)
        close_of_first_bar(project, close)
        project.ingest()
        ids.append(read_head(project.bundles, "prices"))
    project.run()
    return project, ids


@pytest.fixture
def made(model, tmp_path):
    """A copy of the project, and the ids of its datasets, oldest first."""
    project, ids = model
    return Project(shutil.copytree(project.root, tmp_path / "project")), ids


@pytest.fixture
def call(made, monkeypatch, capsys):
    monkeypatch.chdir(made[0].root)

    def call(*arguments):
        status = main(["data", *arguments, "--configfile", "config.yaml"])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_list_shows_every_dataset_and_marks_the_one_of_now(call, made):
    project, ids = made
    status, out, err = call("list")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "prices"
    for line, name, rows in zip(lines[1:], ids, (80, 82, 84), strict=True):
        assert f"{name}  {rows} bars of 2 symbols, 1d 24/5, 2020-01-02T00:00:00Z to " in line
    assert [line[2] for line in lines[1:]] == [" ", " ", "*"]
    entries = json.loads(call("list", "prices", "--json")[1])
    assert [entry["dataset_id"] for entry in entries] == ids
    assert entries[2]["path"] == str(project.bundles / "prices" / ids[2])
    status, out, err = call("list", "absent")
    assert (status, out) == (1, "")
    assert "ingested bundles: prices" in err


def test_show_tells_where_a_dataset_came_from_and_which_runs_use_it(call, made):
    project, ids = made
    first, second = (run.backtest_id for run in project.store.run_dirs())
    status, out, _ = call("show", "prices")
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == f"prices  {ids[2]}"
    assert "    BBB  42 bars, 2020-01-02T00:00:00Z to 2020-02-28T00:00:00Z" in lines
    assert any(line.startswith("  source      prices/AAA.csv  sha256 ") for line in lines)
    assert lines[-1] == f"  runs        1: {second}"
    shown = json.loads(call("show", "prices", ids[0][:6], "--json")[1])
    assert (shown["dataset_id"], shown["rows"], shown["runs"]) == (ids[0], 80, [first])
    assert "  runs        none\n" in call("show", "prices", ids[1])[1]


def test_show_tells_who_is_missing_and_what_bars_were_made_of(call, made):
    project, _ = made
    project.write("members.csv", "symbol,from,to\nAAA,2020-01-02,\nGONE,2019-01-02,2020-02-03\n")
    weeks = {"adapter": "bundle", "source": "prices", "calendar": "24/5", "timeframe": "1w"}
    prices = {**PRICES, "universe": "members.csv"}
    run = {**batch_config()["batch"]["sma"], "bundle": "weeks", "end": "2020-02-21"}
    project.configure(
        batch_config(bundles={"prices": prices, "weeks": weeks}, batch={"weekly": run})
    )
    batch = project.batch()
    for name in batch.ingested_bundles:
        ingest_bundle(batch.bundle(name), root=project.root, bundles_dir=project.bundles)
    lines = call("show", "prices")[1].splitlines()
    assert (
        "  survival    2 of 2 symbols (100%) have bars until 2020-02-28; of the 2 at the start 2 do"
    ) in lines
    (universe,) = (line for line in lines if line.startswith("  universe    members.csv  sha256 "))
    assert universe.endswith(": 2 symbols; members 2 at the first bar, 1 at the last, 1 at both")
    assert "    members without bars: 1: GONE" in lines
    assert "    never members: 1: BBB" in lines
    shown = call("show", "weeks")[1]
    head = read_head(project.bundles, "prices")
    assert f"  derived     from 84 bars of 1d of prices, dataset {head}\n" in shown
    assert "    never members: 1: BBB" in shown


def test_verify_finds_a_changed_byte_and_ends_with_status_1(call, made):
    project, ids = made
    assert call("verify")[:2] == (0, "3 datasets intact, 0 damaged\n")
    path = project.bundles / "prices" / ids[1] / "bars.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.chmod(0o644)
    path.write_bytes(data)
    status, out, _ = call("verify", "prices")
    assert status == 1
    assert out.startswith(f"damaged  prices/{ids[1]}/bars.parquet has sha256 ")
    assert out.endswith("2 datasets intact, 1 damaged\n")
    found = json.loads(call("verify", "--json")[1])
    assert [bool(item["damage"]) for item in found] == [False, True, False]


def test_diff_names_restated_bars_and_the_runs_on_either_side(call, made):
    project, ids = made
    first, second = (run.backtest_id for run in project.store.run_dirs())
    status, out, err = call("diff", "prices")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == f"prices  {ids[1]} -> {ids[2]}"
    assert lines[1] == "  1 bar changed (close 1): BBB 2020-01-02 close 101.5 -> 102.5"
    assert lines[2] == "  2 bars added: AAA 2020-02-28; BBB 2020-02-28"
    assert lines[3:] == [f"runs on {ids[1]}: none", f"runs on {ids[2]}: 1: {second}"]
    found = json.loads(call("diff", "prices", ids[0], ids[2], "--json")[1])
    assert (found["before"], found["after"]) == (ids[0], ids[2])
    assert (found["bars"]["added"], found["bars"]["changed"]) == (4, 1)
    assert found["runs"] == {"before": [first], "after": [second]}
    status, out, _ = call("diff", "prices", ids[0], ids[0])
    assert status == 0
    assert "  the same bars, adjustments, calendar and timeframe\n" in out
    status, out, _ = call("diff", "prices", "--limit", "0")
    assert out.splitlines()[2] == "  2 bars added: and 2 more"


def test_lock_writes_checks_and_says_what_moved(call, made):
    project, ids = made
    assert call("lock", "--check")[:2] == (0, "as locked: none\n")
    assert call("lock")[:2] == (0, f"prices  {ids[2]}\nwritten: {LOCK_FILE}\n")
    assert call("lock")[1].startswith(f"prices  {ids[2]}, as before\n")
    assert call("lock", "--check")[:2] == (0, "as locked: prices\n")
    write_prices(project.root / "prices", sessions=41)
    close_of_first_bar(project, "101.5")
    project.ingest()
    status, out, err = call("lock", "--check")
    assert (status, out) == (1, "")
    assert f"bundle 'prices' is dataset {ids[1]} now" in err
    assert "1 bar changed (close 1): BBB 2020-01-02 close 102.5 -> 101.5" in err
    found = json.loads(call("lock", "prices", "--json")[1])
    assert found == {"prices": {"before": ids[2], "now": ids[1]}}


def test_lock_without_an_ingested_bundle_is_a_clear_error(tmp_path, monkeypatch, capsys):
    project = Project.make(tmp_path / "project")
    monkeypatch.chdir(project.root)
    assert main(["data", "lock", "--configfile", "config.yaml"]) == 1
    assert "no bundle of the config is ingested" in capsys.readouterr().err
    assert not (project.root / LOCK_FILE).exists()


def test_gc_deletes_only_with_yes_and_the_catalog_forgets(call, made):
    project, ids = made
    status, out, _ = call("gc")
    assert status == 0
    lines = out.splitlines()
    assert lines[0].startswith(f"prices  {ids[1]}  82 bars of 2 symbols, ")
    assert lines[1].startswith("1 dataset, 0.0 MB, reached by nothing; 2 kept.")
    folder = project.bundles / "prices" / ids[1]
    assert folder.is_dir()
    found = json.loads(call("gc", "--yes", "--json")[1])
    assert ([item["dataset_id"] for item in found["datasets"]], found["deleted"]) == (
        [ids[1]],
        True,
    )
    assert not folder.exists()
    assert (project.store.ledger / f"tombstones/datasets/prices/{ids[1]}.json").is_file()
    assert call("gc", "--yes")[1] == "deleted 0 datasets, 0.0 MB; 2 kept\n"
    assert call("gc")[1] == "nothing to delete; 2 kept\n"
    assert f"  {ids[1]}  deleted\n" in call("list")[1]
    from backtrail.catalog.catalog import Catalog

    with Catalog(
        f"sqlite:///{project.store.base_dir / 'catalog.sqlite'}", project.store, project.bundles
    ) as catalog:
        used = {link["dataset_id"] for link in catalog.find_links()}
    assert used == {ids[0], ids[2]}


def test_gc_counts_the_lock_of_another_project(call, made, tmp_path):
    project, ids = made
    write_prices(project.root / "prices", sessions=41)
    close_of_first_bar(project, "101.5")
    project.ingest()
    call("lock")
    other = tmp_path / "other"
    (other / "config").mkdir(parents=True)
    (project.root / LOCK_FILE).rename(other / LOCK_FILE)
    (other / "config/config.yaml").write_text((project.root / "config.yaml").read_text())
    write_prices(project.root / "prices", sessions=43)
    project.ingest()
    assert ids[1] in call("gc")[1]
    assert call("gc", "--project", str(other))[1] == "nothing to delete; 4 kept\n"
