"""Runs without a directory, and runs without captured code."""

import json
import sys

import polars as pl
import pytest

from backtrail import TradingAlgorithm, run_algorithm
from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.rundir import RunDir
from backtrail.engine.api import order, symbol
from backtrail.errors import ConfigError, RunFailedError

from .project import WINDOW, manifest

OFF = {"backtest_output": {"enabled": False}}


@pytest.fixture
def here(project, monkeypatch):
    """The project, with the working directory in it: functions of a test lie in no project."""
    monkeypatch.chdir(project.root)
    return project


def buy_once(context, data):
    if not context.portfolio.positions["AAA"].amount:
        order(symbol("AAA"), 100)


class Named(TradingAlgorithm):
    def handle_data(self, context, data):
        self.order_target(self.symbol("AAA"), 10)


def stray(project):
    return [
        path.relative_to(project.root).as_posix()
        for path in project.root.rglob("*")
        if "backtests" in path.parts
    ]


# enabled=False


@pytest.mark.parametrize(
    "switch", [{"enabled": False}, {"config": OFF}], ids=["argument", "config"]
)
def test_switched_off_a_run_gives_its_tables_and_writes_nothing(here, switch):
    before = here.files()
    result = run_algorithm(here.sma, **WINDOW, symbols=["AAA"], **switch)
    kept = run_algorithm(here.sma, **WINDOW, symbols=["AAA"])
    assert (result.backtest_id, result.output_dir, result.artifact_manager) == (None, None, None)
    assert (result.grade, result.reused) == (None, False)
    for name in ("performance", "orders", "fills", "positions", "trades", "recorded", "summary"):
        assert getattr(result, name).equals(getattr(kept, name)), name
    assert result.metrics == kept.metrics
    assert here.files() == before


def test_switched_off_nothing_is_left_anywhere(here):
    run_algorithm(here.hold, **WINDOW, enabled=False)
    assert stray(here) == []
    assert "hold" not in sys.modules
    assert str(here.hold.parent) not in sys.path


def test_switched_off_exports_go_to_the_working_directory(here):
    result = run_algorithm(here.hold, **WINDOW, enabled=False)
    assert result.to_csv() == here.root / "backtest_results.csv"
    assert result.to_parquet("deep/fills.parquet", table="fills") == (
        here.root / "deep/fills.parquet"
    )
    assert pl.read_parquet("deep/fills.parquet").equals(result.fills)
    assert pl.read_csv("backtest_results.csv").height == result.performance.height


def test_switched_off_a_lambda_may_decide(here):
    here.write("tools.py", """
        from backtrail import run_algorithm
        from backtrail.engine.api import order, symbol

        result = run_algorithm(
            handle_data=lambda context, data: order(symbol("AAA"), 1),
            start="2020-01-02", end="2020-02-26", enabled=False,
        )
        print(result.fills.height)
    """)  # fmt: skip
    assert here.python("tools.py") == "39\n"
    assert stray(here) == []


def test_two_projects_with_modules_of_one_name_do_not_meet(here, tmp_path):
    """What one strategy imported is not what the next one gets."""
    for name, price in (("one", 1.0), ("two", 2.0)):
        here.write(f"{name}/lib/__init__.py", "")
        here.write(f"{name}/lib/scale.py", f"SCALE = {price}\n")
        here.write(f"{name}/strategy.py", """
            from backtrail.engine.api import record
            from lib.scale import SCALE


            def handle_data(context, data):
                import lib.scale

                record(scale=SCALE, again=lib.scale.SCALE)
        """)  # fmt: skip
    sys.modules["lib"] = mine = type(sys)("lib")
    try:
        for name, price in (("one", 1.0), ("two", 2.0)):
            result = run_algorithm(here.root / name / "strategy.py", **WINDOW, enabled=False)
            assert result.recorded["value"].unique().to_list() == [price]
        assert sys.modules["lib"] is mine
        assert "lib.scale" not in sys.modules
    finally:
        del sys.modules["lib"]


def test_switched_off_a_seeded_strategy_repeats_itself(here):
    text = "from backtrail.engine.api import record\n\n\ndef handle_data(context, data):\n" \
        "    record(x=context.rng.random())\n"  # fmt: skip
    file = here.write("strategies/chance.py", text)
    first, second = (run_algorithm(file, **WINDOW, enabled=False) for _ in range(2))
    assert first.recorded.equals(second.recorded)
    assert first.recorded["value"].n_unique() == 40


def test_switched_off_an_exception_of_the_strategy_is_its_own(here):
    file = here.write(
        "strategies/bad.py", "def handle_data(context, data):\n    raise KeyError('mine')\n"
    )
    with pytest.raises(KeyError, match="mine"):
        run_algorithm(file, **WINDOW, enabled=False)


def test_switched_off_the_strategy_has_no_folders(here):
    file = here.write("strategies/looks.py", """
        from backtrail import TradingAlgorithm


        class Looks(TradingAlgorithm):
            def handle_data(self, context, data):
                assert self.artifact_manager is None
                assert self.output_dir is None
    """)  # fmt: skip
    assert run_algorithm(file, **WINDOW, enabled=False).performance.height == 40


# code_capture_mode=None


def run_uncaptured(project, **changes):
    return run_algorithm(
        project.hold, **{**WINDOW, "code_capture_mode": None, "symbols": ["AAA"], **changes}
    )


def test_without_capture_a_run_is_kept_without_its_code_and_says_so(here):
    result = run_uncaptured(here)
    assert result.grade == "D"
    assert result.gaps == ("the code was not captured; the run cannot be repeated",)
    record = manifest(result.output_dir)
    assert record["status"] == "completed"
    assert record["identity"]["strategy"]["code_hash"] is None
    assert record["identity"]["strategy"]["entry"] == "strategies/hold.py"
    assert not (result.output_dir / "code").exists()
    assert not inspect_run(RunDir(result.output_dir))
    metadata = result.artifact_manager.load_metadata()
    assert metadata["captured_files"] == []
    assert metadata["code_capture"]["mode"] is None
    assert metadata["strategy_entry_point"] == str(here.hold)


def test_without_capture_the_numbers_are_those_of_a_captured_run(here):
    captured = run_algorithm(here.hold, **WINDOW, symbols=["AAA"])
    result = run_uncaptured(here)
    assert result.performance.equals(captured.performance)
    assert result.fills.equals(captured.fills)


def test_without_capture_a_run_is_never_found_again(here):
    first, second = run_uncaptured(here), run_uncaptured(here)
    assert first.backtest_id != second.backtest_id
    assert not second.reused
    assert manifest(first.output_dir)["run_key"] != manifest(second.output_dir)["run_key"]
    captured = run_algorithm(here.hold, **WINDOW, symbols=["AAA"])
    assert captured.grade == "B"
    assert len(here.store.run_dirs()) == 3


def test_without_capture_a_run_is_catalogued_and_its_trial_counted(here):
    result = run_uncaptured(here)
    frame = pl.read_parquet(here.root / "backtests/runs.parquet")
    assert frame.select("backtest_id", "grade", "code_hash").rows() == [
        (result.backtest_id, "D", None)
    ]
    assert len(list((here.root / "backtests/.ledger/trials").glob("*/*.json"))) == 1


def test_without_capture_an_own_artifact_is_sealed_with_the_run(here):
    file = here.write("strategies/writes.py", """
        from backtrail import TradingAlgorithm


        class Writes(TradingAlgorithm):
            def handle_data(self, context, data):
                pass

            def analyze(self, context, perf):
                self.artifact_manager.get_result_path("mine.txt", "notes").write_text("kept")
    """)  # fmt: skip
    result = run_algorithm(file, **WINDOW, code_capture_mode=None)
    assert "results/notes/mine.txt" in manifest(result.output_dir)["inventory"]
    assert (result.output_dir / "results/notes/mine.txt").read_text() == "kept"


def test_without_capture_a_failing_strategy_is_a_failed_run(here):
    file = here.write(
        "strategies/bad.py", "def handle_data(context, data):\n    raise KeyError('mine')\n"
    )
    with pytest.raises(RunFailedError, match="KeyError") as caught:
        run_algorithm(file, **WINDOW, code_capture_mode=None)
    record = json.loads(here.store.run(caught.value.backtest_id).manifest.read_bytes())
    assert (record["status"], record["grade"]) == ("failed", "D")
    assert "KeyError: 'mine'" in record["error"]["traceback"]


def test_functions_of_this_process_may_run_without_capture(here):
    """They lie in a file of our tests, in no project; config and bundle are named."""
    config = {
        "storage": {"bundles_dir": str(here.root / "bundles")},
        "backtest_output": {"base_dir": str(here.root / "backtests")},
    }
    for strategy in ({"handle_data": buy_once}, {"algorithm": Named}):
        result = run_algorithm(
            **strategy, **WINDOW, bundle="prices", code_capture_mode=None, config=config
        )
        assert result.fills.height >= 1
        assert result.output_dir.parent == here.root / "backtests"


def test_a_batch_refuses_both_switches_with_the_reason(here):
    from backtrail.batch.planning.loading import open_batch
    from tests.unit.batch.support import batch_config

    here.configure(batch_config(backtest_output={"enabled": False, "code_capture_mode": None}))
    with pytest.raises(ConfigError) as caught:
        open_batch([here.root / "config/config.yaml"], root=here.root)
    text = str(caught.value)
    assert "a batch always keeps its runs; switching artifacts off belongs to run_algorithm" in text
    assert "a run without its code cannot be repeated" in text


def test_without_capture_a_fault_of_the_library_is_told_as_its_own(here):
    lines = "    order(symbol('AAA'), 1)\n    data._market.counts.clear()\n"
    text = "from backtrail.engine.api import order, symbol\n\n"
    text += f"def handle_data(context, data):\n{lines}"
    file = here.write("strategies/spoils.py", text)
    with pytest.raises(
        RunFailedError, match="a fault of backtrail and not of the strategy"
    ) as caught:
        run_algorithm(file, **WINDOW, code_capture_mode=None)
    record = json.loads(here.store.run(caught.value.backtest_id).manifest.read_bytes())
    assert record["error"]["kind"] == "internal"
    assert "IndexError" in record["error"]["message"]
