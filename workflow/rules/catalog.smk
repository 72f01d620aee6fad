"""From sealed runs to the catalog: its only writer while a batch runs."""


# Apart from `link_catalog`, because tags are no part of the plan and may change without it. What
# `link_catalog` makes is shared by all batches of a store, each with tags of its own.
rule tag_runs:
    input:
        # A new plan of the same runs gives them no other tags.
        plan=ancient(PLAN),
    output:
        receipt=update(f"{PLANNED}/tags.json"),
    log:
        f"logs/tag_runs/{BATCH.batch_key[:16]}.log",
    benchmark:
        f"logs/tag_runs/{BATCH.batch_key[:16]}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime="5m",
    params:
        base_dir=base_dir,
        source=BATCH.source,
        tags=canonical_json(BATCH.tags),
    message:
        "Tagging the runs of the batch"
    script:
        "../../scripts/tag_runs.py"


rule link_catalog:
    input:
        runs=executed,
        tags=tagged,
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
