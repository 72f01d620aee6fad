"""Bundles made of others, as a call of snakemake sees them."""

import json
import shutil

import polars as pl
import pytest

from tests.workflow.project import Project, nothing_to_do


@pytest.mark.slow
def test_a_derived_bundle_follows_its_source(project: Project) -> None:
    config = project.config()
    config["bundles"]["weeks"] = {
        "adapter": "bundle",
        "source": "prices",
        "calendar": "24/5",
        "timeframe": "1w",
    }
    hold = {**config["batch"]["sma"], "strategy": "strategies/hold.py", "bundle": "weeks"}
    del hold["params"]
    config["batch"] = {"weekly": {**hold, "symbols": ["BBB"], "end": "2020-12-18"}}
    config["defaults"] = {"benchmark": None}
    project.configure(config)
    before = set(project.run_ids())
    project.snakemake()
    (first,) = set(project.run_ids()) - before
    receipt = json.loads((project.root / "bundles/weeks/receipt.json").read_text())
    heads = {
        item["bundle"]: item["dataset_id"]
        for item in project.backtrail_json("data", "list")
        if item["is_head"]
    }
    assert (receipt["derived_from"], receipt["dataset_id"]) == (heads["prices"], heads["weeks"])
    assert nothing_to_do(project.snakemake())
    old = (project.root / "prices/BBB.csv").read_text().splitlines()[1]
    project.replace("prices/BBB.csv", old, ",".join([*old.split(",")[:5], "7"]))
    project.snakemake()
    (second,) = set(project.run_ids()) - before - {first}
    assert second != first
    changed = json.loads((project.root / "bundles/weeks/receipt.json").read_text())
    assert changed["derived_from"] != receipt["derived_from"]
    assert nothing_to_do(project.snakemake())


@pytest.mark.slow
def test_a_benchmark_of_another_source_is_joined_and_followed(project: Project) -> None:
    config = project.config()
    shutil.copytree(project.root / "prices", project.root / "index")
    (project.root / "index/AAA.csv").rename(project.root / "index/IDX.csv")
    (project.root / "index/BBB.csv").unlink()
    config["bundles"]["index"] = {**config["bundles"]["prices"], "path": "index"}
    config["bundles"]["both"] = {
        "adapter": "bundle",
        "source": ["prices", "index"],
        "calendar": "24/5",
        "timeframe": "1d",
    }
    sma = {**config["batch"]["sma"], "bundle": "both", "symbols": ["BBB"], "benchmark": "IDX"}
    config["batch"] = {"sma": sma}
    project.configure(config)
    before = set(project.run_ids())
    project.snakemake()
    (first,) = set(project.run_ids()) - before
    run = project.root / "backtests" / first
    compared = pl.read_parquet(run / "results/backtest_results.parquet")["benchmark_returns"]
    closes = pl.read_csv(project.root / "index/IDX.csv")["close"]
    assert compared[-1] == pytest.approx(
        closes[compared.len() - 1] / closes[compared.len() - 2] - 1
    )
    assert nothing_to_do(project.snakemake())
    old = (project.root / "index/IDX.csv").read_text().splitlines()[1]
    project.replace("index/IDX.csv", old, ",".join([*old.split(",")[:5], "7"]))
    project.snakemake()
    assert len(set(project.run_ids()) - before) == 2
    assert nothing_to_do(project.snakemake())
