import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from backtrail.batch.execution.sandbox import Sandbox
from backtrail.errors import BacktrailError
from tests.unit.batch.conftest import IDENTITY
from tests.unit.batch.support import functions, on_first_bar

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def wait_until(condition):
    """Wait for another process; the loop ends the test only when something hangs."""
    for _ in range(3000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_strategy_hands_back_its_tables_and_keeps_what_it_printed(execute):
    outcome, out, err = execute(
        on_first_bar(
            "print('hello')\nprint('oops', file=sys.stderr)\norder(symbol('AAA'), 10)",
            top="import sys\nfrom backtrail.engine.api import order, symbol\n",
        )
    )
    assert (outcome.kind, outcome.message, outcome.traceback) == (None, "", "")
    assert [str(item) for item in outcome.answer["tables"]["fills"]["quantity"]] == ["10.000000000"]
    assert len(outcome.answer["tables"]["backtest_results"]["cash"]) == 40
    assert {name: len(found) for name, found in outcome.usage.items()} == {
        "opened": 0, "modules": 0, "packages": 1, "processes": 0, "connections": 0, "unseen": 0,
    }  # fmt: skip
    assert (out, err) == (b"hello\n", b"oops\n")
    assert outcome.max_rss_mb > 10


def test_an_error_comes_back_with_the_users_part_of_the_traceback(execute, tmp_path):
    outcome, _, _ = execute(
        on_first_bar("from helper import boom\nboom(3)"),
        files={"helper.py": "def boom(n):\n    raise KeyError(f'no {n}')\n"},
    )
    assert outcome.answer is None
    assert (outcome.kind, outcome.message) == ("KeyError", "'no 3'")
    assert 'File "s.py", line' in outcome.traceback
    assert 'File "helper.py", line 2, in boom' in outcome.traceback
    assert str(tmp_path) not in outcome.traceback
    assert "backtrail/batch/execution/child.py" not in outcome.traceback


REFUSED = """
import numpy as np
def target_weights(bars, params):
    {body}
"""


@pytest.mark.parametrize(
    ("text", "kind", "message", "traceback"),
    [
        (
            REFUSED.format(body="pass"),
            "StrategyError",
            "target_weights returned nothing; return a NumPy array of numbers of shape (40, 1)",
            "",
        ),
        (
            REFUSED.format(body="return bars.close.astype(complex)"),
            "StrategyError",
            "target_weights returned an array of complex128;",
            "",
        ),
        (
            "def target_weights(bars):\n    return bars.close\n",
            "StrategyError",
            "target_weights of strategy s takes (bars); it is called with (bars, params)",
            "",
        ),
        (
            "def step(close, weight):\n    return 'buy'\n",
            "StrategyError",
            "step of strategy s returned str for AAA at bar 0",
            "",
        ),
        (
            "def handle_data(context, data)\n    pass\n",
            "SyntaxError",
            "expected ':' (s.py, line 1)",
            '  File "s.py", line 1\n    def handle_data(context, data)\n'
            "                                  ^\nSyntaxError: expected ':'\n",
        ),
        (
            on_first_bar("data.history(context.universe[0], 'Close', 3)"),
            "StrategyError",
            "unknown field 'Close'; use one of",
            "backtrail.errors.StrategyError: unknown field 'Close'; use one of",
        ),
        (
            on_first_bar("context.bought"),
            "AttributeError",
            "context has no attribute 'bought'; set it in initialize",
            "AttributeError: context has no attribute 'bought'; set it in initialize",
        ),
    ],
)
def test_what_the_library_refuses_is_told_without_the_library_s_own_lines(
    execute, text, kind, message, traceback
):
    outcome, _, _ = execute(text)
    assert (outcome.answer, outcome.kind) == (None, kind)
    assert message in outcome.message
    assert "src/backtrail" not in outcome.traceback
    if traceback and kind != "SyntaxError":
        assert outcome.traceback.count('File "s.py", line') == 1
        assert outcome.traceback.splitlines()[-1].startswith(traceback)
    else:
        assert outcome.traceback == traceback


def test_the_generators_that_all_modules_share_begin_with_the_seed_of_the_run(execute):
    text = on_first_bar(
        "print(random.random(), np.random.rand())", top="import random\nimport numpy as np\n"
    )
    expected = f"{random.Random(1).random()} {np.random.RandomState(1).rand()}\n"
    with Sandbox() as another:
        assert execute(text)[1].decode() == expected
        assert execute(text, using=another)[1].decode() == expected


def test_a_fault_of_the_library_is_told_as_its_own(execute):
    broken = {name: value for name, value in IDENTITY.items() if name != "capital_base"}
    outcome, _, _ = execute(functions(), identity=broken)
    assert (outcome.answer, outcome.kind) == (None, "internal")
    assert outcome.message.startswith("KeyError: 'capital_base' (batch/execution/evaluation.py, l")
    assert "a fault of backtrail and not of the strategy" in outcome.message
    assert "batch/execution/child.py" in outcome.traceback
    same, _, _ = execute("raise TypeError('mine')", identity=broken)
    assert (same.kind, same.message) == ("TypeError", "mine")


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("sys.exit(3)", "SystemExit", "3"),
        ("sys.exit()", "SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", "KeyboardInterrupt"),
        ("os._exit(0)", "exit", "ended its process with code 0"),
        ("os._exit(7)", "exit", "ended its process with code 7"),
        ("os.kill(os.getpid(), 9)", "signal", "ended by SIGKILL"),
        ("os.kill(os.getpid(), 15)", "signal", "ended by SIGTERM"),
        ("os.abort()", "signal", "ended by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "signal", "ended by SIGSEGV"),
        ("f = lambda: f()\nf()", "RecursionError", "maximum recursion depth"),
        ("assert False, 'why'", "AssertionError", "why"),
        ("raise ValueError('\\udcff and \\0')", "ValueError", "\\udcff and \\x00"),
        ("import nowhere", "ModuleNotFoundError", "No module named 'nowhere'"),
        ("os.closerange(3, 200)", "exit", "ended its process with code 1"),
    ],
)
def test_every_way_to_end_has_its_name(execute, code, kind, message):
    outcome, _, _ = execute(on_first_bar(code, top="import os, sys\n"))
    assert (outcome.answer, outcome.kind) == (None, kind)
    assert message in outcome.message
    outcome.message.encode()


def test_the_sandbox_works_after_every_failure(execute):
    for text in ("import os; os._exit(3)", "raise ValueError", "def (:", "x = 1"):
        assert execute(text)[0].answer is None
    assert execute(functions())[0].kind is None


@pytest.mark.parametrize(
    "loop", ["while True: pass", "time.sleep(600)", "signal.pause()", "os.kill(os.getpid(), 19)"]
)
def test_a_run_that_outruns_its_time_is_ended(execute, loop):
    outcome, _, _ = execute(
        on_first_bar(
            loop, top="import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *_: 0)\n"
        ),
        seconds=0.5,
    )
    assert outcome.kind == "timeout"
    assert outcome.message == "the run was stopped after its time limit of 0.5 s"


@LINUX
@pytest.mark.parametrize(
    "greed",
    ["x = bytearray(10**9)", "x = np.ones(10**8)", "x = []\nwhile True: x.append(b'x' * 10**6)"],
)
def test_a_run_that_outgrows_its_memory_is_told_its_limit(execute, greed):
    outcome, _, _ = execute(
        on_first_bar(greed, top="import numpy as np\n"), memory_bytes=200_000_000
    )
    assert outcome.kind == "memory"
    assert outcome.message == "the run outgrew its memory limit of 200 MB"


def test_megabytes_of_output_are_kept_whole(execute):
    outcome, out, err = execute(
        on_first_bar(
            "sys.stdout.write('o' * 5_000_000)\nos.write(2, b'e' * 3_000_000)",
            top="import os, sys\n",
        )
    )
    assert outcome.kind is None
    assert out == b"o" * 5_000_000
    assert err == b"e" * 3_000_000


@pytest.mark.parametrize(
    "code", ["sys.stdout.close()", "os.close(1); os.close(2)", "sys.stderr = None"]
)
def test_a_strategy_may_close_its_output_and_still_has_results(execute, code):
    outcome, _, _ = execute(on_first_bar(code, top="import os, sys\n"))
    assert outcome.kind is None
    assert len(outcome.answer["tables"]["backtest_results"]["cash"]) == 40


@LINUX
def test_a_fork_inside_a_strategy_gives_one_answer_and_leaves_no_process(execute, sandbox):
    outcome, out, _ = execute(
        on_first_bar("pid = os.fork()\nif pid: print(pid, flush=True)", top="import os\n")
    )
    assert outcome.kind is None
    assert len(outcome.answer["tables"]["backtest_results"]["cash"]) == 40
    assert wait_until(lambda: not is_alive(int(out)))


@LINUX
def test_what_a_strategy_starts_in_the_background_ends_with_it(execute):
    outcome, out, _ = execute(
        on_first_bar(
            "print(subprocess.Popen(['sleep', '600']).pid, flush=True)", top="import subprocess\n"
        )
    )
    assert outcome.kind is None
    assert wait_until(lambda: not is_alive(int(out)))


DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(said, 'w').write(str(os.getpid()))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    os._exit(0)
os.wait()
while not os.path.exists(said) or not open(said).read():
    time.sleep(0.01)
"""


@LINUX
@pytest.mark.parametrize("ending", ["", "os._exit(1)", "time.sleep(600)"])
def test_what_left_the_group_and_the_session_of_a_run_ends_with_it(
    execute, sandbox, tmp_path, ending
):
    said = tmp_path / "pid"
    limits = {"seconds": 8.0} if "sleep" in ending else {}
    outcome, _, _ = execute(
        on_first_bar(DAEMON + ending, top=f"import os, signal, time\nsaid = {str(said)!r}\n"),
        **limits,
    )
    assert outcome.kind == {"": None, "os._exit(1)": "exit"}.get(ending, "timeout")
    assert not is_alive(int(said.read_text()))
    assert children_of(sandbox.zygote_pid) == []


@LINUX
def test_a_tree_of_processes_in_sessions_of_their_own_ends_with_the_run(execute, sandbox, tmp_path):
    said = tmp_path / "pids"
    tree = (
        "import os, subprocess, sys, time\n"
        "depth = int(sys.argv[1])\n"
        "open(sys.argv[2], 'a').write(f'{os.getpid()} ')\n"
        "if depth:\n"
        "    for _ in range(2):\n"
        "        subprocess.Popen([sys.executable, '-S', __file__, str(depth - 1), sys.argv[2]],\n"
        "                         start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    outcome, _, _ = execute(
        on_first_bar(
            f"subprocess.Popen([sys.executable, '-S', 'tree.py', '2', {str(said)!r}],\n"
            "                 start_new_session=True)\n"
            f"while not os.path.exists({str(said)!r}) or "
            f"len(open({str(said)!r}).read().split()) < 7:\n    time.sleep(0.01)",
            top="import os, subprocess, sys, time\n",
        ),
        files={"tree.py": tree},
    )
    assert outcome.kind is None, outcome
    pids = list(map(int, said.read_text().split()))
    assert len(set(pids)) == 7
    assert [pid for pid in pids if is_alive(pid)] == []
    assert children_of(sandbox.zygote_pid) == []


@LINUX
def test_a_run_that_moves_to_another_group_is_ended_in_time_too(execute):
    outcome, _, _ = execute(
        on_first_bar("os.setpgid(0, os.getpgid(os.getppid()))\ntime.sleep(600)",
                     top="import os, time\n"),
        seconds=1.0,
    )  # fmt: skip
    assert outcome.kind == "timeout"


def test_the_standard_input_of_a_run_is_empty(execute):
    outcome, out, _ = execute(
        on_first_bar("print(repr(sys.stdin.read()), os.read(0, 1))", top="import os, sys\n"),
        seconds=30.0,
    )
    assert outcome.kind is None, outcome
    assert out == b"'' b''\n"


def test_the_project_is_not_importable_from_the_copy(execute, tmp_path):
    (tmp_path / "secret.py").write_text("x = 1")
    (tmp_path / "run" / "secret.py").parent.mkdir()
    (tmp_path / "run" / "secret.py").write_text("x = 1")
    outcome, _, _ = execute("import secret\n" + functions())
    assert (outcome.kind, outcome.message) == ("ModuleNotFoundError", "No module named 'secret'")


def test_the_environment_does_not_reach_the_strategy(packed, execute, tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "leak.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    with Sandbox() as other:
        outcome, out, _ = execute(
            on_first_bar(
                "print(hash('a'), time.tzname[0], 'PYTHONPATH' in os.environ)",
                top="import os, time\n",
            ),
            using=other,
        )
        assert outcome.kind is None
        assert execute(functions(top="import leak\n"), using=other)[0].kind == "ModuleNotFoundError"
    expected = subprocess.run(
        [sys.executable, "-c", "print(hash('a'))"], env={"PYTHONHASHSEED": "0"},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert out.decode().split() == [expected, "UTC", "False"]


@pytest.mark.parametrize("name", ["statistics", "decimal", "signal", "json"])
def test_a_captured_module_wins_over_one_of_the_same_name(execute, name):
    outcome, out, _ = execute(
        on_first_bar(f"import {name}\nprint({name}.MINE)"), files={f"{name}.py": "MINE = 'mine'\n"}
    )
    assert outcome.kind is None, outcome
    assert out == b"mine\n"


def test_a_module_named_as_what_the_engine_needs_fails_loudly(execute):
    outcome, _, _ = execute(functions(top="import numpy\n"), files={"numpy.py": "MINE = 1\n"})
    assert outcome.answer is None
    assert "'numpy' is not a package" in outcome.message


def test_a_plain_folder_named_as_a_library_shadows_nothing(execute):
    text = functions(
        top="""
        import dataclasses, numpy
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Params:
            n: int = 5
        """,
        initialize="assert context.params.n == 5\nassert numpy.ones(2).sum() == 2",
    )
    outcome, _, _ = execute(text, files={"dataclasses/a.csv": "", "numpy/b.csv": ""})
    assert outcome.kind is None, outcome


@pytest.mark.parametrize("entry", ["pkg/s.py", "strategies/pkg/s.py", "strategies/deep/er/s.py"])
def test_a_strategy_inside_a_package_may_import_relatively(execute, entry):
    folder = Path(entry).parent.as_posix()
    outcome, out, _ = execute(
        functions(top="from .near import X\nfrom . import Y\n", initialize="print(X, Y)"),
        entry=entry,
        files={f"{folder}/__init__.py": "Y = 2\n", f"{folder}/near.py": "X = 1\n"},
    )
    assert outcome.kind is None, outcome
    assert out == b"1 2\n"


def test_two_runs_see_nothing_of_each_other(execute):
    first = functions(top="import sys\nsys.leak = 1\nimport os\nos.environ['LEAK'] = '1'\n")
    second = functions(
        top="import os, sys\nassert not hasattr(sys, 'leak')\nassert 'LEAK' not in os.environ\n"
    )
    assert execute(first)[0].kind is None
    assert execute(second)[0].kind is None


def test_parameters_are_checked_without_a_run(sandbox, tmp_path):
    (tmp_path / "s.py").write_text(
        functions(
            top="""
            from dataclasses import dataclass

            @dataclass(frozen=True)
            class Params:
                fast: int = 5
                scale: float = 1

                def __post_init__(self):
                    if self.fast > 9:
                        raise ValueError("fast is too slow")
            """
        )
    )
    sets = [{}, {"fast": 7}, {"fast": 10}, {"fsat": 1}, {"fast": "x"}]
    answer = sandbox.check_params(tmp_path, "s.py", sets).answer
    assert answer["params"][0]["values"] == {"fast": 5, "scale": 1}
    assert answer["params"][1]["values"]["fast"] == 7
    assert "fast is too slow" in answer["params"][2]["error"]
    assert "fsat" in answer["params"][3]["error"]
    assert "fast" in answer["params"][4]["error"]


@LINUX
def test_runs_leak_no_descriptor_and_no_process(execute, sandbox):
    zygote = sandbox.zygote_pid
    text = functions()
    execute(text)

    def count():
        return len(os.listdir("/proc/self/fd")), len(os.listdir(f"/proc/{zygote}/fd"))

    before = count()
    kinds = {execute(text)[0].kind for _ in range(30)}
    assert kinds == {None}
    assert count() == before
    assert children_of(zygote) == []


@LINUX
def test_a_killed_zygote_costs_the_run_it_served_and_the_next_one_gets_another(
    execute, sandbox, tmp_path
):
    zygote = sandbox.zygote_pid
    said = tmp_path / "pids"
    outcome, out, _ = execute(
        on_first_bar(
            "sleeper = subprocess.Popen(['sleep', '600'])\n"
            f"open({str(said)!r}, 'w').write(f'{{os.getpid()}} {{sleeper.pid}}')\n"
            "print('begun', flush=True)\n"
            "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(600)",
            top="import os, signal, subprocess, time\n",
        )
    )
    assert (outcome.answer, outcome.kind) == (None, "signal")
    assert outcome.message == (
        "the process that forks runs was ended by SIGKILL while it served this run (out of memory, "
        "perhaps); the next run gets a new one"
    )
    assert out == b"begun\n"
    for pid in (zygote, *map(int, said.read_text().split())):
        assert wait_until(lambda pid=pid: not is_alive(pid)), pid
    assert execute(functions())[0].kind is None
    assert sandbox.zygote_pid != zygote


@LINUX
def test_a_zygote_killed_between_two_runs_costs_none(execute, sandbox):
    for _ in range(2):
        os.kill(sandbox.zygote_pid, signal.SIGKILL)
        assert execute(functions())[0].kind is None


@LINUX
def test_parameters_that_could_not_be_checked_are_no_valid_parameters(sandbox, tmp_path):
    (tmp_path / "s.py").write_text("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n")
    with pytest.raises(BacktrailError, match=r"the process that forks runs was ended by SIGKILL"):
        sandbox.check_params(tmp_path, "s.py", [{}])


@LINUX
def test_a_killed_parent_leaves_no_process(tmp_path):
    (tmp_path / "s.py").write_text(
        "import os, sys, time\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getppid()}} {{os.getpid()}}\\n')\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path\n"
            "from backtrail.batch.execution.sandbox import Sandbox\n"
            "with Sandbox() as sandbox: sandbox.check_params(Path(sys.argv[1]), 's.py', [{}])",
            tmp_path,
        ]
    )
    pids = tmp_path / "pids"
    assert wait_until(lambda: pids.exists() and pids.read_text().endswith("\n"))
    zygote, child = map(int, pids.read_text().split())
    assert is_alive(zygote)
    assert is_alive(child)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not is_alive(zygote) and not is_alive(child))


@LINUX
def test_leaving_the_block_ends_the_zygote():
    with Sandbox() as sandbox:
        pid = sandbox.zygote_pid
        assert is_alive(pid)
    assert not is_alive(pid)
