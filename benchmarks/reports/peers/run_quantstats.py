"""The HTML report of quantstats: `run_quantstats.py RETURNS.csv OUT.html REPEATS`."""

import json
import sys
import time
import warnings

import matplotlib

matplotlib.use("Agg")
warnings.simplefilter("ignore")

import pandas as pd
import quantstats as qs

path, out, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
frame = pd.read_csv(path, index_col="date", parse_dates=["date"])
taken = []
for _ in range(repeats + 1):
    started = time.process_time()
    qs.reports.html(frame["strategy"], frame["benchmark"], output=out, title="SMA cross")
    taken.append(time.process_time() - started)
print(json.dumps({"cpu_seconds": min(taken[1:])}))
