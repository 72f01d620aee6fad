"""What a run used from outside is found by name, in real child processes."""

import gzip
import http.server
import json
import sqlite3
import subprocess
import sys
import textwrap
import threading

import numpy as np
import polars as pl
import pytest

from tests.unit.batch.support import functions, on_first_bar

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's reports")


@pytest.fixture
def used(execute):
    """Run a strategy text and return what it used; numpy and empty lists are left out."""

    def used(text, **options):
        outcome, _, err = execute(text, **options)
        assert outcome.kind is None, f"{outcome.message}\n{outcome.traceback}\n{err!r}"
        usage = dict(outcome.usage)
        usage["packages"] = [name for name, _ in usage["packages"] if name != "numpy"]
        usage["opened"] = sorted(usage["opened"])
        return {name: found for name, found in usage.items() if found}

    return used


@pytest.fixture
def outside(tmp_path):
    """A folder with one small file of each format that strategies read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    frame = pl.DataFrame({"a": [1, 2], "b": [3.0, 4.0]})
    frame.write_csv(folder / "t.csv")
    frame.write_parquet(folder / "t.parquet")
    frame.write_ipc(folder / "t.arrow", compression="uncompressed")
    frame.write_ndjson(folder / "t.ndjson")
    np.save(folder / "t.npy", np.arange(4.0))
    (folder / "t.gz").write_bytes(gzip.compress(b"1,2\n"))
    (folder / "t.txt").write_text("1 2 3\n")
    (folder / "t.py").write_text("X = 1\n")
    (folder / "t.json").write_text(json.dumps({"a": 1}))
    with sqlite3.connect(folder / "t.sqlite") as database:
        database.execute("create table t (a)")
    database.close()
    return folder


BY_PYTHON = {
    "open": ("t.txt", "open(P).read()"),
    "os.open": ("t.txt", "os.close(os.open(P, os.O_RDONLY))"),
    "pathlib": ("t.txt", "Path(P).read_bytes()"),
    "a path as bytes": ("t.txt", "open(P.encode()).read()"),
    "io.open_code": ("t.py", "io.open_code(P).read()"),
    "io.FileIO": ("t.txt", "io.FileIO(P).readall()"),
    "update mode": ("t.txt", "open(P, 'r+').read()"),
    "append mode": ("t.txt", "open(P, 'a').close()"),
    "mmap": ("t.txt", "f = open(P, 'rb'); mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[0]"),
    "gzip": ("t.gz", "gzip.open(P).read()"),
    "json": ("t.json", "json.loads(Path(P).read_text())"),
    "runpy": ("t.py", "runpy.run_path(P)"),
    "shutil": ("t.txt", "shutil.copy(P, 'copied.txt')"),
    "numpy.fromfile": ("t.txt", "np.fromfile(P, dtype='u1')"),
    "numpy.load": ("t.npy", "np.load(P)"),
    "numpy.load by memory": ("t.npy", "np.load(P, mmap_mode='r')[0]"),
    "numpy.memmap": ("t.npy", "np.memmap(P, mode='r')[0]"),
    "numpy.loadtxt": ("t.txt", "np.loadtxt(P)"),
    "a thread": ("t.txt", "t = threading.Thread(target=open, args=[P])\nt.start(); t.join()"),
    "a pool of threads": ("t.txt", "list(futures.ThreadPoolExecutor(2).map(open, [P]))"),
    "a relative path": ("t.txt", "open('../../outside/t.txt').read()"),
    "the root of a process": ("t.txt", "open('/proc/self/root' + P).read()"),
    "a folder of a process": ("t.txt", "open('/proc/self/cwd/../../outside/t.txt').read()"),
    "a descriptor": ("t.txt", "f = open(P); open(f'/dev/fd/{f.fileno()}').read()"),
    "another working directory": ("t.txt", "os.chdir(D); open('t.txt').read()"),
    "an open and a closed eye": ("t.txt", "try: open(P).fail()\nexcept AttributeError: pass"),
}  # fmt: skip
TOP = (
    "import gzip, io, json, mmap, os, runpy, shutil, threading\nfrom concurrent import futures\n"
    "from pathlib import Path\nimport numpy as np\n"
)


def reading(outside, name, code, *, top=TOP):
    return textwrap.dedent(top) + f"P = {str(outside / name)!r}\nD = {str(outside)!r}\n", code


@pytest.mark.parametrize("way", BY_PYTHON)
def test_a_file_read_through_python_is_found(used, outside, way):
    name, code = BY_PYTHON[way]
    top, code = reading(outside, name, code)
    assert used(on_first_bar(code, top=top)) == {"opened": [str(outside / name)]}


def test_a_file_reached_through_a_link_is_found_under_the_name_that_was_used(used, outside):
    top, code = reading(outside, "t.txt", "os.symlink(P, 'inside.txt'); open('inside.txt').read()")
    (found,) = used(on_first_bar(code, top=top))["opened"]
    assert found.endswith("/run/code/inside.txt")


@pytest.mark.parametrize("moment", ["import", "initialize", "handle_data", "analyze", "Params"])
def test_a_file_is_found_whenever_it_is_read(used, outside, moment):
    path = str(outside / "t.txt")
    read = f"open({path!r}).read()"
    texts = {
        "import": functions(top=f"{read}\n"),
        "initialize": functions(initialize=read),
        "handle_data": on_first_bar(read),
        "analyze": functions() + f"\ndef analyze(context, perf):\n    {read}\n",
        "Params": functions(
            top=f"""
            from dataclasses import dataclass

            @dataclass(frozen=True)
            class Params:
                n: int = 5

                def __post_init__(self):
                    {read}
            """
        ),
    }
    assert used(texts[moment]) == {"opened": [path]}


BY_NATIVE_CODE = {
    "polars.read_csv": ("t.csv", "import polars", "polars.read_csv(P)"),
    "polars.scan_csv": ("t.csv", "import polars", "polars.scan_csv(P).collect()"),
    "polars.read_parquet": ("t.parquet", "import polars", "polars.read_parquet(P)"),
    "polars.scan_parquet": ("t.parquet", "import polars", "polars.scan_parquet(P).collect()"),
    "polars.scan_ipc": ("t.arrow", "import polars", "polars.scan_ipc(P).collect()"),
    "polars.scan_ndjson": ("t.ndjson", "import polars", "polars.scan_ndjson(P).collect()"),
    "a pattern given to polars": ("t.csv", "import polars", "polars.read_csv(D + '/*.csv')"),
    "pyarrow.parquet": ("t.parquet", "import pyarrow.parquet", "pyarrow.parquet.read_table(P)"),
    "pyarrow.memory_map": ("t.csv", "import pyarrow", "pyarrow.memory_map(P).read()"),
    "pyarrow.csv": ("t.csv", "import pyarrow.csv", "pyarrow.csv.read_csv(P)"),
    "the C library": ("t.txt", "import ctypes", "ctypes.CDLL(None).fopen(P.encode(), b'r')"),
    "the C library by its handle": ("t.txt", "import ctypes",
                                    "ctypes.pythonapi['fopen'](P.encode(), b'r')"),
    "the system call": ("t.txt", "import ctypes",
                        "ctypes.CDLL(None).syscall(257, -100, P.encode(), 0)"),
    "a polars thread": ("t.csv", "import polars, threading",
                        "t = threading.Thread(target=polars.read_csv, args=[P])\n"
                        "t.start(); t.join()"),
}  # fmt: skip


@LINUX
@pytest.mark.parametrize("way", BY_NATIVE_CODE)
def test_a_file_read_by_native_code_is_found(used, outside, way):
    name, top, code = BY_NATIVE_CODE[way]
    top, code = reading(outside, name, code, top=f"import ctypes\n{top}\n")
    found = used(on_first_bar(code, top=top))
    assert found["opened"] == [str(outside / name)]
    assert "unseen" not in found


@LINUX
def test_a_file_is_found_that_is_named_from_the_descriptor_of_its_folder(used, outside):
    top, code = reading(
        outside, "t.txt", "d = os.open(D, os.O_RDONLY)\nos.open('t.txt', os.O_RDONLY, dir_fd=d)"
    )
    assert used(on_first_bar(code, top=top)) == {"opened": [str(outside / "t.txt")]}


@LINUX
def test_a_thread_that_runs_before_native_code_is_loaded_is_reported_too(used, outside):
    top, code = reading(
        outside,
        "t.txt",
        "go = threading.Event()\n"
        "t = threading.Thread(target=lambda: (go.wait(), libc.fopen(P.encode(), b'r')))\n"
        "t.start()\nlibc = ctypes.CDLL(None)\nlibc.fopen\ngo.set()\nt.join()",
        top="import ctypes, threading\n",
    )
    assert used(on_first_bar(code, top=top)) == {"opened": [str(outside / "t.txt")]}


@LINUX
@pytest.mark.parametrize(
    ("code", "command"),
    [
        ("subprocess.run(['cat', P], stdout=-3, check=True)", "cat {0}"),
        ("subprocess.run('cat ' + P, shell=True, stdout=-3, check=True)", "/bin/sh -c 'cat {0}'"),
        ("os.system('cat ' + P + ' > /dev/null')", "cat {0} > /dev/null"),
        ("os.waitpid(os.posix_spawn('/bin/cat', ['cat', P], os.environ), 0)", "cat {0}"),
        ("if not os.fork():\n    open(P).read()\n    os._exit(0)\nos.wait()",
         "a copy of itself (os.fork)"),
        ("ctypes.CDLL(None).system(b'cat ' + P.encode() + b' > /dev/null')", "cat {0}"),
    ],
)  # fmt: skip
def test_a_program_is_named_and_so_are_the_files_that_it_reads(used, outside, code, command):
    top, code = reading(outside, "t.txt", code, top="import ctypes, os, subprocess\n")
    found = used(on_first_bar(code, top=top))
    assert command.format(outside / "t.txt") in found.pop("processes")
    assert found == {"opened": [str(outside / "t.txt")]}


@LINUX
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_a_pool_are_reported(used, outside, method):
    top, code = reading(
        outside,
        "t.txt",
        f"with multiprocessing.get_context({method!r}).Pool(1) as pool:\n"
        "    pool.map(lengths.length, [P])",
        top="import multiprocessing\nimport lengths\n",
    )
    found = used(
        on_first_bar(code, top=top),
        files={"lengths.py": "def length(path):\n    return len(open(path).read())\n"},
    )
    assert str(outside / "t.txt") in found["opened"]
    assert found["processes"]


@LINUX
def test_a_database_is_found(used, outside):
    top, code = reading(
        outside, "t.sqlite", "sqlite3.connect(P).execute('select * from t').fetchall()",
        top="import sqlite3\n",
    )  # fmt: skip
    assert used(on_first_bar(code, top=top)) == {"opened": [str(outside / "t.sqlite")]}


def test_a_module_from_outside_is_named_with_its_file(used, outside):
    text = on_first_bar(
        "import t\nassert t.X == 1", top=f"import sys\nsys.path.append({str(outside)!r})\n"
    )
    found = used(text)
    assert found["modules"] == [("t", str(outside / "t.py"))]


def test_packages_are_named_when_the_strategy_imports_them(used):
    assert used(functions(top="import yaml, jinja2\n"))["packages"] == [
        "jinja2", "markupsafe", "yaml"
    ]  # fmt: skip


@pytest.fixture
def server():
    """A loopback server; the tests own it."""
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("socket.create_connection(('127.0.0.1', PORT)).close()", "127.0.0.1:{0}"),
        ("socket.create_connection(('localhost', PORT)).close()", "localhost:{0}"),
        ("urllib.request.urlopen(f'http://127.0.0.1:{PORT}/nothing')", "127.0.0.1:{0}"),
        ("s = socket.socket(type=socket.SOCK_DGRAM); s.sendto(b'x', ('127.0.0.1', PORT))",
         "127.0.0.1:{0}"),
    ],
)  # fmt: skip
def test_a_connection_is_named_with_host_and_port(used, server, code, expected):
    text = on_first_bar(
        f"import socket, urllib.request\nPORT = {server}\n"
        f"try:\n    {code}\nexcept OSError:\n    pass\n"
    )
    assert expected.format(server) in used(text)["connections"]


@LINUX
def test_a_connection_of_native_code_is_named(used, server):
    text = on_first_bar(
        "import ctypes, socket, struct\n"
        "libc = ctypes.CDLL(None)\nfd = libc.socket(2, 1, 0)\n"
        f"address = struct.pack('=HH', 2, socket.htons({server})) + bytes([127, 0, 0, 1])\n"
        "address += bytes(8)\n"
        "assert libc.connect(fd, address, 16) == 0"
    )
    assert used(text) == {"connections": [f"127.0.0.1:{server}"]}


OWN = {
    "what it wrote": "open('own.txt', 'w').write('x'); open('own.txt').read()",
    "what it wrote elsewhere": "open(D + '/own.txt', 'w').write('x'); open(D + '/own.txt').read()",
    "what it overwrote": "open(P, 'w').write('x'); open(P).read()",
    "what it wrote and appended to": "open('o', 'x').close(); open('o', 'a').close(); open('o')",
    "what it wrote and renamed": "Path('a').write_text('x'); os.replace('a', 'b'); open('b')",
    "what it wrote into a renamed folder": "os.mkdir('d'); Path('d/a').write_text('x'); "
    "os.rename('d', 'e'); open('e/a').read()",
    "a temporary file": "f = tempfile.NamedTemporaryFile(); f.write(b'x'); open(f.name).read()",
    "a temporary file without a name": "f = tempfile.TemporaryFile(); f.write(b'x'); f.seek(0)",
    "what is captured": "open('own.csv').read(); Path('lib/own.txt').read_text()",
    "its own source": "inspect.getsource(initialize); Path(__file__).read_bytes()",
    "what is absent": "try: open(D + '/absent')\nexcept OSError: pass",
    "a temporary folder": "d = tempfile.TemporaryDirectory(); Path(d.name, 'x').write_text('x'); "
    "d.cleanup()",
    "the names in a folder": "os.listdir(D); list(Path(D).glob('*')); os.stat(P)",
    "Python's library": "import xml.dom.minidom, unittest.mock, email.mime.text, zoneinfo, csv\n"
    "zoneinfo.ZoneInfo('Europe/Berlin'); datetime.datetime.now(); random.random()",
    "NumPy": "np.random.default_rng(1).normal(); np.linalg.inv(np.eye(2)); np.fft.fft([1.0]); "
    "import numpy.testing, numpy.polynomial, numpy.ma; np.save('x', np.ones(2)); np.load('x.npy')",
    "this library": "import backtrail.metrics, backtrail.canonical, backtrail.data.calendars",
    "the machine": "open('/proc/self/status').read(); os.urandom(4); open('/dev/zero')",
    "an event loop": "import asyncio; asyncio.run(asyncio.sleep(0))",
    "an exception that is shown": "try: 1 / 0\nexcept ZeroDivisionError: traceback.print_exc()",
    "warnings and logging": "import logging, warnings; logging.warning('x'); warnings.warn('x')",
}  # fmt: skip


@pytest.mark.parametrize("way", OWN)
def test_nothing_is_reported_of(used, outside, way):
    top, code = reading(
        outside, "t.txt", OWN[way],
        top="import datetime, inspect, os, random, tempfile, traceback\n"
        "from pathlib import Path\nimport numpy as np\n",
    )  # fmt: skip
    files = {"own.csv": "a,b\n1,2\n", "lib/own.txt": "x"}
    assert used(on_first_bar(code, top=top), files=files) == {}


@LINUX
def test_packages_and_programs_may_read_their_own_and_the_system(used):
    found = used(
        on_first_bar(
            "import polars, pyarrow.parquet, yaml, jinja2, sqlite3, zoneinfo\n"
            "polars.DataFrame({'a': [1]}).write_parquet('a.parquet')\n"
            "assert polars.read_parquet('a.parquet').height == 1\n"
            "assert pyarrow.parquet.read_table('a.parquet').num_rows == 1\n"
            "sqlite3.connect(':memory:').execute('select 1')\n"
            "subprocess.run([sys.executable, '-c', 'import numpy, json'], check=True)\n"
            "subprocess.run('ls / > /dev/null; date > /dev/null', shell=True, check=True)",
            top="import subprocess, sys\n",
        )
    )
    assert "opened" not in found
    assert "modules" not in found
    assert "unseen" not in found


WRITING = {
    "open": "open(NAME, 'w')",
    "append": "open(NAME, 'a')",
    "update": "open(NAME, 'r+b')",
    "os.open": "os.open(NAME, os.O_WRONLY)",
    "pathlib": "Path(NAME).write_text('x')",
    "an absolute path": "open(os.path.abspath(NAME), 'w')",
    "a symlink": "os.symlink(NAME, 'link'); open('link', 'w')",
    "a descriptor": "f = open(NAME); open(f'/proc/self/fd/{f.fileno()}', 'w')",
    "another name": "os.link(NAME, 'other')",
    "removing": "os.remove(NAME)",
    "unlinking": "Path(NAME).unlink()",
    "renaming": "os.rename(NAME, 'other')",
    "replacing": "open('x', 'w').close(); os.replace('x', NAME)",
    "truncating": "os.truncate(NAME, 0)",
    "its mode": "os.chmod(NAME, 0o666)",
    "numpy": "np.memmap(NAME, mode='r+')",
    "a thread": "futures.ThreadPoolExecutor(1).submit(open, NAME, 'w').result()",
}  # fmt: skip


@pytest.mark.parametrize("way", WRITING)
@pytest.mark.parametrize("name", ["s.py", "lib/rules.py"])
def test_captured_code_cannot_be_changed(execute, tmp_path, way, name):
    text = on_first_bar(
        f"NAME = {name!r}\n{WRITING[way]}",
        top="import os\nfrom concurrent import futures\nfrom pathlib import Path\n"
        "import numpy as np\n",
    )
    files = {"lib/rules.py": "X = 1\n"}
    outcome, _, _ = execute(text, files=files)
    assert outcome.kind == "PermissionError"
    assert outcome.message.startswith("captured code is read-only: ")
    assert (tmp_path / "run/code" / name).read_text() == {"s.py": text, **files}[name]


@LINUX
def test_native_code_cannot_change_captured_code_either(execute, tmp_path):
    outcome, out, _ = execute(
        on_first_bar(
            "import ctypes\nlibc = ctypes.CDLL(None)\nprint(libc.fopen(b'rules.py', b'w'))\n"
            "print(libc.rename(b'rules.py', b'x'), libc.creat(b'rules.py', 0o644))"
        ),
        files={"rules.py": "X = 1\n"},
    )
    assert outcome.kind is None
    assert out.split() == [b"0", b"-1", b"-1"]
    assert (tmp_path / "run/code/rules.py").read_text() == "X = 1\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("orders.parquet", "results/orders.parquet is written by backtrail itself"),
        ("reports/a.html", "results/reports/a.html is written by backtrail itself"),
        ("../results/summary.parquet", "results/summary.parquet is written by backtrail itself"),
        ("../run.json", "belongs to the run's own records"),
        ("../metadata/run_spec.json", "belongs to the run's own records"),
        ("../inputs/x", "belongs to the run's own records"),
    ],
)
def test_records_and_results_of_the_program_cannot_be_written(execute, tmp_path, name, message):
    for folder in ("reports", "../results", "../metadata", "../inputs"):
        (tmp_path / "run/code" / folder).mkdir(parents=True)
    outcome, _, _ = execute(on_first_bar(f"open({name!r}, 'w')"))
    assert outcome.kind == "PermissionError"
    assert message in outcome.message
    assert not (tmp_path / "run/code" / name).exists()


def test_without_the_kernels_reports_native_code_is_named_as_unseen(tmp_path):
    (tmp_path / "s.py").write_text("")
    script = f"""
        from backtrail.provenance.inputs import merge_usage
        from backtrail.provenance.outside import Shield
        from backtrail.provenance.usage import UsageRecorder

        recorder = UsageRecorder(Shield({str(tmp_path)!r}, ["s.py"], None), None)
        recorder.start()
        import numpy.fft, statistics, yaml, polars, ctypes
        ctypes.CDLL(None).getpid()
        usage = merge_usage(recorder.report(), None)
        assert not usage["opened"], usage
        print(*usage["unseen"])
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = done.stdout.split()
    assert "ctypes" in found
    assert any("polars" in name for name in found)
    assert not {"numpy", "statistics"} & set(found)
