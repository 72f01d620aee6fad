"""Ingest of one large CSV file with all checks, beside a plain Polars scan and beside pandas."""

import argparse
import hashlib
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from common import run_command, save, show, work_folder

SYMBOLS = 20
BUDGET = 2.5
MINUTES = 390
FORM = "%Y-%m-%dT%H:%M:%SZ"

# Each contender is a process of its own, so that its peak memory is its own.
PLAIN = """
import sys, polars as pl
numbers = ["open", "high", "low", "close", "volume"]
scan = pl.scan_csv(sys.argv[1], schema_overrides={name: pl.Float64 for name in numbers})
moment = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
scan.with_columns(moment).sink_parquet(sys.argv[2])
"""
PANDAS = """
import sys, pandas as pd
frame = pd.read_csv(sys.argv[1], parse_dates=["timestamp"], date_format="%Y-%m-%dT%H:%M:%SZ")
frame.to_parquet(sys.argv[2])
"""
OURS = """
import sys
from pathlib import Path
from backtrail.data.bundles import BundleConfig
from backtrail.data.ingest import ingest_bundle
source, bundles = Path(sys.argv[1]), Path(sys.argv[2])
bundle = BundleConfig("bench", "csv", "24/7", "1m", source.name)
manifest = ingest_bundle(bundle, root=source.parent, bundles_dir=bundles, threads=2)
print(manifest.dataset_id, manifest.rows)
"""
ONE_SYMBOL = """
import sys, time
from pathlib import Path
from backtrail.data.datasets import Dataset
dataset = Dataset.open(Path(sys.argv[1]))
dataset.bars(["SYM03"])
taken = []
for _ in range(5):
    started = time.perf_counter()
    rows = dataset.bars(["SYM07"]).height
    taken.append(time.perf_counter() - started)
print(min(taken), rows)
"""
EMPTY = "import polars"


def write_source(path: Path, rows: int) -> None:
    """Write so many one-minute bars of twenty symbols, the same on every machine."""
    per_symbol = rows // SYMBOLS
    at = np.arange(per_symbol)
    minutes = at // MINUTES * 1440 + at % MINUTES
    start = np.datetime64("2015-01-02T14:30", "us").astype(np.int64)
    stamps = start + minutes * 60_000_000
    for number in range(SYMBOLS):
        rng = np.random.Generator(np.random.PCG64(number))
        close = np.maximum(np.round(100 + np.cumsum(rng.integers(-5, 6, per_symbol)) / 100, 2), 1)
        opened = np.concatenate([[100.0], close[:-1]])
        up, down = rng.integers(0, 20, per_symbol) / 100, rng.integers(0, 20, per_symbol) / 100
        frame = pl.DataFrame(
            {
                "symbol": f"SYM{number:02d}",
                "timestamp": pl.Series(stamps).cast(pl.Datetime("us")),
                "open": opened,
                "high": np.round(np.maximum(opened, close) + up, 2),
                "low": np.round(np.maximum(np.minimum(opened, close) - down, 0.01), 2),
                "close": close,
                "volume": rng.integers(100, 50_000, per_symbol),
            }
        )
        with path.open("ab" if number else "wb") as stream:
            frame.write_csv(stream, datetime_format=FORM, include_header=not number)


def python(code: str, *arguments: Path, folder: Path) -> Any:
    """Run code in a process of its own."""
    return run_command([sys.executable, "-c", code, *map(str, arguments)], folder)


def contenders(folder: Path, source: Path, names: list[str], repeats: int) -> dict[str, list[Any]]:
    """Return how long each took, one after the other, so often."""
    code = {"plain": PLAIN, "pandas": PANDAS, "backtrail": OURS}
    taken: dict[str, list[Any]] = {name: [] for name in names}
    for repeat in range(repeats):
        for name in names:
            target = folder / f"{name}-{repeat}{'' if name == 'backtrail' else '.parquet'}"
            taken[name].append(python(code[name], source, target, folder=folder))
            if name != "backtrail":
                target.unlink()
    return taken


def parts(folder: Path, source: Path) -> list[list[Any]]:
    """Return what single steps cost on the same file and the dataset made of it."""
    (dataset,) = (path for path in (folder / "backtrail-0/bench").iterdir() if path.is_dir())
    started = time.perf_counter()
    with source.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    bytes_read = time.perf_counter() - started
    best, rows = python(ONE_SYMBOL, dataset, folder=folder).output.split()
    from backtrail.data.datasets import Dataset
    from backtrail.data.identity import content_checksums

    opened = Dataset.open(dataset)
    bars, adjustments = opened.bars(), opened.adjustments()
    hashed = []
    for _ in range(3):
        started = time.perf_counter()
        content = content_checksums(bars, adjustments)
        hashed.append(time.perf_counter() - started)
    assert dict(opened.manifest.content) == content
    megabytes = sum(bars[name].len() * 8 for name in bars.columns if name != "symbol") / 1e6
    stored = (dataset / "bars.parquet").stat().st_size / 1e6
    return [
        ["sha256 of the source, MB/s", source.stat().st_size / 1e6 / bytes_read, digest.name],
        ["content hash, MB/s", megabytes / min(hashed), f"{megabytes:,.0f} MB of columns"],
        ["one symbol of twenty, ms", 1000 * float(best), f"{int(rows):,} rows"],
        ["bars.parquet, MB", stored, f"{len(bars):,} rows"],
    ]


def main(arguments: argparse.Namespace) -> None:
    names = ["plain", "pandas", "backtrail"]
    try:
        import pandas  # noqa: F401
    except ImportError:
        names.remove("pandas")
    with work_folder(arguments.keep) as folder:
        source = folder / f"bars-{arguments.rows}.csv"
        if not source.exists():
            write_source(source, arguments.rows)
        base = python(EMPTY, folder=folder)
        taken = contenders(folder, source, names, arguments.repeats)
        steps = parts(folder, source)
        megabytes = source.stat().st_size / 1e6
    plain = statistics.median(item.wall for item in taken["plain"])
    plain_cpu = statistics.median(item.cpu for item in taken["plain"])
    rows, values = [], {}
    for name in names:
        wall = statistics.median(item.wall for item in taken[name])
        cpu = statistics.median(item.cpu for item in taken[name])
        peak = max(item.max_rss_mb for item in taken[name])
        rows.append([name, wall, cpu, wall / plain, cpu / plain_cpu, peak, peak - base.max_rss_mb])
        values[name] = {
            "wall_s": wall,
            "cpu_s": cpu,
            "ratio_to_plain": wall / plain,
            "cpu_ratio_to_plain": cpu / plain_cpu,
            "peak_rss_mb": peak,
        }
    title = f"{arguments.rows:,} rows of {SYMBOLS} symbols, {megabytes:,.0f} MB of CSV"
    columns = ["", "wall s", "cpu s", "x plain", "cpu x plain", "peak MB", "above import MB"]
    show(f"{title}; budget {BUDGET} x plain", columns, rows)
    show("Parts", ["", "figure", "of"], steps)
    print("\nplain: scan_csv, timestamps with their form, sink_parquet; no check, no hash")
    print("pandas: read_csv with the same form, to_parquet; no check, no hash")
    save(
        "ingest",
        {
            "rows": arguments.rows,
            "source_mb": megabytes,
            "budget_ratio": BUDGET,
            "contenders": values,
            "parts": {step[0]: step[1] for step in steps},
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=sys.modules[__name__].__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", help="work in this folder and leave it")
    main(parser.parse_args())
