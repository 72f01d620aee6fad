from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
SHARED = (PROJECT / "../shared/data").resolve()
SAMPLE = "tests/data/csv-sample"
HEADER = "date,open,high,low,close,volume\n"


def daily_row(day, price=10.0, volume=100):
    return f"{day},{price},{price + 1},{price - 1},{price},{volume}\n"
