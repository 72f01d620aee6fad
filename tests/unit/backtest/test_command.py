import json

import pytest

from backtrail.cli import main

from .project import WINDOW, manifest

DATES = ("--start", WINDOW["start"], "--end", WINDOW["end"])


def run(project, *arguments, status=0, folder=None):
    return project.python("-m", "backtrail", "run", *arguments, status=status, folder=folder)


def test_a_strategy_is_run_from_any_folder_and_found_again(project, tmp_path):
    said = run(project, project.sma, *DATES, "--symbols", "AAA", "--bundle", "prices",
               folder=tmp_path)  # fmt: skip
    (made,) = project.store.run_dirs()
    lines = said.splitlines()
    assert lines[0] == f"run         {made.backtest_id}  new"
    assert lines[1] == "grade       B"
    assert lines[2] == f"folder      {made.path}"
    assert lines[-1].split() == ["total_trades", "3"]
    figures = manifest(made.path)["metrics"]
    assert lines[3].split() == ["total_return", f"{figures['total_return'] * 100:.2f}%"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]
    again = run(project, "strategies/sma.py", *DATES, "--symbols", "AAA")
    assert "taken as it is: it was run before" in again.splitlines()[0]


def test_arguments_become_what_decides_the_run(project, capsys):
    arguments = [
        "run", str(project.sma), *DATES, "--symbols", "AAA,BBB", "--param", "fast=2", "--param",
        "slow=6", "--capital-base", "5000.5", "--commission", "0.001", "--benchmark", "BBB",
        "--risk-free-rate", "-0.005",
        "--fill", "next_close", "--size-at", "fill", "--shares", "fractional", "--cash-policy",
        "overdraw", "--ledger", "float64", "--name", "mine", "--id", "first", "--json",
    ]  # fmt: skip
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["backtest_id"] == "first"
    assert printed["output_dir"] == str(project.root / "backtests/first")
    assert printed["metrics"]["total_return"] != 0.0
    record = manifest(printed["output_dir"])
    identity = record["identity"]
    assert record["labels"]["names"] == ["mine"]
    assert identity["symbols"] == ["AAA", "BBB"]
    assert identity["params"] == {"fast": 2, "slow": 6}
    assert identity["capital_base"] == "5000.5"
    assert identity["commission"] == {"model": "per_dollar", "cost": "0.001"}
    assert identity["risk_free_rate"] == "-0.005"
    assert (identity["benchmark"], identity["ledger"]) == ("BBB", "float64")
    assert identity["execution"] == {
        "fill": "next_close", "size_at": "fill", "shares": "fractional", "cash_policy": "overdraw",
    }  # fmt: skip


def test_the_page_is_rendered_when_it_is_asked_for(project, capsys):
    assert main(["run", str(project.hold), *DATES, "--report"]) == 0
    (made,) = project.store.run_dirs()
    page = made.reports / "basic_report.html"
    assert f"report      {page}" in capsys.readouterr().out
    assert made.backtest_id in page.read_text()


def test_a_failing_strategy_ends_with_status_1_and_its_reason(project):
    project.write("strategies/bad.py", "def handle_data(context, data):\n    raise KeyError(1)\n")
    said = run(project, "strategies/bad.py", *DATES, status=1)
    assert "KeyError: 1" in said
    assert "It is catalogued" in said


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["strategies/absent.py"], 1, "strategy file strategies/absent.py does not exist"),
        (["strategies/hold.py", "--bundle", "none"], 1, "there is no bundle 'none'"),
        (["strategies/hold.py", "--param", "x=1"], 1, "takes no parameters, got x"),
        (["strategies/hold.py", "--param", "x"], 2, "'x' is no NAME=VALUE"),
        (["strategies/hold.py", "--param", "1x=3"], 2, "'1x=3' is no NAME=VALUE"),
        (
            ["strategies/hold.py", "--param", "x={a: 1, a: 2}"],
            2,
            "the key 'a' stands in line 1",
        ),
        (["strategies/hold.py", "--param", "x=.nan"], 1, "params.x: nan is no value"),
        (["strategies/hold.py", "--capital-base", "much"], 2, "invalid float value"),
        (["strategies/hold.py", "--risk-free-rate", "2"], 1, "0.02 is two percent"),
        (["strategies/hold.py", "--risk-free-rate", "2%"], 2, "invalid float value: '2%'"),
        (["strategies/hold.py", "--id", "a/b"], 1, "invalid backtest id 'a/b'"),
        (["strategies/hold.py", "--configfile", "config/no.yaml"], 1, "there is no such file"),
    ],
)
def test_what_cannot_be_meant_is_named_and_makes_no_run(project, arguments, status, message):
    said = run(project, *arguments, *DATES, status=status)
    assert message in said
    assert "Traceback" not in said
    assert project.store.run_dirs() == []


@pytest.mark.parametrize(
    ("text", "value"),
    [("10", 10), ("0.5", 0.5), ("true", True), ("close", "close"), ("[1, 2]", [1, 2]),
     ("a=b", "a=b"), ("null", None), ("2020-01-02", "2020-01-02"), ("10:30", "10:30"),
     ("010", "010")],
)  # fmt: skip
def test_a_value_is_read_as_a_config_reads_it(text, value):
    from backtrail.cli import build_parser

    options = build_parser().parse_args(["run", "x.py", *DATES, "--param", f"name={text}"])
    assert options.param == [("name", value)]
