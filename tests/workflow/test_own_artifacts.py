"""What a strategy reads from outside and writes of its own is restored like everything else."""

import pytest

from tests.workflow.project import Project, batch_config, nothing_to_do

TEXT = """
def handle_data(context, data):
    pass


def analyze(context, perf):
    paths = context.artifact_manager
    paths.get_result_path("own.csv").write_text(open({outside!r}).read())
    paths.get_result_path("mine (1).txt", subfolder="ä b/deep").write_text("1")
    paths.get_result_path("orders.parquet", subfolder="mine").write_text("2")
    paths.get_output_path("f.txt", "features").write_text("3")
    (context.output_dir / "loose.txt").write_text("4")
    open("beside.txt", "w").write("5")
"""
OWN = {
    "results/own.csv": "a,b\n1,2\n",
    "results/ä b/deep/mine (1).txt": "1",
    "results/mine/orders.parquet": "2",
    "features/f.txt": "3",
    "loose.txt": "4",
    "results/beside.txt": "5",
}


@pytest.mark.slow
def test_own_artifacts_and_inputs_are_sealed_and_restored_by_the_workflow(
    fresh: Project,
) -> None:
    outside = fresh.root.parent / "outside.csv"
    outside.write_text("a,b\n1,2\n")
    fresh.write("strategies/sma.py", TEXT.replace("{outside!r}", repr(str(outside))))
    entry = {**batch_config()["batch"]["sma"], "params": {}}
    fresh.configure(batch_config(batch={"own": entry}))
    fresh.snakemake()
    (manifest,) = fresh.runs().values()
    run = fresh.named("own")
    assert manifest["grade"] == "C"
    (opened,) = manifest["usage"]["opened"]
    assert opened["origin"] == str(outside)
    for name, content in OWN.items():
        assert (run / name).read_text() == content
        assert name in manifest["inventory"]
    assert "is kept as inputs/opened/" in (run / "results/reports/basic_report.html").read_text()
    before = fresh.checksums()
    assert nothing_to_do(fresh.snakemake())

    for name in (*OWN, opened["stored"]):
        (run / name).unlink()
    output = fresh.snakemake()
    assert "restore_artifact" in output
    assert fresh.checksums() == before
    assert nothing_to_do(fresh.snakemake())
