"""Golden series and numbers of the metric tests; tests/golden/metrics.json says whose they are."""

import csv
import gzip
import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = json.loads((ROOT / "tests/golden/metrics.json").read_text())["values"]
SHARED = ROOT / "../shared/golden/metrics.json"


def index_prices(name):
    """Return the adjusted closes of an index in the arch package and their microseconds."""
    origin = Path(importlib.util.find_spec("arch").origin).parent
    with gzip.open(origin / "data" / name / f"{name}.csv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream))
    dates = [datetime.strptime(row["Date"], "%m/%d/%Y").replace(tzinfo=UTC) for row in rows]
    times = np.array([int(date.timestamp()) * 10**6 for date in dates])
    return times, np.array([float(row["Adj Close"]) for row in rows])


TIMES, _STRATEGY = index_prices("nasdaq")
RETURNS = _STRATEGY[1:] / _STRATEGY[:-1] - 1.0
_INDEX = index_prices("sp500")[1]
BENCHMARK = _INDEX[1:] / _INDEX[:-1] - 1.0
EQUITY = _STRATEGY


def date_of(position):
    return datetime.fromtimestamp(int(TIMES[position]) // 10**6, tz=UTC).date().isoformat()
