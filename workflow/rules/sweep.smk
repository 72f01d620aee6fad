"""From a captured strategy to the parameters that a search selects: chunks of sets, then one job."""


rule evaluate_chunk:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
    output:
        rows=update(f"{BASE}/{{backtest_id}}/.search/{{chunk}}.parquet"),
    log:
        "logs/evaluate_chunk/{backtest_id}/{chunk}.log",
    benchmark:
        "logs/evaluate_chunk/{backtest_id}/{chunk}.tsv"
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
        "Evaluating parameter sets {wildcards.chunk} of {wildcards.backtest_id}"
    script:
        "../../scripts/evaluate_chunk.py"


# The seal removes the chunks; a run that has its seal is not asked for them again.
rule select_parameters:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        chunks=chunk_files,
    output:
        sets=update(f"{BASE}/{{backtest_id}}/results/optimization_results.parquet"),
        frontier=update(f"{BASE}/{{backtest_id}}/results/frontier.parquet"),
        curves=update(f"{BASE}/{{backtest_id}}/results/optimization_curves.parquet"),
        selection=update(f"{BASE}/{{backtest_id}}/results/selection.json"),
    log:
        "logs/select_parameters/{backtest_id}.log",
    benchmark:
        "logs/select_parameters/{backtest_id}.tsv"
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
        "Selecting parameters of {wildcards.backtest_id}"
    script:
        "../../scripts/select_parameters.py"
