"""Grades, gaps, kept inputs and own artifacts of whole runs."""

import os
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.rundir import RunDir
from backtrail.batch import stages
from backtrail.batch.execution.executor import Executor
from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.planning.loading import open_batch
from backtrail.batch.planning.plan import make_plan
from backtrail.batch.planning.validation_steps import validation_steps
from backtrail.canonical import sha256_file
from backtrail.data import ingest_bundle
from backtrail.errors import SealError
from tests.unit.batch.support import functions, on_first_bar

REPOSITORY = Path(__file__).resolve().parents[4]


@pytest.fixture
def made(project):
    """Run one strategy text through all stages; return its run."""

    def made(text, *, fails=False, **files):
        project.write("strategies/sma.py", text)
        for name, content in files.items():
            project.write(name, content)
        plan, failed = project.run()
        run = project.store.run(plan.runs[0].backtest_id)
        assert bool(failed) == fails, run.read_manifest()["error"]
        return run

    return made


@pytest.fixture
def outside(tmp_path):
    path = tmp_path / "signals.csv"
    path.write_text("a,b\n1,2\n")
    return path


def restore(project, run):
    with project.executor() as executor:
        stages.restore_run(project.store, run.backtest_id, executor)


def code_of(run):
    return sorted(p.relative_to(run.code).as_posix() for p in run.code.rglob("*") if p.is_file())


# Grades and gaps


def test_a_file_from_outside_lowers_the_grade_and_is_kept_with_its_origin(made, outside, project):
    run = made(on_first_bar(f"open({str(outside)!r}).read()"))
    manifest = run.read_manifest()
    sha256 = sha256_file(outside)
    stored = f"inputs/opened/{sha256[:12]}-signals.csv"
    assert manifest["usage"]["opened"] == [
        {"origin": str(outside), "sha256": sha256, "size": 8, "stored": stored, "reason": None}
    ]
    assert (manifest["status"], manifest["grade"]) == ("completed", "C")
    assert manifest["gaps"] == [
        f"{outside} was read; it is no part of the captured code and is kept as {stored}"
    ]
    assert (run.path / stored).read_bytes() == outside.read_bytes()
    assert (run.path / stored).stat().st_mode & 0o777 == 0o444
    assert manifest["inventory"][stored] == {"sha256": sha256, "size": 8}
    assert (project.store.objects / sha256[:2] / sha256).samefile(run.path / stored)
    assert not inspect_run(run)


def test_a_file_that_holds_a_secret_is_named_and_not_copied(made, outside):
    token = "gh" + "p_" + "a1B2c3D4e5F6g7H8i9J0" * 2
    outside.write_text(f"host = example.org\ntoken = {token}\n")
    run = made(on_first_bar(f"open({str(outside)!r}).read()"))
    manifest = run.read_manifest()
    (item,) = manifest["usage"]["opened"]
    reason = "line 2 holds what looks like a GitHub token"
    assert (item["reason"], item["stored"], item["sha256"]) == (reason, None, None)
    assert manifest["gaps"] == [
        f"{outside} was read; it is no part of the captured code and is not kept: {reason}"
    ]
    assert not (run.path / "inputs").exists()
    assert [path for path in run.path.rglob("*") if token.encode() in read(path)] == []


def read(path):
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("raise KeyError('x')", "KeyError"), ("import sys; sys.exit(3)", "SystemExit")],
)
def test_a_failed_run_says_what_it_had_used_and_keeps_it(project, outside, ending, kind):
    project.write("strategies/sma.py", on_first_bar(f"open({str(outside)!r}).read()\n{ending}"))
    _, (backtest_id,) = project.run()
    run = project.store.run(backtest_id)
    manifest = run.read_manifest()
    (item,) = manifest["usage"]["opened"]
    assert (manifest["error"]["kind"], item["origin"]) == (kind, str(outside))
    assert (run.path / item["stored"]).read_bytes() == outside.read_bytes()
    assert manifest["gaps"] == [
        "the run failed; it has no results",
        f"{outside} was read; it is no part of the captured code and is kept as {item['stored']}",
    ]


def test_a_run_that_was_ended_cannot_tell_what_it_had_used(project):
    project.write("strategies/sma.py", on_first_bar("import os; os._exit(3)"))
    _, (backtest_id,) = project.run()
    manifest = project.store.run(backtest_id).read_manifest()
    assert "usage" not in manifest
    assert manifest["gaps"][1] == "the run was ended before it could tell what it had used"


def test_every_kind_of_use_is_one_sentence(made, outside, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/signals_of_mine.py").write_text("X = 1\n")
    run = made(
        on_first_bar(
            f"sys.path.append({str(tmp_path / 'lib')!r})\nimport signals_of_mine\n"
            f"open({str(outside)!r}).read()\nsubprocess.run(['true'], check=True)\n"
            "s = socket.socket(type=socket.SOCK_DGRAM)\ns.connect(('127.0.0.1', 9))",
            top="import socket, subprocess, sys\n",
        )
    )
    manifest = run.read_manifest()
    module = manifest["usage"]["modules"][0]
    assert (module["name"], module["origin"]) == (
        "signals_of_mine", str(tmp_path / "lib/signals_of_mine.py")
    )  # fmt: skip
    assert (run.path / module["stored"]).read_text() == "X = 1\n"
    kept = manifest["usage"]["opened"][0]["stored"]
    part = "it is no part of the captured code and is kept as"
    assert manifest["gaps"] == [
        f"{outside} was read; {part} {kept}",
        f"module signals_of_mine was imported from {module['origin']}; {part} {module['stored']}",
        "a program was started: true",
        "a connection was made to 127.0.0.1:9; what came from there is not kept",
    ]
    assert manifest["grade"] == "C"


def test_what_could_not_be_followed_is_no_gap_when_the_run_needed_nothing_else(made):
    text = functions(top="import importlib\nname = 'json'\nimportlib.import_module(name)\n")
    run = made(text)
    manifest = run.read_manifest()
    assert (manifest["grade"], manifest["gaps"]) == ("B", [])
    assert "imports a module whose name is computed" in run.code_manifest.read_text()


@pytest.mark.slow
def test_the_default_batch_uses_nothing_from_outside(tmp_path):
    for name in ("config", "strategies", "resources"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    batch = open_batch([Path("config/config.yaml")], root=tmp_path)
    for name in batch.used_bundles:
        ingest_bundle(batch.bundle(name), root=tmp_path, bundles_dir=batch.places.bundles)
    plan, store = make_plan(batch), batch.places.store
    assert len(plan.runs) > 10
    with Executor(batch.places.bundles, Limits(), csv_twins=False) as executor:
        for planned in plan.runs:
            stages.capture_code(store, planned.backtest_id)
            identity = store.run(planned.backtest_id).read_spec()["identity"]
            if "search" in identity:
                stages.select_parameters(store, planned.backtest_id, executor)
            stages.run_backtest(store, planned.backtest_id, executor)
            for step in validation_steps(identity):
                stages.validate_run(store, planned.backtest_id, step, executor)
            stages.seal_run(store, planned.backtest_id)
            manifest = store.run(planned.backtest_id).read_manifest()
            assert (manifest["grade"], manifest["gaps"]) == ("B", []), planned
            usage = dict(manifest["usage"])
            assert usage.pop("packages") == {"numpy": version("numpy")}
            assert {name: found for name, found in usage.items() if found} == {}


# Kept inputs


def test_a_lost_input_comes_back_from_the_object_store(made, outside, project):
    run = made(on_first_bar(f"open({str(outside)!r}).read()"))
    stored = run.path / run.read_manifest()["usage"]["opened"][0]["stored"]
    outside.unlink()
    stored.unlink()
    restore(project, run)
    assert stored.read_text() == "a,b\n1,2\n"
    assert stored.stat().st_mode & 0o777 == 0o444
    assert not inspect_run(run)


def test_a_lost_input_comes_back_from_where_it_was_when_the_object_is_lost_too(
    made, outside, project
):
    run = made(on_first_bar(f"open({str(outside)!r}).read()"))
    item = run.read_manifest()["usage"]["opened"][0]
    lost = project.store.objects / item["sha256"][:2] / item["sha256"]
    for path in (run.path / item["stored"], lost):
        path.unlink()
    outside.write_text("another content")
    with pytest.raises(SealError, match=r"has not the same content any more; put it back there"):
        restore(project, run)
    assert not (run.path / item["stored"]).exists()
    outside.write_text("a,b\n1,2\n")
    restore(project, run)
    assert (run.path / item["stored"]).read_text() == "a,b\n1,2\n"
    assert not inspect_run(run)


def test_a_second_attempt_keeps_only_its_own_inputs(made, project, tmp_path):
    flag, first, second = (tmp_path / name for name in ("flag", "first.csv", "second.csv"))
    first.write_text("1")
    second.write_text("2")
    text = on_first_bar(
        f"if not os.path.exists({str(flag)!r}):\n"
        f"    self_path = context.artifact_manager.get_output_path('f.txt', 'features')\n"
        f"    self_path.write_text('x')\n    open({str(first)!r}).read()\n    raise OSError\n"
        f"open({str(second)!r}).read()",
        top="import os\n",
    )
    run = made(text, fails=True)
    assert sorted(entry.name for entry in run.path.iterdir()) == [
        "_FAILED", "code", "errors", "inputs", "logs", "metadata", "run.json"
    ]  # fmt: skip
    flag.touch()
    assert project.run()[1] == []
    origins = [item["origin"] for item in run.read_manifest()["usage"]["opened"]]
    assert origins == [str(second)]
    assert [path.name[13:] for path in (run.inputs / "opened").iterdir()] == ["second.csv"]


# Hints


def test_a_missing_module_comes_with_a_hint_and_what_could_not_be_followed(made):
    run = made("import importlib\nname = 'lib.rul' + 'es'\nimportlib.import_module(name)\n"
               + functions(), fails=True)  # fmt: skip
    message = run.read_manifest()["error"]["message"].splitlines()
    assert message[0] == "No module named 'lib'"
    assert message[1] == (
        "The run executed from its captured copy, which holds 1 file, not from the project folder. "
        "Name further files under files: in a strategy.yaml beside the strategy, or data files by "
        "data_file('...'); a missing package is to be installed."
    )
    assert message[3].startswith("  strategies/sma.py:3 imports a module whose name is computed")
    assert len(message) == 4


def test_a_missing_data_file_comes_with_a_hint(made):
    run = made(functions(initialize="open('strategies/levels.csv')"), fails=True,
               **{"strategies/levels.csv": "1\n"})  # fmt: skip
    message = run.read_manifest()["error"]["message"].splitlines()
    assert message[0] == "[Errno 2] No such file or directory: 'strategies/levels.csv'"
    assert "executed from its captured copy, which holds 1 file," in message[1]
    assert "package" not in message[1]
    assert len(message) == 2


def test_another_failure_has_no_hint(made):
    run = made(functions(initialize="raise ValueError('no')"), fails=True)
    assert run.read_manifest()["error"]["message"] == "no"


# Own artifacts

CLASS = """
import os

from backtrail.engine import TradingAlgorithm


class Own(TradingAlgorithm):
    def initialize(self, context):
        assert self.artifact_manager.output_dir == self.output_dir
        self.artifact_manager.get_result_path("early.txt").write_text("e")

    def handle_data(self, context, data):
        pass

    def analyze(self, context, perf):
        paths = self.artifact_manager
        paths.get_result_path("own.csv", subfolder="a/b").write_text("x\\n1\\n")
        paths.get_output_path("f.txt", "features").write_text(paths.backtest_id)
        (self.output_dir / "loose.txt").write_text("loose")
        open("beside.txt", "w").write("beside")
        os.mkdir("plots")
        open("plots/p.txt", "w").write("plot")
"""
FUNCTION = """
def handle_data(context, data):
    pass


def analyze(context, perf):
    context.artifact_manager.get_result_path("own.csv").write_text("x\\n1\\n")
    (context.output_dir / "results" / "direct.csv").write_text("y\\n")
    open("beside.txt", "w").write("beside")
"""
OWN = {
    "class": {
        "results/early.txt": "e",
        "results/a/b/own.csv": "x\n1\n",
        "features/f.txt": None,
        "loose.txt": "loose",
        "results/beside.txt": "beside",
        "results/plots/p.txt": "plot",
    },
    "function": {
        "results/own.csv": "x\n1\n",
        "results/direct.csv": "y\n",
        "results/beside.txt": "beside",
    },
}


@pytest.mark.parametrize(("form", "text"), [("class", CLASS), ("function", FUNCTION)])
def test_what_a_strategy_writes_is_sealed_and_comes_back(made, project, form, text):
    run = made(text)
    manifest = run.read_manifest()
    assert (manifest["grade"], manifest["gaps"]) == ("B", [])
    assert code_of(run) == ["strategies/sma.py"]
    assert sorted(p.name for p in run.code.iterdir()) == ["strategies"]
    for name, content in OWN[form].items():
        assert (run.path / name).read_text() == (content or run.backtest_id)
        assert manifest["inventory"][name]["sha256"] == sha256_file(run.path / name)
    before = {name: (run.path / name).read_bytes() for name in manifest["inventory"]}
    for name in OWN[form]:
        (run.path / name).unlink()
    assert set(inspect_run(run).missing) == set(OWN[form])
    restore(project, run)
    assert {name: (run.path / name).read_bytes() for name in manifest["inventory"]} == before
    assert not inspect_run(run)


def test_the_examples_of_the_guide_write_what_they_say(made):
    page = (REPOSITORY / "docs/how-to/write-own-artifacts.md").read_text()
    by_class, by_function = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    run = made(by_class)
    lines = (run.results / "signals/closes.csv").read_text().splitlines()
    assert len(lines) == 40
    assert lines[0].startswith("2020-01-02T")
    assert run.read_manifest()["grade"] == "B"
    run = made(by_function)
    assert (run.results / "last_value.txt").read_text() == "100000.0\n"
    assert "results/last_value.txt" in run.read_manifest()["inventory"]


def test_own_artifacts_go_beside_the_run_when_it_is_repeated(made, project, tmp_path):
    run = made(CLASS)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    code = tmp_path / "code"
    shutil.copytree(run.code, code)
    scratch = RunDir(tmp_path / "scratch")
    with project.executor() as executor:
        executor.execute(run.read_spec(), code, scratch)
    for name in OWN["class"]:
        assert (scratch.path / name).read_bytes() == (run.path / name).read_bytes()
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("open('trades.parquet', 'w').write('x')", "results/trades.parquet is written by"),
        ("context.artifact_manager.get_result_path('trades.parquet')",
         "results/trades.parquet is written by"),
        ("os.symlink('/etc/hostname', 'name')",
         "the strategy wrote 'name', which cannot be kept with the run: it is no regular file"),
        ("os.symlink('/etc', 'name')", "wrote 'name', which cannot be kept with the run: it is no"),
        ("os.mkfifo('name')", "wrote 'name', which cannot be kept with the run: it is no regular"),
        ("os.symlink('/etc/hostname', context.artifact_manager.get_result_path('x'))",
         "wrote 'results/x', which cannot be kept with the run: it is no regular file"),
        ("open('a.txt', 'w'); context.artifact_manager.get_result_path('a.txt').write_text('b')",
         "wrote 'a.txt', which cannot be kept with the run: there is such a result already"),
        ("open('.hidden', 'w')", "wrote '.hidden', which cannot be kept with the run: a part of"),
        ("open('a{b}.txt', 'w')", "wrote 'a{b}.txt', which cannot be kept with the run: a part"),
        ("open(context.output_dir / 'a{b}.txt', 'w')", "wrote 'a{b}.txt', which cannot be kept"),
        ("os.mkdir(context.output_dir / 'plots'); open(context.output_dir / 'plots/a\\nb', 'w')",
         "wrote 'plots/a\\nb', which cannot be kept with the run: a part of that name begins"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_the_strategys_fails_the_run_and_leaves_nothing(made, code, message):
    run = made(on_first_bar(code, top="import os\n"), fails=True)
    assert message in run.read_manifest()["error"]["message"]
    assert not run.results.exists()
    assert [path.name for path in run.code.rglob("*") if path.name != "strategies"] == ["sma.py"]


def test_what_a_killed_attempt_left_beside_the_code_is_not_seen_by_the_next(made, project):
    text = functions(initialize="import os\nprint(sorted(os.listdir('.')))")
    project.write("strategies/sma.py", text)
    plan = project.plan()
    run = project.store.run(plan.runs[0].backtest_id)
    stages.capture_code(project.store, run.backtest_id)
    (run.code / "left").mkdir()
    (run.code / "left/over.txt").write_text("x")
    (run.code / "half.csv").write_text("x")
    os.symlink("half.csv", run.code / "link")
    assert project.run(plan)[1] == []
    assert (run.logs / "stdout.txt").read_text() == "['strategies']\n"
    assert code_of(run) == ["strategies/sma.py"]
    assert "results/half.csv" not in run.read_manifest()["inventory"]


def test_a_captured_data_file_is_found_by_its_name(made, project):
    project.write("strategies/levels.csv", "1\n")
    project.write("limits.csv", "2\n")
    run = made(
        on_first_bar(
            "print(LEVELS, open(data_file('limits.csv')).read().strip())",
            top="from backtrail.engine.api import data_file\n"
            "LEVELS = data_file('levels.csv').read_text().strip()\n",
        ),
    )
    assert (run.logs / "stdout.txt").read_text() == "1 2\n"


def test_a_data_file_that_was_not_captured_is_named(made):
    run = made(functions(initialize="data_file(bytes.fromhex('6c6576656c73').decode() + '.csv')",
                         top="from backtrail.engine.api import data_file\n"), fails=True,
               **{"levels.txt": "1\n"})  # fmt: skip
    error = run.read_manifest()["error"]
    assert error["kind"] == "StrategyError"
    assert error["message"].startswith("data_file('levels.csv') finds no such file among the")
