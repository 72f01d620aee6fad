"""From the config and the datasets to the plan: every run with its key and directory."""


checkpoint plan_batch:
    input:
        receipts=[f"{BUNDLES}/{bundle}/receipt.json" for bundle in BATCH.ingested_bundles],
    output:
        plan=update(PLAN),
    log:
        f"logs/plan_batch/{BATCH.batch_key[:16]}.log",
    benchmark:
        f"logs/plan_batch/{BATCH.batch_key[:16]}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        failures=failed_attempts(f"logs/plan_batch/{BATCH.batch_key[:16]}.log"),
        config_files=CONFIG_FILES,
        overrides=OVERRIDES,
        batch_key=BATCH.batch_key,
        lock=lock_checksum(BATCH.root),
    message:
        f"Planning batch {BATCH.batch_key[:16]}"
    script:
        "../../scripts/plan_batch.py"
