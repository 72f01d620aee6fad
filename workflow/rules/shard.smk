"""Many runs in one job: the shards of a large batch, through the same stages as the chains."""

CSV_IN_SHARDS = BATCH.config["execution"]["artifacts"] == "standard"


rule execute_shard:
    input:
        plan=ancient(PLAN),
        datasets=ancient(dataset_manifests),
    output:
        receipt=update(f"{PLANNED}/runs/{{shard}}.json"),
    log:
        "logs/execute_shard/{shard}.log",
    benchmark:
        "logs/execute_shard/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=RUN_MEGABYTES,
        runtime=shard_minutes,
        run_seconds=int(BATCH.limits.seconds),
        run_memory_mb=BATCH.limits.memory_bytes // 10**6,
        csv_twins=int(CSV_IN_SHARDS),
    params:
        base_dir=base_dir,
        bundles_dir=bundles_dir,
    message:
        "Running shard {wildcards.shard}"
    script:
        "../../scripts/execute_shard.py"


rule report_shard:
    input:
        plan=ancient(PLAN),
        receipts=receipts_of_reported,
    output:
        receipt=update(f"{PLANNED}/reports/{{shard}}.json"),
    log:
        "logs/report_shard/{shard}.log",
    benchmark:
        "logs/report_shard/{shard}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=report_shard_minutes,
    params:
        base_dir=base_dir,
        bundles_dir=bundles_dir,
        theme=REPORTS.theme,
        templates=str(REPORTS.templates or ""),
        code=page_fingerprint(REPORTS),
    message:
        "Rendering the reports of shard {wildcards.shard}"
    script:
        "../../scripts/report_shard.py"
