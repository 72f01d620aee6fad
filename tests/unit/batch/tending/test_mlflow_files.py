"""The `mlruns` folder, as MLflow's file store lays it out.

The layout was compared with mlflow-skinny 3.17.2: its `FileStore` found the experiments, runs,
parameters, metrics, tags and artifacts that these tests state.
"""

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from backtrail.artifacts.manifest import inspect_run
from backtrail.artifacts.tags import edit_tags
from backtrail.batch.tending.mlflow_files import export_mlflow
from backtrail.canonical import sha256_file
from backtrail.errors import ArtifactManagerError


def values_in(folder):
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_a_run_has_the_files_that_mlflow_reads(project, ids, tmp_path):
    store, run = project.store, project.store.run(ids["sma-grid/fast=2"])
    manifest = run.read_manifest()
    edit_tags(store, [manifest["run_key"]], add=["paper"])
    (found,) = export_mlflow(store, [run], tmp_path / "mlruns")
    home = tmp_path / "mlruns" / found.experiment_id / found.run_id
    assert found.path == str(home)
    assert (found.experiment, found.run_id) == ("strategies/sma.py", manifest["run_key"][:32])
    experiment = yaml.safe_load((home.parent / "meta.yaml").read_text())
    assert experiment["name"] == "strategies/sma.py"
    assert experiment["experiment_id"] == found.experiment_id
    assert experiment["artifact_location"] == home.parent.as_uri()
    meta = yaml.safe_load((home / "meta.yaml").read_text())
    ended = int(datetime.fromisoformat(manifest["finished_at"]).timestamp() * 1000)
    assert (meta["status"], meta["lifecycle_stage"], meta["end_time"]) == (3, "active", ended)
    assert meta["run_name"] == "sma-grid/fast=2"
    assert meta["artifact_uri"] == (home / "artifacts").as_uri()
    params = values_in(home / "params")
    assert (params["fast"], params["slow"]) == ("2", "8")
    assert params["settings.symbols"] == '["AAA"]'
    assert params["settings.start"] == "2020-01-02"
    assert params["settings.execution.fill"] == "next_open"
    assert params["settings.commission.model"] == manifest["identity"]["commission"]["model"]
    metrics = values_in(home / "metrics")
    measured = {key: value for key, value in manifest["metrics"].items() if value is not None}
    assert metrics.keys() == measured.keys()
    for name, text in metrics.items():
        moment, value, step = text.split()
        assert (int(moment), float(value), step) == (ended, measured[name], "0")
    tags = values_in(home / "tags")
    assert tags["backtrail.run_key"] == manifest["run_key"]
    assert tags["backtrail.dataset_id"] == manifest["identity"]["dataset"]["dataset_id"]
    assert tags["backtrail.code_hash"] == manifest["identity"]["strategy"]["code_hash"]
    assert tags["backtrail.manifest_sha256"] == sha256_file(run.manifest)
    assert (tags["backtrail.grade"], tags["backtrail.tag.paper"]) == ("B", "true")
    assert tags["mlflow.runName"] == "sma-grid/fast=2"
    artifacts = {path.relative_to(home / "artifacts").as_posix(): path.read_bytes()
                 for path in (home / "artifacts").rglob("*") if path.is_file()}  # fmt: skip
    assert artifacts == {path.relative_to(run.path).as_posix(): path.read_bytes()
                         for path in run.path.rglob("*") if path.is_file()}  # fmt: skip
    assert not any(path.is_symlink() for path in (home / "artifacts").rglob("*"))


def test_the_commit_of_the_project_is_a_tag(project, ids, tmp_path):
    run = project.store.run(ids["hold"])
    spec = run.read_spec()
    spec["origin"]["git"] = {"commit": "c" * 40, "branch": "main"}
    run.spec.unlink()
    run.spec.write_text(json.dumps(spec))
    (found,) = export_mlflow(project.store, [run], tmp_path / "mlruns")
    tags = values_in(tmp_path / "mlruns" / found.experiment_id / found.run_id / "tags")
    assert tags["mlflow.source.git.commit"] == "c" * 40


def test_links_lead_to_the_files_of_the_run(project, ids, tmp_path):
    run = project.store.run(ids["hold"])
    (found,) = export_mlflow(project.store, [run], tmp_path / "mlruns", link=True)
    home = tmp_path / "mlruns" / found.experiment_id / found.run_id / "artifacts"
    there = {
        path.relative_to(home): path.stat().st_ino for path in home.rglob("*") if path.is_file()
    }
    assert there == {
        path.relative_to(run.path): path.stat().st_ino
        for path in run.path.rglob("*")
        if path.is_file()
    }
    assert not any(path.is_symlink() for path in home.rglob("*"))
    assert not inspect_run(run)


def test_a_second_export_replaces_what_it_wrote_and_nothing_else(project, ids, tmp_path):
    store, folder = project.store, tmp_path / "mlruns"
    runs = [store.run(ids[name]) for name in ("hold", "bad")]
    found = {run.backtest_id: run for run in export_mlflow(store, runs, folder)}
    home = folder / found[ids["hold"]].experiment_id / found[ids["hold"]].run_id
    (home / "tags/mlflow.note.content").write_text("looks good")
    (home / "metrics/old").write_text("1 1 0\n")
    export_mlflow(store, runs[:1], folder)
    assert not (home / "metrics/old").exists()
    assert (home / "tags/mlflow.note.content").read_text() == "looks good"
    failed = found[ids["bad"]]
    meta = folder / failed.experiment_id / failed.run_id
    assert yaml.safe_load((meta / "meta.yaml").read_text())["status"] == 4
    assert (meta / "tags/backtrail.error").read_text() == "no luck"
    assert values_in(meta / "metrics") == {}


def test_a_tag_that_was_taken_away_is_gone_from_the_next_export(project, ids, tmp_path):
    store, run = project.store, project.store.run(ids["sma"])
    key = run.read_manifest()["run_key"]
    edit_tags(store, [key], add=["paper", "draft"])
    (found,) = export_mlflow(store, [run], tmp_path / "mlruns")
    tags = Path(found.path) / "tags"
    (tags / "note").write_text("mine")
    edit_tags(store, [key], remove=["draft"])
    export_mlflow(store, [run], tmp_path / "mlruns")
    given = {name for name in values_in(tags) if not name.startswith("mlflow.")}
    assert {name for name in given if "tag" in name} == {"backtrail.tag.paper"}
    assert values_in(tags)["note"] == "mine"


@pytest.mark.parametrize("step", ["the experiment", "the run", "its parameters", "its end"])
def test_an_export_that_was_killed_is_done_by_the_next_one(project, ids, tmp_path, step):
    store, run = project.store, project.store.run(ids["sma"])
    (whole,) = export_mlflow(store, [run], tmp_path / "whole")
    home = tmp_path / "mlruns" / whole.experiment_id
    if step == "the experiment":
        home.mkdir(parents=True)
        (home / ".meta.yaml.host.1.1.tmp~").write_text("half")
    else:
        shutil.copytree(tmp_path / "whole", tmp_path / "mlruns")
        (home / whole.run_id / "meta.yaml").unlink()
    if step in ("the run", "its parameters"):
        for name in ("artifacts", "metrics", "tags"):
            shutil.rmtree(home / whole.run_id / name)
    if step == "the run":
        shutil.rmtree(home / whole.run_id / "params")
    (found,) = export_mlflow(store, [run], tmp_path / "mlruns")
    assert yaml.safe_load((home / "meta.yaml").read_text())["name"] == "strategies/sma.py"
    for name in ("artifacts/results", "metrics", "params"):
        there, expected = (Path(one.path, name) for one in (found, whole))
        assert sorted(path.name for path in there.iterdir()) == sorted(
            path.name for path in expected.iterdir()
        )
    assert yaml.safe_load((Path(found.path) / "meta.yaml").read_text())["status"] == 3


def test_what_cannot_be_exported_is_refused(project, ids, tmp_path):
    store, run = project.store, project.store.run(ids["hold"])
    with pytest.raises(ArtifactManagerError, match="lies in the run store"):
        export_mlflow(store, [run], store.base_dir / "mlruns")
    other = tmp_path / "papers"
    (other / "drafts").mkdir(parents=True)
    with pytest.raises(ArtifactManagerError, match="no mlruns folder: drafts in it is no exper"):
        export_mlflow(store, [run], other)
    run.success.unlink()
    run.manifest.unlink()
    with pytest.raises(ArtifactManagerError, match="is planned; only a run that has ended"):
        export_mlflow(store, [run], tmp_path / "mlruns")
    assert not (tmp_path / "mlruns").exists()
