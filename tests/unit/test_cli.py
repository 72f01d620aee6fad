import json
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest
from batch.support import Project, batch_config, entry, functions

from backtrail import __version__
from backtrail.cli import main
from backtrail.files import lease

CONFIG = ("--configfile", "config.yaml")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A project with a sealed run, its seed sibling, a failed run and a catalog."""
    bad = functions(initialize="raise ValueError('no luck')")
    batch = {
        "sma": entry(),
        "bad": entry(strategy="strategies/bad.py"),
        "twin": {"extends": "sma"},
    }
    project = Project.make(tmp_path_factory.mktemp("cli") / "project")
    project.write("strategies/bad.py", bad)
    project.configure(batch_config(batch=batch))
    project.run()
    return project.root


@pytest.fixture
def call(root, monkeypatch, capsys):
    """Run a command in the project; return status, output and errors."""
    monkeypatch.chdir(root)

    def call(*arguments, config=CONFIG):
        status = main([*arguments, *config])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    call("catalog-sync")
    return call


@pytest.fixture
def ids(call):
    return {row["name"]: row["backtest_id"] for row in json.loads(call("list", "--json")[1])}


def test_list_shows_every_run_as_a_table(call, ids):
    status, out, err = call("list")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[0].split() == [
        "backtest_id", "name", "status", "grade", "return", "sharpe", "drawdown", "trades",
    ]  # fmt: skip
    assert lines[1].split()[:4] == [ids["sma"], "sma", "completed", "B"]
    assert lines[2].split() == ["2020-01-02..2020-02-26", "fast=3", "slow=8", "also", "twin"]
    assert lines[3].split() == [ids["bad"], "bad", "failed", "D"]
    assert lines[5].strip() == "ValueError: no luck"
    assert len(lines) == 6


def test_list_filters(call):
    for arguments, names in (
        (("--status", "failed"), ["bad"]),
        (("--status", "altered"), []),
        (("--grade", "B"), ["sma"]),
        (("--strategy", "strategies/sma.py", "--bundle", "prices"), ["sma"]),
        (("--name", "twin"), ["sma"]),
    ):
        status, out, _ = call("list", "--json", *arguments)
        assert status == 0
        assert [row["name"] for row in json.loads(out)] == names
    assert call("list", "--status", "altered")[:2] == (0, "none of 2 runs fits --status altered\n")


def test_tags_are_given_shown_filtered_and_taken(call, ids, root):
    page = root / "backtests/index.html"
    assert call("tag", ids["sma"]) == (0, f"{ids['sma']}  no tags\n", "")
    status, out, _ = call("tag", ids["sma"], ids["bad"], "--add", "paper", "--add", "x.1")
    assert (status, out) == (0, f"{ids['sma']}  paper, x.1\n{ids['bad']}  paper, x.1\n")
    assert '"tags":[["paper","x.1"],["paper","x.1"]]' in page.read_text()
    assert json.loads(call("tag", ids["bad"], "--remove", "x.1", "--json")[1]) == {
        ids["bad"]: ["paper"]
    }
    rows = json.loads(call("list", "--tag", "x.1", "--json")[1])
    assert [(row["name"], row["tags_json"]) for row in rows] == [("sma", '["paper","x.1"]')]
    assert "  also twin  tags paper, x.1\n" in call("list", "--tag", "x.1")[1]
    assert "\n  tags      paper, x.1\n" in call("show", ids["sma"])[1]
    assert json.loads(call("show", ids["sma"], "--json")[1])["tags"] == ["paper", "x.1"]
    status, _, error = call("list", "--tag", "papers")
    assert (status, error) == (
        1,
        "backtrail: no run has the tag 'papers'; there are paper, x.1\n",
    )
    status, _, error = call("tag", ids["sma"], "--add", "a b")
    assert (status, error.partition(":")[2][:21]) == (1, " invalid tag 'a b': a")
    assert (
        "no config 'old.yaml' gave these runs a tag"
        in call("tag", ids["sma"], "--forget", "old.yaml")[2]
    )
    assert "this config is there" in call("tag", ids["sma"], "--forget", CONFIG[-1])[2]
    call("tag", *ids.values(), "--remove", "paper", "--remove", "x.1")
    assert call("list", "--tag", "x.1")[2].endswith("none has any tag\n")


def test_show_tells_identity_and_figures(call, ids):
    status, out, _ = call("show", ids["sma"])
    assert status == 0
    for piece in (
        f"Run\n  id        {ids['sma']}\n  names     sma, twin\n  status    completed\n",
        "\n  parameters  fast=3 slow=8\n",
        "\nFigures\n  total_return ",
        "--files lists them\n",
    ):
        assert piece in out, piece
    assert "  results/trades.parquet\n" in call("show", ids["sma"], "--files")[1]
    shown = json.loads(call("show", ids["sma"], "--json")[1])
    assert shown["backtest_id"] == ids["sma"]
    assert shown["inventory"]["results/trades.parquet"]["sha256"]


def test_show_names_packages_and_what_came_from_outside(tmp_path, monkeypatch, capsys):
    project, outside = Project.make(tmp_path / "project"), tmp_path / "signals.csv"
    outside.write_text("1")
    read = functions(top="import yaml\n", initialize=f"open({str(outside)!r}).read()")
    project.write("strategies/sma.py", read)
    project.run()
    monkeypatch.chdir(project.root)
    assert main(["show", project.store.run_dirs()[0].backtest_id, *CONFIG]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  grade     C" in lines
    assert f"  packages  numpy {version('numpy')}, pyyaml {version('pyyaml')}" in lines
    assert f"  gaps      {outside} was read; it is no part of the captured code" in "\n".join(lines)


def test_show_tells_why_a_run_failed(call, ids):
    _, out, _ = call("show", ids["bad"])
    assert "ValueError: no luck" in out
    assert 'File "strategies/bad.py"' in out


def test_verify_finds_damage_and_says_so_by_its_status(call, ids, root):
    assert call("verify")[:2] == (0, "1 intact, 1 failed\n")
    table = root / "backtests" / ids["sma"] / "results/fills.parquet"
    data = table.read_bytes()
    table.write_bytes(b"altered")
    try:
        status, out, _ = call("verify", ids["sma"])
        lines = out.splitlines()
        assert status == 1
        assert lines[0] == f"altered  {ids['sma']}/results/fills.parquet"
        assert f"snakemake --cores 1 backtests/{ids['sma']}/results/fills.parquet" in lines[1]
        assert lines[2:] == ["1 damaged"]
        status, out, _ = call("verify", "--json")
        assert status == 1
        found = json.loads(out)
        assert [item["state"] for item in found["runs"]] == ["damaged", "failed"]
        assert found["objects"] == []
    finally:
        table.write_bytes(data)
    assert call("verify", ids["sma"])[0] == 0


def test_plan_says_what_would_run_and_why(call):
    status, out, _ = call("plan")
    assert status == 0
    assert out.startswith("2 runs: 1 failed, 1 reused\nfailed  bad  ")
    assert "        ValueError: no luck\n        attempt 1 failed; it will be tried again\n" in out
    assert "sma" not in out
    assert "reused  sma" in call("plan", "--all")[1]
    states = {item["name"]: item["state"] for item in json.loads(call("plan", "--json")[1])}
    assert states == {"sma": "reused", "bad": "failed", "twin": "reused"}


def test_catalog_sync_counts_and_rebuilds(call):
    assert call("catalog-sync")[1] == "2 runs in the catalog: 0 added, 0 updated, 0 removed\n"
    counts = json.loads(call("catalog-sync", "--rebuild", "--json")[1])
    assert counts == {
        "added": 2,
        "updated": 0,
        "removed": 0,
        "total": 2,
        "unreadable": {},
        "failed": 1,
    }


def test_catalog_sync_names_what_it_leaves_out_and_says_so_by_its_status(call, ids, root):
    manifest = root / "backtests" / ids["sma"] / "run.json"
    before = manifest.read_bytes()
    manifest.write_text("[]")
    try:
        status, out, err = call("catalog-sync")
        assert (status, err) == (1, "")
        assert out.startswith(
            "1 run in the catalog: 0 added, 0 updated, 1 removed\n"
            f"left out  {manifest}: it is not the manifest of a run: "
        )
        status, out, _ = call("catalog-sync", "--json")
        assert status == 1
        assert list(json.loads(out)["unreadable"]) == [str(manifest)]
        command = [sys.executable, "-m", "backtrail.cli", "catalog-sync", *CONFIG]
        process = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert (process.returncode, process.stderr) == (1, ""), "it is told once"
    finally:
        manifest.write_bytes(before)
    assert call("catalog-sync")[:2] == (
        0,
        "2 runs in the catalog: 1 added, 0 updated, 0 removed\n",
    )


STORE_COMMANDS = [
    ["list"],
    ["show", "2"],
    ["verify"],
    ["catalog-sync"],
    ["replay", "--all"],
    ["why", "2"],
    ["diff", "2", "2"],
    ["tag", "2"],
]


@pytest.mark.parametrize("command", [["plan"], *STORE_COMMANDS])
def test_outside_a_project_each_command_says_so_and_what_would_do(
    command, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    for piece in (
        f"{tmp_path}: this folder is no backtrail project: it has no config/config.yaml, "
        "and no folder above it has one; ",
        "(cd)",
        "--configfile FILE",
    ):
        assert piece in captured.err, piece
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", STORE_COMMANDS)
def test_an_absent_store_is_an_error_that_names_it(command, call, root):
    (root / "empty.yaml").write_text("backtest_output: {base_dir: nothing}\n")
    status, out, err = call(*command, config=("--configfile", "empty.yaml"))
    assert (status, out) == (1, "")
    assert err.startswith(f"backtrail: there is no run store {root / 'nothing'}; ")
    assert "base_dir in empty.yaml" in err
    assert not (root / "nothing").exists()


def test_a_store_without_runs_is_no_error(call, root):
    (root / "void").mkdir(exist_ok=True)
    (root / "void.yaml").write_text("backtest_output: {base_dir: void}\n")
    config = ("--configfile", "void.yaml")
    assert call("verify", config=config)[:2] == (0, "the store has no runs\n")
    assert call("catalog-sync", config=config)[0] == 0
    assert call("list", config=config)[:2] == (0, "the catalog has no runs yet\n")


@pytest.mark.parametrize(
    ("arguments", "config", "message"),
    [
        (("show", "nope"), CONFIG, "there is no run 'nope' in "),
        (("show", "2"), CONFIG, "begins 2 ids"),
        (("verify", "nope"), CONFIG, "there is no run 'nope'"),
        (("show", "sma"), CONFIG, "if sma is a name, `backtrail list --name sma` says the ids"),
        (("list",), ("--configfile", "absent.yaml"), "absent.yaml: there is no such file"),
        (("plan",), ("--configfile", "strategies"), "it cannot be read (Is a directory)"),
        (("list",), ("--configfile", "broken.yaml"), "broken.yaml: backtest_output: null"),
        (("plan",), ("--configfile", "broken.yaml"), "the key 'bundles' is missing"),
        (("list",), ("--configfile", "bare.yaml"), "there is no catalog at "),
        (("list", "--name", "nope"), CONFIG, "no run has the name 'nope'; there are sma, "),
        (("list", "--bundle", "price"), CONFIG, "no run has the bundle 'price'; there is prices\n"),
        (("list",), ("--configfile", "secret.yaml"), "cannot open the catalog nosuch://u:***@h/d"),
        (("list",), ("--configfile", "remote.yaml"), "cannot read the catalog postgresql+pg8000://"),
    ],
)  # fmt: skip
def test_bad_input_is_one_message_and_status_1(call, root, arguments, config, message):
    (root / "broken.yaml").write_text("backtest_output: null\n")
    (root / "bare").mkdir(exist_ok=True)
    (root / "bare.yaml").write_text("backtest_output: {base_dir: bare}\n")
    remote = "postgresql+pg8000://u:secret@127.0.0.1:1/d"  # its store is on another machine
    (root / "remote.yaml").write_text(
        f"backtest_output: {{base_dir: nothing}}\nstorage: {{catalog_url: '{remote}'}}\n"
    )
    (root / "secret.yaml").write_text("storage: {catalog_url: 'nosuch://u:secret@h/d'}\n")
    for extra in ((), ("--json",)):
        status, out, err = call(*arguments, *extra, config=config)
        assert (status, out) == (1, "")
        assert err.startswith("backtrail: ")
        assert message in err
        assert "secret@" not in err
    assert list((root / "bare").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nope"],
        ["show"],
        ["list", "--nope"],
        ["plan", "x"],
        ["list", "--status", "running"],
        ["list", "--grade", "b"],
    ],
)
def test_misuse_is_status_2_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: backtrail" in capsys.readouterr().err


def test_a_word_that_is_near_to_a_choice_is_told_which(capsys):
    for arguments, said in (
        (["lst"], "invalid choice: 'lst'; did you mean 'list'?"),
        (["list", "--status", "complete"], "'complete'; did you mean 'completed'?"),
        (["data", "lsit"], "'lsit'; did you mean 'list'?"),
        (["list", "--by", "quarter-hour"], "invalid choice: 'quarter-hour' (choose from "),
    ):
        with pytest.raises(SystemExit):
            main(arguments)
        assert said in capsys.readouterr().err


def test_a_call_without_a_command_lists_them(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "verdict      rank the validated searches" in capsys.readouterr().err


def test_help_and_version_are_there(capsys):
    for arguments, text in (
        (["--version"], __version__),
        (["--help"], "catalog-sync"),
        (["show", "--help"], "backtest id, or its beginning"),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert text in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_error(call, root):
    process = subprocess.Popen(
        [sys.executable, "-m", "backtrail.cli", "show", *CONFIG, "--json", "2"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait()


def start(root, *arguments, **options):
    command = [sys.executable, "-m", "backtrail", *arguments, *CONFIG]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=root, text=True, **pipes, **options)


def test_a_full_disk_is_told_in_a_sentence(root, tmp_path):
    import resource

    (root / "config").mkdir(exist_ok=True)
    limit = (resource.RLIMIT_FSIZE, (0, 0))
    command = start(root, "data", "lock", preexec_fn=lambda: resource.setrlimit(*limit))
    out, err = command.communicate()
    assert (command.returncode, out) == (1, "")
    assert (
        err == "backtrail: cannot write a file: File too large; make room, or name another disk\n"
    )
    assert list((root / "config").iterdir()) == []


def opened_by(process):
    """Return what a process has open; what it closes meanwhile is left out."""
    found = set()
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(link.readlink())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has open is seen in /proc")
def test_a_command_that_is_interrupted_ends_without_a_traceback(root):
    lock = root / "backtests/.catalog.lock"
    with lease(lock):
        command = start(root, "catalog-sync")
        while lock not in opened_by(command.pid):
            assert command.poll() is None
        command.send_signal(signal.SIGINT)
        assert command.communicate() == ("", "backtrail: interrupted\n")
    assert command.returncode == 130
