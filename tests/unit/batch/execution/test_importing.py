"""Strategy files are executed as they are named; scripts end where they would run themselves."""

import sys

import pytest

from backtrail.batch.execution.importing import import_entry
from backtrail.engine.strategy import LOADING
from backtrail.errors import StrategyError
from tests.unit.batch.support import functions, on_first_bar

RUN = (
    "from backtrail.engine.strategy import LOADING, EntryReached\n\n\n"
    "def run_algorithm(**_):\n    assert LOADING.get()\n    raise EntryReached\n"
)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("s.py", "s"),
        ("my-strategy.py", "my-strategy"),
        ("sma.v2.py", "sma_v2"),
        ("2020 strategy.py", "2020 strategy"),
        ("json.py", "json"),
        ("deep/er/s.py", "s"),
    ],
)
def test_a_file_of_any_name_is_a_strategy(execute, entry, name):
    outcome, out, _ = execute(on_first_bar("print(__name__, __file__)"), entry=entry)
    assert outcome.kind is None, outcome
    assert out.decode().strip().startswith(f"{name} ")
    assert out.decode().strip().endswith(f"/run/code/{entry}")


def test_classes_of_a_strategy_can_be_found_by_their_module(execute):
    outcome, _, _ = execute(
        functions(
            top="""
            import pickle
            from dataclasses import dataclass

            @dataclass(frozen=True)
            class Params:
                n: "int" = 5
            """,
            initialize="assert pickle.loads(pickle.dumps(context.params)) == context.params",
        ),
        entry="my-strategy.py",
    )
    assert outcome.kind is None, outcome


def test_a_script_ends_where_it_would_run_itself(execute):
    script = (
        functions(top="from mine import run_algorithm\n", initialize="print('initialized')")
        + "\nrun_algorithm(start='2020-01-02')\nprint('never')\nhandle_data = None\n"
    )
    outcome, out, _ = execute(script, files={"mine.py": RUN})
    assert outcome.kind is None, outcome
    assert out == b"initialized\n"


def test_a_script_may_run_itself_inside_a_function(execute):
    script = (
        functions(top="from mine import run_algorithm\n")
        + "\ndef main():\n    try:\n        run_algorithm()\n    except Exception:\n        pass\n"
        "    print('never')\n\nmain()\nhandle_data = None\n"
    )
    outcome, out, _ = execute(script, files={"mine.py": RUN})
    assert (outcome.kind, out) == (None, b"")


def test_a_guarded_script_is_not_run(execute):
    script = functions() + "\nif __name__ == '__main__':\n    raise ValueError\n"
    assert execute(script)[0].kind is None


def test_an_import_that_starts_a_run_is_refused_by_name(execute):
    outcome, _, _ = execute(
        "import other\n" + functions(),
        files={"mine.py": RUN, "other.py": "import mine\nmine.run_algorithm()\n"},
    )
    assert outcome.kind == "StrategyError"
    assert outcome.message == (
        "other.py, which strategy s.py imports, starts a run when it is imported; put that call "
        "under if __name__ == '__main__':"
    )


def test_a_package_that_starts_a_run_is_refused_by_name(execute):
    outcome, _, _ = execute(
        functions(),
        entry="pkg/s.py",
        files={"mine.py": RUN, "pkg/__init__.py": "import mine\nmine.run_algorithm()\n"},
    )
    assert outcome.kind == "StrategyError"
    assert outcome.message.startswith("pkg/__init__.py, which strategy pkg/s.py imports, starts a")


def test_loading_is_over_when_the_strategy_runs(execute):
    outcome, out, _ = execute(
        functions(top="from backtrail.engine.strategy import LOADING\nprint(LOADING.get())\n",
                  initialize="print(LOADING.get())")
    )  # fmt: skip
    assert outcome.kind is None, outcome
    assert out == b"True\nFalse\n"


def test_a_strategy_that_raises_leaves_loading_behind(tmp_path):
    (tmp_path / "broken_one.py").write_text("raise ValueError('why')\n")
    with pytest.raises(ValueError, match=r"why"):
        import_entry(tmp_path, "broken_one.py")
    assert LOADING.get() is False
    del sys.modules["broken_one"]


def test_a_file_that_is_no_python_is_refused(tmp_path):
    (tmp_path / "s.txt").write_text("")
    with pytest.raises(StrategyError, match=r"s\.txt is no Python file; .* has to end in \.py"):
        import_entry(tmp_path, "s.txt")


NAMED = """
print("one")


class Tools:
    @staticmethod
    def decide(context, data):
        print("Tools.decide") if not context.said else None
        context.said = True


def prepare(context):
    context.said = False


def look(context, perf):
    print("look", len(perf.tables["backtest_results"]["cash"]))


def handle_data(context, data):
    raise ValueError("not this one")
"""


def test_functions_may_be_given_by_name(execute):
    functions = {"initialize": "prepare", "handle_data": "Tools.decide", "analyze": "look"}
    outcome, out, _ = execute(NAMED, functions=functions)
    assert outcome.kind is None, outcome
    assert out == b"one\nTools.decide\nlook 40\n"


def test_a_captured_data_file_is_found_at_import_and_while_the_run_goes_on(execute):
    outcome, out, _ = execute(
        on_first_bar(
            "print(LEVELS, data_file('limits.csv').read_text(), context.artifact_manager)",
            top="from backtrail.engine.api import data_file\n"
            "LEVELS = data_file('levels.csv').read_text()\n",
        ),
        entry="strategies/s.py",
        files={"strategies/levels.csv": "1", "limits.csv": "2"},
    )
    assert outcome.kind is None, outcome
    assert out.startswith(b"1 2 RunPaths(backtest_id='20260102_000000_000'")
    assert not outcome.usage["opened"]
