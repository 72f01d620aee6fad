"""Equity, drawdown, months and returns by plotly: `run_plotly.py RETURNS.csv OUT.html REPEATS`."""

import json
import sys
import time

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

path, out, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
frame = pl.read_csv(path, try_parse_dates=True)
taken = []
for _ in range(repeats + 1):
    started = time.process_time()
    grown = frame.with_columns(
        (1 + pl.col("strategy")).cum_prod().alias("equity"),
        (1 + pl.col("benchmark")).cum_prod().alias("market"),
    ).with_columns((pl.col("equity") / pl.col("equity").cum_max() - 1).alias("drawdown"))
    months = (
        grown.group_by(pl.col("date").dt.year().alias("y"), pl.col("date").dt.month().alias("m"))
        .agg(((1 + pl.col("strategy")).product() - 1).alias("r"))
        .pivot("m", index="y", values="r")
        .sort("y")
    )
    figure = make_subplots(rows=4, cols=1, row_heights=[0.4, 0.2, 0.2, 0.2])
    for name in ("equity", "market"):
        line = go.Scattergl(x=grown["date"].to_list(), y=grown[name].to_list(), name=name)
        figure.add_trace(line, 1, 1)
    under = go.Scatter(x=grown["date"].to_list(), y=grown["drawdown"].to_list(), fill="tozeroy")
    figure.add_trace(under, 2, 1)
    columns = [name for name in months.columns if name != "y"]
    heat = go.Heatmap(
        z=[list(row) for row in months.select(columns).iter_rows()],
        x=columns,
        y=months["y"].to_list(),
    )
    figure.add_trace(heat, 3, 1)
    figure.add_trace(go.Histogram(x=grown["strategy"].to_list()), 4, 1)
    figure.write_html(out, include_plotlyjs=True)
    taken.append(time.process_time() - started)
print(json.dumps({"cpu_seconds": min(taken[1:])}))
