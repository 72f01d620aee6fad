"""The HTML report of jquantstats: `run_jquantstats.py RETURNS.csv OUT.html REPEATS`."""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.simplefilter("ignore")

import polars as pl
from jquantstats import Data

path, out, repeats = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
frame = pl.read_csv(path, try_parse_dates=True)
taken = []
for _ in range(repeats + 1):
    started = time.process_time()
    data = Data.from_returns(
        frame.select("date", "strategy"),
        benchmark=frame.select("date", pl.col("benchmark").alias("market")),
        date_col="date",
    )
    out.write_text(data.reports.full(title="SMA cross"), encoding="utf-8")
    taken.append(time.process_time() - started)
print(json.dumps({"cpu_seconds": min(taken[1:])}))
