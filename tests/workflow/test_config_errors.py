"""A wrong config is refused before any job, with every mistake at once and nothing written."""

from tests.workflow.project import batch_config


def test_every_mistake_of_a_config_is_reported_at_once_and_nothing_is_made(fresh):
    config = batch_config()
    config["sede"] = 3
    config["backtest_output"] = {"base_dir": "../outside"}
    config["batch"]["sma"]["start"] = "2020-13-45"
    config["batch"]["hold"]["symbols"] = ["BBB", "ZZZ"]
    config["batch"]["wrong-order"] = {
        **config["batch"]["hold"],
        "strategy": "strategies/sma.py",
        "symbols": ["AAA"],
        "params": {"fast": 30, "slow": 20},
    }
    config["batch"]["unknown"] = {
        **config["batch"]["hold"],
        "symbols": "all",
        "strategy": "strategies/absent.py",
    }
    config["batch"]["mistyped"] = {**config["batch"]["wrong-order"], "params": {"fsat": 3}}
    fresh.configure(config)
    output = fresh.snakemake(status=1)
    where = "config/config.yaml: "
    for line in (
        f"{where}sede: the key 'sede' is unknown; did you mean 'seed'?",
        f"{where}backtest_output.base_dir: \"../outside\" is not a usable path ('..' could lead "
        "outside the project); write a path without '..', relative or absolute",
        f'{where}batch.sma.start: "2020-13-45" is not a date (month must be in 1..12); write a '
        "date that exists as YYYY-MM-DD",
        f"{where}batch.hold.symbols: bundle 'prices' has no symbol 'ZZZ'; its symbols are AAA, BBB",
        f"{where}batch.wrong-order.params: fast=30, slow=20: strategy Sma refuses its parameters: "
        "fast=30 must be below slow=20",
        f"{where}batch.mistyped.params: strategy Sma: unknown parameter 'fsat'",
        f"{where}batch.unknown.strategy: strategy file {fresh.root}/strategies/absent.py does not "
        "exist; name a file inside the project",
    ):
        assert line in output
    assert "8 mistakes:" in output or "7 mistakes:" in output
    assert "Traceback" not in output
    made = {path.name for path in fresh.root.iterdir()}
    assert made <= {
        "Snakefile",
        "workflow",
        "scripts",
        "profiles",
        "environment.yml",
        "strategies",
        "prices",
        "config",
        ".snakemake",
    }


def test_a_window_outside_the_data_is_refused_before_a_run_directory_is_made(fresh):
    config = batch_config()
    config["batch"]["hold"]["start"] = "2019-01-02"
    fresh.configure(config)
    output = fresh.snakemake(status=1)
    assert (
        "config/config.yaml: batch.hold.start: 2019-01-02 is before the first bar of 'prices', "
        "2020-01-02; begin at 2020-01-02 or later" in output
    )
    assert not (fresh.root / "backtests").exists()


def test_a_key_that_stands_twice_is_refused_with_its_line(fresh):
    text = (fresh.root / "config/config.yaml").read_text()
    fresh.write("config/config.yaml", text + "\nbundles: {}\n")
    output = fresh.snakemake(status=1)
    line = text.splitlines().index("bundles:") + 1
    assert f"the key 'bundles' stands in line {line} and again" in output


def test_bad_prices_stop_the_batch_with_their_file_and_line(fresh):
    path = fresh.root / "prices/AAA.csv"
    lines = path.read_text().splitlines()
    cells = lines[10].split(",")
    cells[2] = "0.01"
    lines[10] = ",".join(cells)
    path.write_text("\n".join(lines) + "\n")
    output = fresh.snakemake(status=1)
    assert "prices/AAA.csv" in output
    assert "impossible_ohlc" in output
    assert not (fresh.root / "backtests").exists()
    assert not list((fresh.root / "bundles").rglob("bars.parquet"))
