import os
import sys

import pytest

from backtrail.provenance.outside import OutsideFiles, Shield, is_known, readable, site_folders

READ, NEW = os.O_RDONLY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@pytest.fixture
def run(tmp_path):
    run = tmp_path / "run"
    (run / "code/lib").mkdir(parents=True)
    (run / "code/s.py").write_text("x")
    (run / "code/lib/l.py").write_text("x")
    return run


@pytest.fixture
def shield(run):
    return Shield(str(run / "code"), ["s.py", "lib/l.py", "absent.py"], str(run))


@pytest.fixture
def files(shield):
    return OutsideFiles(shield)


@pytest.mark.parametrize(
    "path",
    [os.__file__, sys.executable, pytest.__file__, "/proc/self/maps", "/etc/localtime",
     "/usr/share/zoneinfo/UTC", "/etc/ld.so.cache", "/dev/null", "/lib/x86_64-linux-gnu/libc.so.6"],
)  # fmt: skip
def test_python_packages_and_the_system_are_known(path):
    assert is_known(path)


@pytest.mark.parametrize("path", ["/home/me/x.csv", "/tmp/x", "/etc/my.conf", "/usr/local/data/x",
                                  sys.prefix + "/../x.csv".replace("/..", "x")])  # fmt: skip
def test_everything_else_is_from_outside(path):
    assert not is_known(path)


def test_changing_the_import_path_makes_nothing_known(tmp_path, monkeypatch):
    site_folders()
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    assert not is_known(str(tmp_path / "site-packages/x.py"))


def test_a_file_is_noted_with_size_and_time_of_its_first_opening(files, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1234")
    first = path.stat()
    files.note(str(path), READ)
    path.write_text("123456")
    files.note(str(path), READ)
    assert files.opened == {str(path): (4, first.st_mtime_ns)}


def test_folders_absent_files_and_what_cannot_be_a_name_are_not_noted(files, tmp_path):
    for path in (str(tmp_path), str(tmp_path / "absent"), "/tmp/\0", str(tmp_path / "a" / "b")):
        files.note(path, READ)
    assert files.opened == {}


def test_a_link_inside_the_code_is_told_by_where_it_leads(files, run, tmp_path):
    (tmp_path / "a.csv").write_text("1")
    (run / "code/link").symlink_to(tmp_path / "a.csv")
    (run / "code/near").symlink_to("s.py")
    for name in ("link", "near", "s.py"):
        files.note(str(run / "code" / name), READ)
    assert list(files.opened) == [str(run / "code/link")]


def test_another_run_is_outside(files, run, tmp_path):
    (tmp_path / "run-2").write_text("x")
    files.note(str(tmp_path / "run-2"), READ)
    assert list(files.opened) == [str(tmp_path / "run-2")]


def test_what_was_there_before_and_is_appended_to_counts(files, tmp_path):
    path = tmp_path / "state.json"
    files.note(str(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    path.write_text("1")
    files.note(str(path), READ)
    assert files.opened == {}
    other = tmp_path / "old.json"
    other.write_text("1")
    files.note(str(other), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    assert list(files.opened) == [str(other)]


def test_a_renamed_folder_takes_what_the_run_made_along(files, tmp_path):
    files.note(str(tmp_path / "a/b/c.txt"), NEW)
    files.renamed(str(tmp_path / "a"), str(tmp_path / "z"))
    (tmp_path / "z/b").mkdir(parents=True)
    for name in ("z/b/c.txt", "z/b/d.txt", "zz"):
        (tmp_path / name).write_text("1")
        files.note(str(tmp_path / name), READ)
    assert list(files.opened) == [str(tmp_path / "z/b/d.txt"), str(tmp_path / "zz")]


def test_captured_files_are_told_by_what_they_are(shield, run, tmp_path):
    os.link(run / "code/lib/l.py", tmp_path / "other-name")
    (tmp_path / "link").symlink_to(run / "code/s.py")
    for path in (run / "code/s.py", tmp_path / "other-name", tmp_path / "link"):
        assert "captured code is read-only" in shield.refusal(str(path))
    with (run / "code/s.py").open() as stream:
        assert "captured code is read-only" in shield.refusal(stream.fileno())
    for path in (run / "code/new.py", tmp_path / "x", run / "results/own.csv", run / "own.csv"):
        assert shield.refusal(str(path)) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("code/orders.parquet", "results/orders.parquet is written by backtrail"),
        ("results/orders.parquet", "results/orders.parquet is written by backtrail"),
        ("code/../results/reports/a.html", "results/reports/a.html is written by backtrail"),
        ("run.json", "belongs to the run's own records"),
        ("_SUCCESS", "belongs to the run's own records"),
        (".lock", "belongs to the run's own records"),
        ("metadata/run_spec.json", "belongs to the run's own records"),
        ("logs/stdout.txt", "belongs to the run's own records"),
    ],
)
def test_records_and_results_of_the_program_are_refused(shield, run, name, message):
    assert message in shield.refusal(str(run / name))


def test_text_becomes_readable():
    assert readable("a\udcff\0b") == "a\\udcff\\x00b"
