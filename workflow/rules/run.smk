"""From a planned run to sealed results, one job per stage: the chains of a small batch."""

CSV_TWINS = BATCH.config["execution"]["artifacts"] != "lean"


rule capture_code:
    input:
        # A new plan is no reason to look at runs that an earlier one has made.
        plan=ancient(PLAN),
    output:
        spec=update(f"{BASE}/{{backtest_id}}/metadata/run_spec.json"),
        code=update(f"{BASE}/{{backtest_id}}/metadata/code_manifest.json"),
    log:
        "logs/capture_code/{backtest_id}.log",
    benchmark:
        "logs/capture_code/{backtest_id}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="5m",
    params:
        base_dir=base_dir,
    message:
        "Capturing the code of {wildcards.backtest_id}"
    script:
        "../../scripts/capture_code.py"


# CSV twins are no declared outputs: whether a reused run has them was decided by another batch.
rule run_backtest:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        selection=selected,
    output:
        equity=update(f"{BASE}/{{backtest_id}}/results/backtest_results.parquet"),
        orders=update(f"{BASE}/{{backtest_id}}/results/orders.parquet"),
        fills=update(f"{BASE}/{{backtest_id}}/results/fills.parquet"),
        positions=update(f"{BASE}/{{backtest_id}}/results/positions.parquet"),
        trades=update(f"{BASE}/{{backtest_id}}/results/trades.parquet"),
        corporate_actions=update(f"{BASE}/{{backtest_id}}/results/corporate_actions.parquet"),
        recorded=update(f"{BASE}/{{backtest_id}}/results/recorded.parquet"),
        risk_violations=update(f"{BASE}/{{backtest_id}}/results/risk_violations.parquet"),
        attribution=update(f"{BASE}/{{backtest_id}}/results/attribution.parquet"),
        summary=update(f"{BASE}/{{backtest_id}}/results/summary.parquet"),
        metrics=update(f"{BASE}/{{backtest_id}}/results/performance-metrics.json"),
        strategy_config=update(f"{BASE}/{{backtest_id}}/results/strategy-config.json"),
        market_data=update(f"{BASE}/{{backtest_id}}/results/market-data.json"),
    log:
        "logs/run_backtest/{backtest_id}.log",
    benchmark:
        "logs/run_backtest/{backtest_id}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    # Resources enter no identity and no rerun trigger, so limits of one run travel here.
    resources:
        mem_mb=RUN_MEGABYTES,
        runtime=RUN_MINUTES,
        run_seconds=int(BATCH.limits.seconds),
        run_memory_mb=BATCH.limits.memory_bytes // 10**6,
        csv_twins=int(CSV_TWINS),
    params:
        base_dir=base_dir,
        bundles_dir=bundles_dir,
    message:
        "Running backtest {wildcards.backtest_id}"
    script:
        "../../scripts/run_backtest.py"


rule seal_run:
    input:
        equity=rules.run_backtest.output.equity,
        verdict=validated,
    output:
        metadata=update(f"{BASE}/{{backtest_id}}/metadata/backtest_metadata.json"),
        manifest=update(f"{BASE}/{{backtest_id}}/run.json"),
        seal=update(f"{BASE}/{{backtest_id}}/_SUCCESS"),
    log:
        "logs/seal_run/{backtest_id}.log",
    benchmark:
        "logs/seal_run/{backtest_id}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="5m",
    params:
        base_dir=base_dir,
    message:
        "Sealing run {wildcards.backtest_id}"
    script:
        "../../scripts/seal_run.py"


rule restore_artifact:
    output:
        update(f"{BASE}/{{backtest_id}}/{{path}}"),
    log:
        "logs/restore_artifact/{backtest_id}/{path}.log",
    benchmark:
        "logs/restore_artifact/{backtest_id}/{path}.tsv"
    wildcard_constraints:
        path=targets.RESTORED_PATHS,
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=RUN_MEGABYTES,
        runtime=RUN_MINUTES,
        run_seconds=int(BATCH.limits.seconds),
        run_memory_mb=BATCH.limits.memory_bytes // 10**6,
        csv_twins=int(CSV_TWINS),
    params:
        base_dir=base_dir,
        bundles_dir=bundles_dir,
    message:
        "Restoring {wildcards.path} of sealed run {wildcards.backtest_id}"
    script:
        "../../scripts/restore_artifact.py"


rule restore_object:
    output:
        update(f"{BASE}/.objects/{{prefix}}/{{sha256}}"),
    log:
        "logs/restore_object/{prefix}/{sha256}.log",
    benchmark:
        "logs/restore_object/{prefix}/{sha256}.tsv"
    wildcard_constraints:
        prefix="[0-9a-f]{2}",
        sha256="[0-9a-f]{64}",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="5m",
    params:
        base_dir=base_dir,
    message:
        "Storing shared code file {wildcards.sha256} anew"
    script:
        "../../scripts/restore_object.py"
