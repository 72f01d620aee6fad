import shutil

import polars as pl
import pytest

from backtrail.artifacts.store import RunStore
from backtrail.batch import stages
from backtrail.batch.history.showing import run_text
from tests.unit.batch.support import Project, batch_config, entry, functions


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A store with a sealed run, a failed one and one that is only planned."""
    bad = functions(initialize="print('here'); raise ValueError('no luck\\nat all')")
    batch = {
        "sma": entry(symbols="all", params={"fast": 2}),
        "twin": {"extends": "sma"},
        "bad": entry(
            strategy="strategies/bad.py", commission={"model": "per_dollar", "cost": 0.001}
        ),
    }
    project = Project.make(tmp_path_factory.mktemp("showing") / "project")
    project.write("strategies/bad.py", bad)
    project.configure(batch_config(batch=batch))
    plan, _ = project.run()
    project.configure(batch_config(batch={**batch, "later": entry(start="2020-01-03")}))
    planned = project.plan().runs[-1]
    ids = {run.names[0]: run.backtest_id for run in (*plan.runs, planned)}
    return {name: project.store.run(backtest_id) for name, backtest_id in ids.items()}


def sections(text):
    """Return the lines of each section without their indent."""
    found = {}
    for block in text.split("\n\n"):
        title, *lines = block.splitlines()
        found[title] = [line[2:] for line in lines]
    return found


def facts(lines):
    return {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in lines}


def test_a_run_is_shown_in_sections(shown):
    run = shown["sma"]
    found = sections(run_text(run))
    assert list(found) == ["Run", "What decided it", "Figures", "Files"]
    about, decided = facts(found["Run"]), facts(found["What decided it"])
    assert about["names"] == "sma, twin"
    assert (about["status"], about["grade"]) == ("completed", "B")
    assert "warnings" not in about
    timings = run.read_manifest()["timings"]
    took = [
        f"{name} {timings[f'{name}_seconds']:.2f}"
        for name in ("capture", "prepare", "execute", "write", "seal")
    ]
    total, _, phases = about["took"].partition(": ")
    assert total == f"{timings['total_seconds']:.2f} s"
    assert phases.split(", ") == took
    assert about["folder"] == str(run.path)
    assert "report" not in about, "it was not rendered"
    assert decided["parameters"] == "fast=2 slow=8"
    assert decided["symbols"] == "2: AAA, BBB"
    assert decided["window"] == "2020-01-02 to 2020-02-26"
    assert decided["capital"] == "100000, decimal ledger"
    assert decided["commission"] == decided["slippage"] == decided["benchmark"] == "none"


def test_figures_have_the_order_units_and_assumptions_of_the_summary(shown):
    run = shown["sma"]
    summary = pl.read_parquet(run.results / "summary.parquet")
    lines = sections(run_text(run))["Figures"]
    assert [line.split()[0] for line in lines] == summary["metric"].to_list()
    assert lines[0].startswith("total_return ")
    value = summary["value"][0]
    digits = 1 if abs(value) >= 0.1 else 2
    assert lines[0].endswith(f" {value * 100:.{digits}f}%  compounded over all bars")
    (beta,) = [line.split() for line in lines if line.startswith("beta ")]
    assert beta == ["beta", "–", "undefined:", "no", "benchmark"]
    (trades,) = [line.split() for line in lines if line.startswith("total_trades ")]
    assert trades[1].isdecimal()


def test_files_are_counted_or_listed(shown):
    run = shown["sma"]
    inventory = run.read_manifest()["inventory"]
    counts = sections(run_text(run))["Files"]
    size = sum(entry["size"] for entry in inventory.values())
    total = f"{len(inventory)} files, {size:,} bytes, sealed"
    assert counts[-1] == f"{total}; --files lists them"
    assert [line.split()[:3] for line in counts[:2]] == [
        ["code", "3", "files,"],
        ["logs", "2", "files,"],
    ]
    listed = sections(run_text(run, with_files=True))["Files"]
    assert listed[-1] == total
    assert [line.split() for line in listed[:-1]] == [
        [f"{entry['size']:,}", entry["sha256"][:16], name] for name, entry in inventory.items()
    ]


def test_a_failed_run_tells_its_error_and_what_is_there(shown):
    run = shown["bad"]
    text = run_text(run, with_files=True)
    found = sections(text)
    about = facts(found["Run"])
    assert (about["status"], about["grade"]) == ("failed", "D")
    assert about["gaps"] == "the run failed; it has no results"
    assert about["report"] == str(run.errors / "failed_run.html")
    assert facts(found["What decided it"])["commission"] == "per_dollar cost=0.001"
    assert "Figures" not in found
    assert found["Files"][-1].endswith(" bytes, not sealed")
    assert any(line.endswith("  logs/stdout.txt") for line in found["Files"])
    assert text.index("Error\n  ValueError: no luck\n  at all\n") > text.index("Files")
    assert 'File "strategies/bad.py", line ' in text


def test_a_planned_run_is_shown_by_its_spec(shown):
    found = sections(run_text(shown["later"]))
    assert list(found) == ["Run", "What decided it", "Files"]
    assert facts(found["Run"])["status"] == "planned"
    assert facts(found["What decided it"])["window"] == "2020-01-03 to 2020-02-26"


def test_a_run_whose_code_was_captured_is_shown_before_it_executes(shown, tmp_path):
    shutil.copytree(shown["later"].path.parent, tmp_path / "backtests", symlinks=True)
    store = RunStore(tmp_path / "backtests")
    stages.capture_code(store, shown["later"].backtest_id)
    about = facts(sections(run_text(store.run(shown["later"].backtest_id)))["Run"])
    assert about["status"] == "captured"
    assert "executed" not in about["began"]


def test_damage_stands_beside_the_status(shown):
    run = shown["sma"]
    paths = [run.results / "trades.parquet", run.results / "summary.parquet", run.manifest]
    before = {path: path.read_bytes() for path in paths}
    hint = f"; see `backtrail verify {run.backtest_id}`"
    try:
        paths[0].unlink()
        assert (
            facts(sections(run_text(run))["Run"])["status"]
            == f"completed, but 1 file missing{hint}"
        )
        paths[1].write_bytes(b"")
        found = sections(run_text(run))
        status = facts(found["Run"])["status"]
        assert status == f"completed, but 1 file missing and 1 file altered{hint}"
        assert found["Figures"][0].split()[0] == "alpha", "by name, when the summary is gone"
        assert found["Figures"][-1] == (
            "units and assumptions stand in results/summary.parquet, which cannot be read"
        )
        paths[2].write_bytes(before[paths[2]] + b" ")
        status = facts(sections(run_text(run))["Run"])["status"]
        assert status.startswith("completed, but run.json was altered after the seal")
        paths[2].unlink()
        status = facts(sections(run_text(run))["Run"])["status"]
        assert status == "sealed, but run.json is missing"
    finally:
        for path, data in before.items():
            path.write_bytes(data)
