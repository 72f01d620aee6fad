import subprocess

import pytest

from backtrail.canonical import sha256_bytes
from backtrail.provenance.git import git_words, read_git_state


def git(folder, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "strategy.py").write_text("a = 1\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("x\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_repository_has_commit_and_branch_and_no_difference(repository):
    state = read_git_state(repository)
    assert state.commit == git(repository, "rev-parse", "HEAD")
    assert state.to_dict() == {
        "commit": state.commit,
        "branch": "main",
        "dirty": False,
        "diff_sha256": None,
        "diff_omitted": None,
    }


def test_what_is_not_committed_is_kept_as_a_difference(repository):
    (repository / "strategy.py").write_text("a = 2\n")
    git(repository, "add", "strategy.py")
    (repository / "other" / "notes.txt").write_text("y\n")
    state = read_git_state(repository)
    assert state.dirty
    assert b"-a = 1\n+a = 2\n" in state.diff
    assert b"-x\n+y\n" in state.diff
    assert state.to_dict()["diff_sha256"] == sha256_bytes(state.diff)


def test_the_difference_makes_the_files_again(repository, tmp_path_factory):
    (repository / "strategy.py").write_text("a = 2  # größer\n")
    state = read_git_state(repository)
    copy = tmp_path_factory.mktemp("copy")
    git(copy, "clone", "-q", str(repository), ".")
    subprocess.run(["git", "apply"], cwd=copy, input=state.diff, check=True)
    assert (copy / "strategy.py").read_text() == "a = 2  # größer\n"


def test_only_the_project_folder_counts(repository):
    (repository / "strategy.py").write_text("a = 2\n")
    assert not read_git_state(repository / "other").dirty
    (repository / "other" / "notes.txt").write_text("y\n")
    diff = read_git_state(repository / "other").diff
    assert b"+y" in diff
    assert b"a = 2" not in diff


def test_untracked_files_are_no_difference(repository):
    (repository / "new.py").write_text("b = 1\n")
    assert not read_git_state(repository).dirty


def test_a_detached_head_has_no_branch_and_an_empty_repository_no_commit(repository, tmp_path):
    git(repository, "checkout", "-q", "--detach")
    assert read_git_state(repository).branch is None
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "-b", "trunk")
    assert read_git_state(empty).to_dict()["commit"] is None
    assert read_git_state(empty).branch == "trunk"
    (empty / "a.py").write_text("a = 1\n")
    git(empty, "add", "a.py")
    assert b"+a = 1" in read_git_state(empty).diff


def test_a_difference_that_is_too_large_is_left_out_with_the_reason(repository):
    (repository / "strategy.py").write_text("x" * 6_000_000)
    state = read_git_state(repository)
    assert state.dirty
    assert state.diff is None
    assert "more than 5000000" in state.diff_omitted


def test_without_a_repository_there_is_no_state(tmp_path):
    assert read_git_state(tmp_path) is None


def test_without_git_there_is_no_state(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_git_state(repository) is None


def test_a_hook_of_another_repository_does_not_lead_away(repository, monkeypatch, tmp_path):
    other = tmp_path / "elsewhere"
    other.mkdir()
    git(other, "init", "-q", "-b", "wrong")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert read_git_state(repository).branch == "main"


def test_looking_changes_nothing_in_the_repository(repository):
    index = repository / ".git" / "index"
    (repository / "strategy.py").touch()
    before = index.read_bytes()
    read_git_state(repository)
    assert index.read_bytes() == before


def test_a_state_in_words_names_commit_branch_and_what_is_not_committed():
    clean = {"commit": "a" * 40, "branch": "main", "dirty": False}
    assert git_words(clean) == f"{'a' * 40} on main"
    changed = {**clean, "branch": None, "dirty": True}
    assert git_words(changed) == f"{'a' * 40}, with changes that are not committed"
    assert git_words({**clean, "commit": None}) == "no commit yet on main"
    assert git_words(None) is None
