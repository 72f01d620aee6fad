"""Profiles say how to run; Snakemake and its executor have to know every word of them."""

from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

PROFILES = sorted((Path(__file__).resolve().parents[2] / "profiles").iterdir())
SHARED = (
    "rerun-incomplete",
    "nolock",
    "keep-going",
    "scheduler",
    "max-checksum-file-size",
    "rerun-triggers",
)


def settings(name):
    return yaml.safe_load((PROFILES[0].parent / name / "profile.yaml").read_text())


def options():
    return {
        option.removeprefix("--"): action
        for action in get_argument_parser()._actions
        for option in action.option_strings
    }


def test_there_is_a_profile_for_a_machine_a_ci_and_a_cluster():
    assert [profile.name for profile in PROFILES] == ["ci", "default", "slurm"]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_snakemake_knows_every_key_of_a_profile(profile):
    if profile.name == "slurm":
        pytest.importorskip(
            "snakemake_executor_plugin_slurm", reason="the extra `slurm` is not installed"
        )
    known = options()
    unknown = [key for key in settings(profile.name) if key not in known]
    assert not unknown
    chosen = {
        key: value
        for key, value in settings(profile.name).items()
        if known[key].choices is not None and value not in known[key].choices
    }
    assert not chosen.keys() - {"rerun-triggers"}  # a list of choices


@pytest.mark.parametrize("name", ["ci", "slurm"])
def test_every_profile_is_whole_by_itself(name):
    default, other = settings("default"), settings(name)
    assert set(default) == set(SHARED)
    assert {key: other[key] for key in SHARED} == default


def test_the_cluster_profile_is_parsed_to_what_it_says():
    pytest.importorskip(
        "snakemake_executor_plugin_slurm", reason="the extra `slurm` is not installed"
    )
    found = get_argument_parser([PROFILES[-1].as_posix()]).parse_args([])
    assert (found.executor, found.jobs, found.latency_wait) == ("slurm", 100, 60)
    assert (found.keep_going, found.nolock, found.rerun_incomplete) == (True, True, True)
    assert found.retries == 0
    assert found.slurm_requeue is True
    assert found.local_cores == 2
    defaults = found.default_resources
    assert (defaults["mem_mb"].raw, defaults["runtime"].raw) == (1000, 15)
