"""From a sealed run to its pages: derived, so a changed template rebuilds them and no run."""


rule render_report:
    input:
        seal=f"{BASE}/{{backtest_id}}/_SUCCESS",
    output:
        page=report(
            update(f"{BASE}/{{backtest_id}}/results/reports/basic_report.html"),
            caption="../report/basic_report.rst",
            category="Backtests",
            subcategory=lambda wildcards: run_labels(wildcards)["bundle"],
            labels=lambda wildcards: run_labels(wildcards),
        ),
        record=update(f"{BASE}/{{backtest_id}}/results/reports/reports.json"),
    log:
        "logs/render_report/{backtest_id}.log",
    benchmark:
        "logs/render_report/{backtest_id}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        base_dir=base_dir,
        bundles_dir=bundles_dir,
        code=report_fingerprint(),
    message:
        "Rendering the report of {wildcards.backtest_id}"
    script:
        "../../scripts/render_report.py"


rule render_index:
    input:
        runs=f"{BASE}/runs.parquet",
        reports=reported,
    output:
        page=report(
            update(f"{BASE}/index.html"),
            caption="../report/index.rst",
            category="Comparison",
            labels={"page": "all runs of the store"},
        ),
    log:
        "logs/render_index/index.log",
    benchmark:
        "logs/render_index/index.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        base_dir=base_dir,
        bundles_dir=bundles_dir,
        code=report_fingerprint(),
    message:
        "Rendering the comparison page"
    script:
        "../../scripts/render_index.py"
