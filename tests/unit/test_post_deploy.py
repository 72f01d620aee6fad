"""What Snakemake does to an environment that it makes of environment.yml, without conda."""

import os
import subprocess
import sys
import venv
from itertools import pairwise
from pathlib import Path

import pytest
from snakemake.sourcecache import infer_source_file

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "environment.post-deploy.sh"
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))


def run(prefix, **environment):
    """Run the script as Snakemake does: a copy of it, from the project's folder."""
    kept = {k: v for k, v in os.environ.items() if k not in ("CONDA_PREFIX", "BACKTRAIL_SOURCE")}
    copy = prefix.with_name(f"{prefix.name}.post-deploy.sh")
    copy.write_bytes(SCRIPT.read_bytes())
    return subprocess.run(
        ["sh", str(copy)],
        cwd=prefix.parent,
        env={**kept, "PYTHONPYCACHEPREFIX": str(prefix.parent / "compiled"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def prefix(tmp_path):
    """An environment as conda leaves it: what environment.yml names is there, backtrail is not."""
    folder = tmp_path / "env"
    venv.create(folder, with_pip=False)
    # Folders of a .pth file are searched, but the .pth files in them are not read: a backtrail
    # that is linked beside these packages is not linked here.
    import hatchling
    import pip

    packages = {str(Path(module.__file__).parents[1]) for module in (pip, hatchling)}
    (site,) = folder.glob("lib/python3*/site-packages")
    (site / "zz-packages.pth").write_text("\n".join(sorted(packages)))
    return folder


def test_every_rule_with_an_environment_leads_snakemake_to_the_script():
    named = [
        (file, line.strip().strip('"'))
        for file in RULES
        for before, line in pairwise(file.read_text().splitlines())
        if before.strip() == "conda:"
    ]
    assert len(named) >= 15
    for file, path in named:
        found = infer_source_file(str(file.parent / path)).replace_suffix(
            [".yaml", ".yml"], ".post-deploy.sh"
        )
        assert Path(found.get_path_or_uri(secret_free=True)).resolve() == SCRIPT


def test_the_snakefile_says_where_its_source_is(tmp_path):
    (tmp_path / "workflow").symlink_to(ROOT / "workflow")
    code = (
        "import os, sys; from pathlib import Path; from backtrail.jobs import name_workflow_source;"
        "name_workflow_source(Path(sys.argv[1])); print(os.environ['BACKTRAIL_SOURCE'])"
    )
    for project in (ROOT, tmp_path):
        asked = [sys.executable, "-c", code, str(project / "workflow/rules")]
        found = subprocess.run(asked, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == str(ROOT)
    common = (ROOT / "workflow/rules/common.smk").read_text()
    assert "name_workflow_source(Path(workflow.current_basedir." in common


def test_the_script_is_valid_for_the_shell_that_its_first_line_names():
    assert SCRIPT.read_text().startswith("#!/bin/sh\n")
    checked = subprocess.run(["sh", "-n", str(SCRIPT)], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.slow
def test_the_workflow_source_is_linked_into_the_environment_and_compiled(prefix, tmp_path):
    python = prefix / "bin/python"
    asked = [str(python), "-c", "import backtrail.jobs; print(backtrail.jobs.__file__)"]
    environment = {"CONDA_PREFIX": str(prefix), "BACKTRAIL_SOURCE": str(ROOT)}
    done = run(prefix, **environment, PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 0, done.stderr
    found = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(ROOT / "src/backtrail/jobs.py")
    (site,) = prefix.glob("lib/python3*/site-packages")
    assert list(site.glob("backtrail-*.dist-info")), "pip knows of it and can take it away"
    tag = sys.implementation.cache_tag
    compiled = tmp_path / "compiled" / (ROOT / "src/backtrail").relative_to("/")
    assert (compiled / f"jobs.{tag}.pyc").is_file()
    assert (compiled / "engine" / f"simulation.{tag}.pyc").is_file()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"BACKTRAIL_SOURCE": str(ROOT)}, "no conda environment is active"),
        ({"CONDA_PREFIX": "PREFIX"}, "the Snakefile of this workflow says where its source is"),
        ({"CONDA_PREFIX": "PREFIX", "BACKTRAIL_SOURCE": str(ROOT / "workflow")},
         f"there is no source of backtrail in {ROOT / 'workflow'}"),
    ],
)  # fmt: skip
def test_what_is_missing_is_told_and_nothing_is_installed(environment, message, prefix):
    named = {key: value.replace("PREFIX", str(prefix)) for key, value in environment.items()}
    done = run(prefix, **named)
    assert done.returncode != 0
    assert message in done.stderr
    (site,) = prefix.glob("lib/python3*/site-packages")
    assert not list(site.glob("backtrail-*"))
