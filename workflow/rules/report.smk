"""From a sealed run to its pages: derived, so a changed template rebuilds them and no run."""

# The basic report is always made; each further kind of the config is one more output.
FURTHER_REPORTS = {
    kind: report(
        update(f"{BASE}/{{backtest_id}}/results/reports/{REPORT_FILES[kind]}"),
        caption=f"../report/{kind}_report.rst",
        category="Backtests",
        subcategory=lambda wildcards: run_labels(wildcards)["bundle"],
        labels=lambda wildcards, kind=kind: {**run_labels(wildcards), "report": kind},
    )
    for kind in REPORTS.kinds
    if kind != "basic"
}


rule render_report:
    input:
        seal=f"{BASE}/{{backtest_id}}/_SUCCESS",
    output:
        **FURTHER_REPORTS,
        page=report(
            update(f"{BASE}/{{backtest_id}}/results/reports/basic_report.html"),
            caption="../report/basic_report.rst",
            category="Backtests",
            subcategory=lambda wildcards: run_labels(wildcards)["bundle"],
            labels=lambda wildcards: {**run_labels(wildcards), "report": "basic"},
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
        failures=lambda wildcards: failed_attempts(
            f"logs/render_report/{wildcards.backtest_id}.log"
        ),
        base_dir=base_dir,
        bundles_dir=bundles_dir,
        kinds=list(REPORTS.kinds),
        theme=REPORTS.theme,
        sections=list(REPORTS.sections),
        templates=str(REPORTS.templates or ""),
        code=page_fingerprint(REPORTS),
    message:
        "Rendering the report of {wildcards.backtest_id}"
    script:
        "../../scripts/render_report.py"


rule render_search_report:
    input:
        seal=f"{BASE}/{{backtest_id}}/_SUCCESS",
    output:
        page=report(
            update(f"{BASE}/{{backtest_id}}/results/reports/search_report.html"),
            caption="../report/search_report.rst",
            category="Backtests",
            subcategory=lambda wildcards: run_labels(wildcards)["bundle"],
            labels=lambda wildcards: {**run_labels(wildcards), "report": "search"},
        ),
    log:
        "logs/render_search_report/{backtest_id}.log",
    benchmark:
        "logs/render_search_report/{backtest_id}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        failures=lambda wildcards: failed_attempts(
            f"logs/render_search_report/{wildcards.backtest_id}.log"
        ),
        base_dir=base_dir,
        bundles_dir=bundles_dir,
        kinds=["search"],
        theme=REPORTS.theme,
        sections=list(REPORTS.sections),
        templates=str(REPORTS.templates or ""),
        code=page_fingerprint(REPORTS),
    message:
        "Rendering the search page of {wildcards.backtest_id}"
    script:
        "../../scripts/render_report.py"


# Without a benchmark: Snakemake counts that file as an output, and the page that `backtrail tag`
# or `backtrail replay` has just rendered would seem as old as the last job.
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
        searches=update(expand(f"{BASE}/{{name}}", name=STORE_REPORTS)),
    log:
        "logs/render_index/index.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        failures=failed_attempts("logs/render_index/index.log"),
        base_dir=base_dir,
        bundles_dir=bundles_dir,
        theme=REPORTS.theme,
        templates=str(REPORTS.templates or ""),
        code=page_fingerprint(REPORTS),
    message:
        "Rendering the comparison page"
    script:
        "../../scripts/render_index.py"
