"""From a source of prices to an immutable dataset in bundle storage."""


rule ingest_bundle:
    input:
        source=lambda wildcards: BATCH.receipts(wildcards.bundle),
    output:
        receipt=update(f"{BUNDLES}/{{bundle}}/receipt.json"),
    log:
        "logs/ingest_bundle/{bundle}.log",
    benchmark:
        "logs/ingest_bundle/{bundle}.tsv"
    conda:
        "../../environment.yml"
    threads: ingest_threads
    resources:
        mem_mb=4000,
        runtime="30m",
    params:
        failures=lambda wildcards: failed_attempts(f"logs/ingest_bundle/{wildcards.bundle}.log"),
        definition=lambda wildcards: canonical_json(BATCH.definition(wildcards.bundle)),
        source=lambda wildcards: source_checksum(BATCH.bundle(wildcards.bundle), BATCH.root),
        bundles_dir=bundles_dir,
        report=lambda wildcards: f"logs/ingest_bundle/{wildcards.bundle}.bad-rows.csv",
        code=package_fingerprint(*INGEST_CODE),
    message:
        "Ingesting bundle {wildcards.bundle}"
    script:
        "../../scripts/ingest_bundle.py"
