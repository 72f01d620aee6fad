"""How much of what a search found is luck: the steps between its backtest and its seal."""


rule walk_forward:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        selection=rules.select_parameters.output.selection,
        equity=rules.run_backtest.output.equity,
    output:
        config=update(
            f"{BASE}/{{backtest_id}}/results/validation/walk-forward/walk-forward-config.json"
        ),
        periods=update(
            f"{BASE}/{{backtest_id}}/results/validation/walk-forward/period-results.json"
        ),
        stability=update(
            f"{BASE}/{{backtest_id}}/results/validation/walk-forward/stability-metrics.json"
        ),
        efficiency=update(
            f"{BASE}/{{backtest_id}}/results/validation/walk-forward/efficiency-metrics.json"
        ),
        walked=update(f"{BASE}/{{backtest_id}}/results/validation/walk-forward/equity.parquet"),
    log:
        "logs/walk_forward/{backtest_id}.log",
    benchmark:
        "logs/walk_forward/{backtest_id}.tsv"
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
        "Walking forward through the history of {wildcards.backtest_id}"
    script:
        "../../scripts/walk_forward.py"


rule monte_carlo:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        selection=rules.select_parameters.output.selection,
        equity=rules.run_backtest.output.equity,
    output:
        config=update(
            f"{BASE}/{{backtest_id}}/results/validation/monte-carlo/simulation-config.json"
        ),
        simulations=update(
            f"{BASE}/{{backtest_id}}/results/validation/monte-carlo/simulation-results.json"
        ),
        intervals=update(
            f"{BASE}/{{backtest_id}}/results/validation/monte-carlo/confidence-intervals.json"
        ),
        paths=update(f"{BASE}/{{backtest_id}}/results/validation/monte-carlo/paths.parquet"),
    log:
        "logs/monte_carlo/{backtest_id}.log",
    benchmark:
        "logs/monte_carlo/{backtest_id}.tsv"
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
        "Simulating other histories of {wildcards.backtest_id}"
    script:
        "../../scripts/monte_carlo.py"


rule measure_overfitting:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        selection=rules.select_parameters.output.selection,
        equity=rules.run_backtest.output.equity,
    output:
        overfitting=update(
            f"{BASE}/{{backtest_id}}/results/validation/overfitting/overfitting.json"
        ),
    log:
        "logs/measure_overfitting/{backtest_id}.log",
    benchmark:
        "logs/measure_overfitting/{backtest_id}.tsv"
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
        "Measuring the luck in the search of {wildcards.backtest_id}"
    script:
        "../../scripts/measure_overfitting.py"


rule check_bias:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        selection=rules.select_parameters.output.selection,
        equity=rules.run_backtest.output.equity,
    output:
        bias=update(f"{BASE}/{{backtest_id}}/results/validation/controls/bias.json"),
    log:
        "logs/check_bias/{backtest_id}.log",
    benchmark:
        "logs/check_bias/{backtest_id}.tsv"
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
        "Checking the strategy of {wildcards.backtest_id}"
    script:
        "../../scripts/check_bias.py"


rule measure_costs:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        selection=rules.select_parameters.output.selection,
        equity=rules.run_backtest.output.equity,
    output:
        sensitivity=update(f"{BASE}/{{backtest_id}}/results/validation/costs/cost-sensitivity.json"),
        grid=update(f"{BASE}/{{backtest_id}}/results/validation/costs/grid.parquet"),
    log:
        "logs/measure_costs/{backtest_id}.log",
    benchmark:
        "logs/measure_costs/{backtest_id}.tsv"
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
        "Running {wildcards.backtest_id} again at other costs"
    script:
        "../../scripts/measure_costs.py"


rule judge_run:
    input:
        spec=rules.capture_code.output.spec,
        code=rules.capture_code.output.code,
        dataset=ancient(dataset_manifest),
        selection=rules.select_parameters.output.selection,
        equity=rules.run_backtest.output.equity,
        measured=judged,
    output:
        verdict=update(f"{BASE}/{{backtest_id}}/results/validation/verdict.json"),
    log:
        "logs/judge_run/{backtest_id}.log",
    benchmark:
        "logs/judge_run/{backtest_id}.tsv"
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
        "Judging the search of {wildcards.backtest_id}"
    script:
        "../../scripts/judge_run.py"
