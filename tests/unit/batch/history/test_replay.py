import json
import shutil

import polars as pl
import pytest

from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.tables import content_checksum
from backtrail.batch import stages
from backtrail.batch.execution.sandbox import Limits
from backtrail.batch.history.replay import replay_runs
from backtrail.canonical import sha256_file
from backtrail.provenance.attestation import graded_manifest, read_attestations
from backtrail.provenance.objects import ObjectStore
from tests.unit.batch.support import batch_config, entry, functions

BUY_ONE = "from backtrail.engine.api import order, symbol\norder(symbol('AAA'), {amount})"


def replay(project, run, **options):
    (found,) = replay_runs(project.store, [run], project.bundles, Limits(), **options)
    return found


def flip(path, position=10):
    """Change one byte of a file, in place."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(data))


def tree(run):
    return {path: path.read_bytes() for path in sorted(run.path.rglob("*")) if path.is_file()}


def ledger(project):
    return sorted((project.store.ledger / "replays").glob("*"))


@pytest.fixture
def run(project):
    project.run()
    (run,) = project.store.run_dirs()
    return run


def test_an_agreeing_replay_is_attested_for_its_manifest_and_lifts_the_grade(project, run):
    before = tree(run)
    found = replay(project, run)
    assert (found.state, found.agrees, found.problems) == ("identical", True, ())
    assert (found.name, found.grade, found.environment) == ("sma", "A", ())
    made = [name for name in json.loads(run.manifest.read_bytes())["inventory"]
            if name.startswith(("results/", "logs/"))]  # fmt: skip
    assert [item.path for item in found.files] == sorted(made)
    assert {item.state for item in found.files} == {"identical"}
    assert tree(run) == before, "a replay writes nothing into the run"
    (path,) = ledger(project)
    assert path.as_posix() == found.attestation
    (proof,) = read_attestations(path)
    assert proof.backtest_id == run.backtest_id
    assert proof.manifest_sha256 == sha256_file(run.manifest)
    assert proof.files == {item.path: "identical" for item in found.files}
    assert proof.environment == json.loads(run.environment.read_bytes())
    assert replay(project, run).agrees
    assert len(read_attestations(path)) == 2
    assert graded_manifest(run)["grade"] == "A"


@pytest.mark.parametrize("kind", ["own copy", "shared object", "result", "log", "spec", "unlisted"])
def test_a_run_with_one_changed_byte_is_refused_and_the_file_is_named(project, kind):
    project.write("strategies/other.py", functions(handle_data="print('x')"))
    batch = {"sma": entry(), "other": entry(strategy="strategies/other.py")}
    project.configure(batch_config(batch=batch))
    project.run()
    other, run = sorted(
        project.store.run_dirs(), key=lambda item: item.read_spec()["labels"]["names"] == ["sma"]
    )
    code = run.code / "strategies/lib/means.py"
    shared = ObjectStore(project.store.objects).path(sha256_file(code))
    if kind == "own copy":
        data = code.read_bytes()
        code.unlink()  # so that the object, a link to the same bytes, stays whole
        code.write_bytes(data)
        flip(code)
        named = ["code/strategies/lib/means.py is not what the manifest says"]
    elif kind == "shared object":
        flip(shared)
        named = [
            "code/strategies/lib/means.py is not what the manifest says",
            f"{shared} is damaged: its content is not the one it is named by "
            "(shared file of code/strategies/lib/means.py)",
        ]
    elif kind == "unlisted":
        (run.results / "more.csv").touch()
        named = ["results/more.csv is not in the manifest"]
    else:
        file = {"result": "results/fills.parquet", "log": "logs/stdout.txt",
                "spec": "metadata/run_spec.json"}[kind]  # fmt: skip
        (run.path / file).chmod(0o644)
        (run.path / file).write_bytes((run.path / file).read_bytes() + b" ")
        named = [f"{file} is not what the manifest says"]
    found = replay(project, run)
    assert (found.state, found.agrees, list(found.problems)) == ("refused", False, named)
    assert (found.files, found.attestation, ledger(project)) == ((), None, [])
    assert replay(project, other).state == "identical"


def test_a_damaged_dataset_refuses_exactly_the_runs_that_use_it(project):
    project.run()
    prices = project.root / "prices/AAA.csv"
    prices.write_text(prices.read_text().replace(",1000", ",1001"))
    project.run()
    first, second = project.store.run_dirs()
    dataset = first.read_spec()["identity"]["dataset"]["dataset_id"]
    bars = project.bundles / "prices" / dataset / "bars.parquet"
    flip(bars)
    refused, fine = replay_runs(project.store, [first, second], project.bundles, Limits())
    assert (refused.state, fine.state) == ("refused", "identical")
    (problem,) = refused.problems
    assert problem.startswith(f"{bars} has sha256 ")
    assert f"dataset {dataset} of bundle prices" in problem


def test_missing_files_are_refused_or_put_back_when_asked(project, run):
    gone = ["logs/stdout.txt", "results/backtest_results.csv", "code/strategies/lib/means.py"]
    before = tree(run)
    for name in gone:
        (run.path / name).unlink()
    found = replay(project, run)
    assert found.state == "refused"
    assert sorted(problem.split(" ")[0] for problem in found.problems) == sorted(gone)
    found = replay(project, run, restore=True)
    assert (found.state, sorted(found.restored)) == ("identical", sorted(gone))
    assert tree(run) == before
    assert replay(project, run, restore=True).restored == ()


def test_a_run_without_a_seal_is_refused(project):
    project.write("strategies/sma.py", "import nowhere\n")
    _, (failed,) = project.run()
    assert "the run failed" in replay(project, project.store.run(failed)).problems[0]
    project.configure(batch_config(seed=3))
    project.plan()
    _, planned = project.store.run_dirs()
    found = replay(project, planned)
    assert (found.state, found.grade) == ("refused", None)
    assert "never finished" in found.problems[0]


def test_a_strategy_that_reads_the_clock_differs_at_its_first_order(project):
    amount = "time.time_ns() % 1_000_000_007"
    project.write("strategies/sma.py", functions(
        top="import time", handle_data=BUY_ONE.format(amount=amount)))  # fmt: skip
    project.run()
    (run,) = project.store.run_dirs()
    found = replay(project, run)
    assert (found.state, found.attestation, found.grade) == ("differs", None, "B")
    first = {item.path: item.first for item in found.files if item.state == "differs"}
    orders = pl.read_parquet(run.results / "orders.parquet")
    assert (first["results/orders.parquet"].row, first["results/orders.parquet"].column) == (
        1,
        "amount",
    )
    assert first["results/orders.parquet"].before == orders["amount"][0]
    assert first["results/orders.parquet"].after != orders["amount"][0]
    assert first["results/orders.parquet"].at == "2020-01-02 AAA"
    assert ledger(project) == []
    assert inspect_run(run).altered == ()


def test_a_strategy_with_unseeded_chance_differs_and_says_where(project):
    project.write("strategies/sma.py", functions(
        top="import random\nDICE = random.SystemRandom()",
        handle_data="from backtrail.engine.api import record\nrecord(dice=DICE.random())",
    ))  # fmt: skip
    project.run()
    (run,) = project.store.run_dirs()
    found = replay(project, run)
    (differing,) = [item for item in found.files if item.state != "identical"]
    assert differing.path == "results/recorded.parquet"
    assert (differing.first.row, differing.first.column) == (1, "value")
    assert differing.first.before != differing.first.after


def test_only_what_was_printed_may_differ_and_is_said_to(project):
    project.write("strategies/sma.py", functions(
        top="import time", initialize="print('begin')\nprint(time.time_ns())"))  # fmt: skip
    project.run()
    (run,) = project.store.run_dirs()
    found = replay(project, run)
    assert found.problems == (
        "every result is identical; only what the strategy printed is another",
    )
    (differing,) = [item for item in found.files if item.state != "identical"]
    assert str(differing.first).startswith("line 2: 1")


def test_where_a_run_lies_does_not_show_in_its_logs(project):
    project.write("strategies/sma.py", functions(
        top="import warnings", initialize="warnings.warn('odd')\nprint(__file__)\n"
        "home = __file__.partition('/code/')[0]\nprint(home)"))  # fmt: skip
    project.run()
    (run,) = project.store.run_dirs()
    printed = (run.logs / "stdout.txt").read_text()
    assert printed == "code/strategies/sma.py\n.\n"
    assert (run.logs / "stderr.txt").read_text().startswith("code/strategies/sma.py:3: UserWarning")
    moved = project.root.with_name("moved")
    project.root.rename(moved)
    project.root = moved
    assert replay(project, project.store.run(run.backtest_id)).state == "identical"


def rewritten(project, *, recorded, change=lambda frame: frame, planned=None):
    """Seal a run as another environment would have: orders in other bytes, versions recorded."""
    planned = planned or project.plan()
    store, backtest_id = project.store, planned.runs[0].backtest_id
    run = store.run(backtest_id)
    with project.executor() as executor:
        stages.capture_code(store, backtest_id)
        stages.run_backtest(store, backtest_id, executor)
    table = run.results / "orders.parquet"
    frame = change(pl.read_parquet(table))
    frame.write_parquet(table, compression="lz4", row_group_size=2, statistics=False)
    record = json.loads(run.manifest.read_bytes())
    record["contents"]["results/orders.parquet"] = content_checksum(frame)
    record["written"]["results/orders.parquet"] = sha256_file(table)
    run.manifest.write_text(json.dumps(record))
    environment = json.loads(run.environment.read_bytes())
    environment["packages"].update(recorded)
    run.environment.write_text(json.dumps(environment))
    stages.seal_run(store, backtest_id)
    return run


def test_under_another_library_version_content_decides_and_the_difference_is_named(project):
    run = rewritten(project, recorded={"polars": "1.0.0"})
    found = replay(project, run)
    assert (found.state, found.agrees, found.grade) == ("same content", True, "A")
    assert found.environment == (f"polars 1.0.0 -> {pl.__version__}",)
    states = {item.path: item.state for item in found.files}
    assert states.pop("results/orders.parquet") == "same content"
    assert set(states.values()) == {"identical"}
    (proof,) = read_attestations(ledger(project)[0])
    assert proof.files["results/orders.parquet"] == "same content"
    assert proof.changed == found.environment


def test_other_content_differs_under_any_version(project):
    run = rewritten(
        project,
        recorded={"polars": "1.0.0"},
        change=lambda frame: frame.with_columns(pl.col("amount") * 0.5),
    )
    found = replay(project, run)
    assert (found.state, found.attestation) == ("differs", None)
    (first,) = [item.first for item in found.files if item.state == "differs"]
    assert (first.row, first.column, first.before, first.after) == (1, "amount", 0.5, 1.0)
    assert found.environment == (f"polars 1.0.0 -> {pl.__version__}",)


def test_other_bytes_under_the_same_environment_do_not_agree(project):
    found = replay(project, rewritten(project, recorded={}))
    assert (found.state, found.environment, found.attestation) == ("differs", (), None)
    assert "values agree, but bytes do not" in found.problems[0]


def test_a_strategy_that_no_longer_gets_through_fails_with_its_reason(project):
    flag = project.root / "flag.txt"
    flag.write_text("x")
    project.write("strategies/sma.py", functions(initialize=f"open({str(flag)!r}).read()"))
    project.run()
    (run,) = project.store.run_dirs()
    assert graded_manifest(run)["grade"] == "C"
    agreed = replay(project, run)
    assert (agreed.state, agreed.grade) == ("identical", "C"), "a gap is not mended by repeating"
    flag.unlink()
    found = replay(project, run)
    assert (found.state, found.agrees) == ("failed", False)
    assert found.problems[0].startswith("FileNotFoundError: ")


def test_files_that_only_one_side_has_are_named(project, monkeypatch):
    run = rewritten(project, recorded={})
    manifest = json.loads(run.manifest.read_bytes())
    listed = manifest["inventory"]
    listed["results/own.txt"] = listed["logs/stdout.txt"]
    shutil.copy(run.logs / "stdout.txt", run.results / "own.txt")
    del listed["results/recorded.parquet"]
    (run.results / "recorded.parquet").unlink()
    run.manifest.write_text(json.dumps(manifest))
    run.success.write_text(sha256_file(run.manifest) + "\n")
    states = {item.path: item.state for item in replay(project, run).files}
    assert states["results/own.txt"] == "not made"
    assert states["results/recorded.parquet"] == "new"


def test_an_agreeing_replay_shows_its_grade_in_the_report(project, run):
    stages.render_report(project.store, run.backtest_id, project.bundles)
    page = run.reports / "basic_report.html"
    assert "Provenance grade B: captured completely<" in page.read_text()
    assert replay(project, run).agrees
    assert "Provenance grade A: captured completely, and a replay agreed<" in page.read_text()
    stages.render_report(project.store, run.backtest_id, project.bundles, only_stale=True)
    shown = page.stat().st_mtime_ns
    assert replay(project, run).agrees
    assert page.stat().st_mtime_ns == shown, "a page that shows the grade is left as it is"
    ledger(project)[0].unlink()
    stages.render_report(project.store, run.backtest_id, project.bundles, only_stale=True)
    assert "Provenance grade B" in page.read_text()


def test_a_damaged_ledger_file_refuses_its_run_alone(project, run):
    replay(project, run)
    ledger(project)[0].write_text("{")
    (problem,) = replay(project, run).problems
    assert "is damaged" in problem
