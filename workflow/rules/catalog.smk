"""From sealed runs to the catalog: its only writer while a batch runs."""


rule link_catalog:
    input:
        runs=executed,
    output:
        receipt=update(f"{PLANNED}/catalog.json"),
        runs=update(f"{BASE}/runs.parquet"),
    log:
        f"logs/link_catalog/{BATCH.batch_key[:16]}.log",
    benchmark:
        f"logs/link_catalog/{BATCH.batch_key[:16]}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="30m",
    params:
        failures=failed_attempts(f"logs/link_catalog/{BATCH.batch_key[:16]}.log"),
        catalog_url=BATCH.places.catalog_url,
        base_dir=base_dir,
        bundles_dir=bundles_dir,
        warn_above=BATCH.places.warn_above,
    message:
        "Linking the batch into the catalog"
    script:
        "../../scripts/link_catalog.py"
