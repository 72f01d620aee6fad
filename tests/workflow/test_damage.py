"""A store that was damaged: what heals by itself, what is named, and what the remedies do."""

import json
import shlex
import shutil

import pytest

from tests.workflow.project import nothing_to_do

WINDOWS = "strategies/lib/windows.py"
NOISE = ("InputFunctionException", "Traceback", "Wildcards:", ".smk", '.py"')


def alter(path, text="# altered\n"):
    """Change a file in place: every link to it changes, too."""
    path.chmod(0o644)
    path.write_text(text)


def users_of_windows(project):
    return sorted({project.named(f"sma-grid/fast={fast}").name for fast in (3, 5, 8)})


def shared(project, run, name=WINDOWS):
    spec = json.loads((run / "metadata/run_spec.json").read_bytes())
    sha256 = next(file["sha256"] for file in spec["code"]["files"] if file["path"] == name)
    return project.store / ".objects" / sha256[:2] / sha256


@pytest.mark.parametrize("replanned", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_all_altered_runs_are_named_at_once_without_a_traceback(project, replanned):
    hold, sma = project.named("hold"), project.named("sma")
    for run, name in ((hold, "results/fills.parquet"), (sma, "logs/stdout.txt")):
        (run / name).write_text("altered")
    if replanned:
        shutil.rmtree(project.store / ".plans")
    before = project.checksums()
    calls = [()] if replanned else [(), ("-n",)]
    for arguments in calls:
        output = project.snakemake(*arguments, status=1)
        said = output[output.index("SealError: ") :].splitlines()
        assert said[0].endswith(
            "2 sealed runs were altered; these files differ from the manifests:"
        )
        assert sorted(said[1:3]) == sorted(
            [
                f"  - {project.root}/backtests/{hold.name}: results/fills.parquet",
                f"  - {project.root}/backtests/{sma.name}: logs/stdout.txt",
            ]
        )
        assert said[3].startswith("`backtrail verify` lists every altered file. Delete what was")
        assert [word for word in NOISE if word in output] == []
        if not replanned:
            assert len(said) == 4
    assert ("4 runs: 0 new, 4 reused, 0 failed, 2 damaged" in output) == replanned
    assert project.checksums() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "runs_per_job"), [(True, "auto"), pytest.param(False, 2, marks=pytest.mark.slow)]
)
def test_planned_runs_get_their_code_though_the_shared_files_were_lost_since(
    fresh, lost, runs_per_job
):
    config = fresh.config()
    fresh.configure({**config, "execution": {"runs_per_job": runs_per_job}})
    fresh.snakemake("--until", "plan_batch")
    objects = [path for path in fresh.store.glob(".objects/*/*")]
    assert len(objects) == 6
    for path in objects:
        path.unlink() if lost else alter(path)
    assert "4 runs: 4 new, 0 reused, 0 failed" in fresh.snakemake()
    assert fresh.backtrail("verify") == "4 intact\n"
    assert nothing_to_do(fresh.snakemake())


@pytest.mark.slow
def test_a_captured_file_altered_in_place_is_restored_once_it_is_deleted(project):
    before = project.checksums()
    run, users = project.named("sma"), users_of_windows(project)
    alter(run / "code" / WINDOWS)
    assert shared(project, run).read_text() == "# altered\n"
    output = project.snakemake(status=1)
    assert "3 sealed runs were altered" in output
    found = project.backtrail_json("verify", run.name, status=1)
    assert [item["altered"] for item in found["runs"]] == [[f"code/{WINDOWS}"]]
    (item,) = found["objects"]
    assert (item["state"], item["runs"], item["altered"]) == ("damaged", users, users)

    for name in users[:2]:
        (project.store / name / "code" / WINDOWS).unlink()
    output = project.snakemake(status=1)
    assert f"sealed run {users[2]} was altered: code/{WINDOWS}" in output
    (project.store / users[2] / "code" / WINDOWS).unlink()
    assert "4 runs: 0 new, 4 reused, 0 failed, 3 restored" in project.snakemake()
    assert project.checksums() == before
    assert project.backtrail("verify") == "4 intact\n"
    assert nothing_to_do(project.snakemake())


@pytest.mark.slow
def test_a_new_run_mends_a_damaged_shared_file_and_altered_runs_stay_altered(project):
    run, users = project.named("sma"), users_of_windows(project)
    alter(run / "code" / WINDOWS)
    config = project.config()
    config["batch"] = {"later": {**config["batch"]["sma"], "end": "2020-11-06"}}
    project.configure(config, "config/batches/later.yaml")
    output = project.snakemake("--configfile", "config/batches/later.yaml")
    assert "1 run: 1 new, 0 reused, 0 failed" in output
    text = (project.root / WINDOWS).read_text()
    later = project.named("later")
    assert (later / "code" / WINDOWS).read_text() == shared(project, run).read_text() == text
    found = project.backtrail_json("verify", status=1)
    assert (
        sorted(item["backtest_id"] for item in found["runs"] if item["state"] == "damaged") == users
    )
    (item,) = found["objects"]
    assert (item["state"], item["altered"]) == ("intact", users)
    assert item["runs"] == [*users, later.name]


@pytest.mark.slow
def test_shared_files_that_were_deleted_are_stored_anew_by_the_next_call(project):
    before = project.checksums()
    shutil.rmtree(project.store / ".objects")
    found = project.backtrail_json("verify", status=1)
    assert {run["state"] for run in found["runs"]} == {"intact"}
    assert {item["state"] for item in found["objects"]} == {"missing"}
    by_path = {item["paths"][0]: item["runs"] for item in found["objects"]}
    assert by_path[WINDOWS] == users_of_windows(project)
    assert by_path["strategies/hold.py"] == [project.named("hold").name]
    project.snakemake()
    assert project.backtrail("verify") == "4 intact\n"
    assert project.checksums() == before
    assert nothing_to_do(project.snakemake())


@pytest.mark.slow
def test_the_remedy_for_a_damaged_shared_file_works_as_it_is_printed(project):
    path = shared(project, project.named("sma"))
    path.unlink()  # its links in the runs keep their content
    path.write_text("# altered\n")
    assert nothing_to_do(project.snakemake())
    (item,) = project.backtrail_json("verify", status=1)["objects"]
    assert (item["state"], item["altered"]) == ("damaged", [])
    path.unlink()
    project.snakemake(*shlex.split(item["remedy"].partition("snakemake ")[2]))
    assert project.backtrail("verify") == "4 intact\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [
        (
            "results/fills.parquet",
            "results/summary_statistics.csv",
            "code/strategies/sma.py",
            "logs/stdout.txt",
            "metadata/run_spec.json",
        ),
        pytest.param(
            ("metadata/backtest_metadata.json", "metadata/code_manifest.json"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_remedy_for_a_run_of_no_present_batch_works_as_it_is_printed(project, names):
    run, before = project.named("sma"), project.checksums()
    project.replace("strategies/sma.py", "Long while", "Be long while")
    config = project.config()
    config["execution"] = {"artifacts": "lean"}
    config["batch"] = {"hold": config["batch"]["hold"]}
    project.configure(config)
    for name in names:
        (run / name).unlink()
    project.snakemake()
    found = project.backtrail_json("verify", status=1)
    (damaged,) = [item for item in found["runs"] if item["state"] == "damaged"]
    assert damaged["names"] == ["sma", "sma-grid/fast=5"]
    assert sorted(damaged["missing"]) == sorted(names), "the present batch has another sma"
    assert "sma, sma-grid/fast=5 on bundle prices" in damaged["remedy"]
    command = damaged["remedy"].split("`")[1]
    assert command.startswith(f"snakemake --cores 1 backtests/{run.name}/")
    project.snakemake(*shlex.split(command)[1:])
    assert {k: v for k, v in project.checksums().items() if "index.html" not in k} == before
    assert project.backtrail("verify") == "4 intact\n"


@pytest.mark.slow
def test_a_batch_that_makes_no_csv_restores_that_of_a_reused_run(project):
    before = project.checksums()
    config = project.config()
    config["execution"] = {"artifacts": "lean"}
    project.configure(config)
    (project.named("sma") / "results/backtest_results.csv").unlink()
    assert "4 runs: 0 new, 4 reused, 0 failed, 1 restored" in project.snakemake()
    assert project.checksums() == before
