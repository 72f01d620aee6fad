from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from backtrail.data.folds import resolve_folds

ZONE = "America/New_York"
START = datetime(2019, 11, 3, 4, 0, tzinfo=UTC)  # midnight; the clocks go back at 06:00 UTC


def rows(moments, symbol="A"):
    local = [moment.astimezone(ZoneInfo(ZONE)).replace(tzinfo=None) for moment in moments]
    return pl.DataFrame({"utc": moments, "local": local, "symbol": symbol})


def resolved(frame):
    frame = frame.with_row_index("row")
    found = resolve_folds(frame.select("row", "symbol", "local"), ZONE)
    joined = frame.join(found, on="row")
    assert joined["timestamp"].to_list() == joined["utc"].to_list()
    return joined.height


@pytest.mark.parametrize(("minutes", "twice"), [(1, 120), (15, 8), (30, 4), (60, 2)])
def test_order_of_rows_tells_both_hours_apart(minutes, twice):
    moments = [START + timedelta(minutes=at) for at in range(0, 300, minutes)]
    assert resolved(rows(moments)) == twice
    assert resolved(rows(moments[::-1])) == twice


def test_symbols_are_told_apart_each_by_itself():
    moments = [START + timedelta(minutes=at) for at in range(0, 300, 15)]
    both = pl.concat([rows(moments, "A"), rows(moments, "B")])
    assert resolved(both) == 16
    assert resolved(both.sort("utc", maintain_order=True)) == 16


def test_one_hour_alone_or_more_than_one_jump_is_not_decided():
    moments = [START + timedelta(minutes=at) for at in range(0, 300, 15)]
    first = [moment for moment in moments if moment.hour != 6]
    assert resolved(rows(first)) == 0
    doubled = sorted([*moments, START + timedelta(minutes=75)])
    assert resolved(rows(doubled)) == 0


def test_years_are_decided_apart():
    later = START + timedelta(days=364)  # 2020-11-01
    moments = [start + timedelta(minutes=at) for start in (START, later) for at in (60, 120, 180)]
    assert resolved(rows(moments)) == 4
