"""The state of the repository a project lies in: commit, branch, and what is not committed."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backtrail.canonical import sha256_bytes

__all__ = ["GitState", "git_words", "read_git_state"]

_LARGEST_DIFF = 5_000_000
_SECONDS = 30
# Configured helpers of a foreign repository are not started for a look at it.
_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


@dataclass(frozen=True, slots=True)
class GitState:
    """What git says of a project folder.

    Attributes:
        commit: Commit that is checked out; None before the first one.
        branch: Branch that is checked out; None when there is none.
        dirty: Whether a tracked file below the folder differs from the commit.
        diff: The difference as `git diff` writes it; None when clean, or when it is left out.
        diff_omitted: Why the difference is left out; None when it is not.
    """

    commit: str | None
    branch: str | None
    dirty: bool
    diff: bytes | None = None
    diff_omitted: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a run spec; of the difference its sha256."""
        return {
            "commit": self.commit,
            "branch": self.branch,
            "dirty": self.dirty,
            "diff_sha256": None if self.diff is None else sha256_bytes(self.diff),
            "diff_omitted": self.diff_omitted,
        }


def git_words(git: Mapping[str, Any] | None) -> str | None:
    """Return the git record of a run in words, or None for a project that is in no repository.

    Args:
        git: As `GitState.to_dict` returns it.
    """
    if git is None:
        return None
    said = git["commit"] or "no commit yet"
    branch = f" on {git['branch']}" if git["branch"] else ""
    return f"{said}{branch}{', with changes that are not committed' if git['dirty'] else ''}"


def read_git_state(folder: Path) -> GitState | None:
    """Return the state of the repository around a folder, or None without one, or without git.

    Only the folder counts: a change elsewhere in the repository is no change of the project.
    Untracked files are not looked at; those of a strategy are captured like all others.
    """
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", ".")
    if status is None:
        return None
    lines = status.decode(errors="replace").splitlines()
    head = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit, branch = head.get("branch.oid", "(initial)"), head.get("branch.head", "(detached)")
    known_commit = None if commit == "(initial)" else commit
    known_branch = None if branch == "(detached)" else branch
    if not any(not line.startswith("#") for line in lines):
        return GitState(known_commit, known_branch, dirty=False)
    diff, omitted = _diff(folder, known_commit)
    return GitState(known_commit, known_branch, dirty=True, diff=diff, diff_omitted=omitted)


def _diff(folder: Path, commit: str | None) -> tuple[bytes | None, str | None]:
    against = [commit] if commit else ["--cached"]
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short")
    diff = _git(folder, "diff", *options, *against, "--", ".")
    if diff is None:
        return None, "git could not say what differs"
    if len(diff) > _LARGEST_DIFF:
        return None, f"it has {len(diff)} bytes, more than {_LARGEST_DIFF}"
    return diff, None


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Return what a git command prints, or None when it fails."""
    # A hook of git sets variables that would lead to another repository than the folder's.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", *_QUIET, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
