from datetime import UTC, datetime

import polars as pl
import pytest

from backtrail.data.time_detection import detect_time, find_zone
from backtrail.data.time_forms import (
    TimeForm,
    largest_day_month,
    other_unit,
    parse_times,
    wall_clock,
)
from backtrail.errors import DatasetError


def detect(*cells, column="date", timeframe="1m", timezone="UTC", date_format=None):
    lazy = pl.LazyFrame({"t": list(cells)})
    return detect_time(
        "a.csv",
        column,
        list(cells),
        lambda: largest_day_month(lazy, pl.col("t")),
        timeframe=timeframe,
        date_format=date_format,
        timezone=timezone,
    )


def read(*cells, daily=False, **options):
    time = detect(*cells, timeframe="1d" if daily else "1m", **options)
    frame = pl.DataFrame({"t": list(cells)})
    found = frame.select(parse_times(pl.col("t"), time, daily=daily)).to_series()
    return [None if item is None else item.strftime("%Y-%m-%d %H:%M:%S") for item in found]


@pytest.mark.parametrize(
    ("cell", "form"),
    [
        ("2020-01-02", "%Y-%m-%d"),
        ("2020-1-2 9:30", "%Y-%m-%d %H:%M"),
        ("2020/01/02 09:30:00", "%Y/%m/%d %H:%M:%S"),
        ("2020.01.02 09:30:00.250", "%Y.%m.%d %H:%M:%S%.f"),
        ("20200102", "%Y%m%d"),
        ("20200102 0930", "%Y%m%d %H%M"),
        ("20200102 093000", "%Y%m%d %H%M%S"),
        ("2-Jan-2020", "%d-%b-%Y"),
        ("2 January 2020", "%d %B %Y"),
        ("Jan 02, 2020", "%b %d, %Y"),
        ("13/1/2020 9:30 AM", "%d/%m/%Y %I:%M %p"),
        ("1/13/2020", "%m/%d/%Y"),
        ("2020-01-02T09:30:00Z", "%Y-%m-%dT%H:%M:%SZ"),
        ("2020-01-02 09:30:00 UTC", "%Y-%m-%d %H:%M:%S UTC"),
        ("2020-01-02 09:30:00+01:00", "%Y-%m-%d %H:%M:%S%z"),
        ("2020-01-02 09:30:00 -0500", "%Y-%m-%d %H:%M:%S %z"),
        ("1577923200", "epoch_s"),
        ("1577923200.5", "epoch_s"),
        ("1577923200000", "epoch_ms"),
        ("1577923200000000", "epoch_us"),
        ("1577923200000000000", "epoch_ns"),
    ],
)
def test_form_of_a_cell_is_found_and_reads_it(cell, form):
    time = detect(cell, timeframe="1m" if "epoch" in form or ":" in cell or " 09" in cell else "1d")
    assert time.form == form
    parsed = pl.DataFrame({"t": [cell]}).select(parse_times(pl.col("t"), time, daily=False))
    assert parsed.item() is not None


def test_old_epochs_have_fewer_digits_and_eight_digits_are_a_date():
    assert detect("99999999", "100000001").form == "epoch_s"
    assert detect("-5000000000", "1577923200").form == "epoch_s"
    assert detect("19991231", timeframe="1d").form == "%Y%m%d"


def test_packed_dates_and_times_are_no_epochs():
    assert detect("20200102093000", "20200102093100").form == "%Y%m%d%H%M%S"
    assert read("20200102093000", timezone="America/New_York") == ["2020-01-02 14:30:00"]
    with pytest.raises(DatasetError, match=r"could be .*2020-01-02.* or count .*1976-05-26.*%H%M"):
        detect("202001020930", "202001020931")
    with pytest.raises(DatasetError, match=r"could be .*2020-01-02.* or count .*2034-01-04"):
        detect("2020010209", "2020010210")
    assert read("202001020930", date_format="%Y%m%d%H%M") == ["2020-01-02 09:30:00"]
    assert detect("202001020930", "202001029930").form == "epoch_ms"  # no hour 99


def test_bars_shorter_than_a_day_need_a_time_of_day():
    with pytest.raises(DatasetError, match="dates without a time of day, and bars of 1m need one"):
        detect("2020-01-02", "2020-01-03")


def test_name_of_a_column_that_tells_an_offset_is_no_utc():
    with pytest.raises(DatasetError, match="have no zone"):
        detect("2020-01-02 10:00", column="GMT +2", timezone=None)
    assert detect("2020-01-02 10:00", column="UTC time", timezone=None).zone == "UTC"


def moments(*counts, unit):
    return pl.Series([None if n is None else n * unit for n in counts], dtype=pl.Datetime("us"))


def test_epochs_of_two_units_are_seen_wherever_they_stand():
    seconds, milliseconds = 1_577_923_200, 1_577_923_200_000
    assert other_unit(moments(milliseconds, None, seconds, unit=1000), "epoch_ms") == 2
    assert other_unit(moments(-seconds, milliseconds, unit=1000), "epoch_ms") == 0
    assert other_unit(moments(milliseconds, milliseconds * 1000, unit=1), "epoch_us") == 0
    assert other_unit(moments(seconds, milliseconds * 1000, unit=1), "epoch_us") == 0
    ticks = pl.Series([milliseconds, milliseconds * 1000], dtype=pl.Datetime("us"))
    assert other_unit(ticks, "epoch_ns") == 0


@pytest.mark.parametrize(("unit", "form"), [(1_000_000, "epoch_s"), (1000, "epoch_ms")])
def test_epochs_of_one_unit_may_be_of_any_age(unit, form):
    days = [day * 86_400 * (1_000_000 // unit) for day in range(-20_000, 20_000)]
    assert other_unit(moments(*days, unit=unit), form) is None
    assert other_unit(moments(*days[::30], unit=unit), form) is None
    assert other_unit(moments(None, unit=unit), form) is None
    assert other_unit(moments(0, unit=unit), form) is None


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "holds no timestamp"),
        (["tomorrow"], "the form of 'tomorrow' in date is unknown"),
        (["2020-01-02", "2020/01/03"], "mixes %Y-%m-%d and %Y/%m/%d"),
        (["3/4/2020", "5/6/2020"], "could be day first or month first"),
        (["13/1/2020", "1/13/2020"], "has both orders"),
        (["1/2/20"], "is unknown"),
    ],
)
def test_forms_that_are_unclear_are_refused(cells, message):
    with pytest.raises(DatasetError, match=message):
        detect(*cells)


def test_all_rows_are_asked_for_the_order_of_day_and_month():
    time = detect("1/2/2020", *["3/4/2020"] * 500, "31/12/2020", timeframe="1d", timezone=None)
    assert (time.form, time.found_by) == (
        "%d/%m/%Y",
        "day first: date has 31 in first place",
    )


def test_zone_comes_from_option_cells_or_column_name_and_never_from_nowhere():
    bare = "2020-01-02 09:30"
    assert detect(bare, timezone="Asia/Tokyo").zone == "Asia/Tokyo"
    assert detect(bare + "Z", timezone=None).zone == "UTC"
    for column in ("time_utc", "Time (UTC)", "Gmt time", "timestamp GMT"):
        assert detect(bare, column=column, timezone=None).zone == "UTC"
    for column in ("time", "utcnow", "gmtx"):
        with pytest.raises(DatasetError, match=r"have no zone; give `timezone`"):
            detect(bare, column=column, timezone=None)
    assert detect(bare, timeframe="1d", timezone=None).zone is None


def test_local_times_become_utc_and_those_that_never_were_are_not_read():
    zone = "America/New_York"
    assert read("2020-01-02 09:30", "2020-07-02 09:30", timezone=zone) == [
        "2020-01-02 14:30:00",
        "2020-07-02 13:30:00",
    ]
    assert read("2020-03-08 01:59", "2020-03-08 02:30", timezone=zone)[1] is None
    assert read("2020-11-01 00:59", "2020-11-01 01:30", timezone=zone)[1] is None


def test_daily_bars_have_the_date_as_written_or_that_of_the_stated_zone():
    assert read("2020-01-02 00:00:00-05:00", daily=True, timezone=None) == ["2020-01-02 00:00:00"]
    cell = "2020-01-03T00:30:00Z"
    assert read(cell, daily=True, timezone="America/New_York") == ["2020-01-02 00:00:00"]
    assert read("1577923200", daily=True, timezone=None) == ["2020-01-02 00:00:00"]


def test_epochs_keep_fractions_and_refuse_what_is_finer_than_microseconds():
    time = TimeForm("epoch_s", "UTC", "")
    frame = pl.DataFrame({"t": ["1577923200.25", "1577923200", "x"]})
    found = frame.select(parse_times(pl.col("t"), time, daily=False)).to_series().to_list()
    assert found == [
        datetime(2020, 1, 2, 0, 0, 0, 250_000, tzinfo=UTC),
        datetime(2020, 1, 2, tzinfo=UTC),
        None,
    ]
    nano = TimeForm("epoch_ns", "UTC", "")
    frame = pl.DataFrame({"t": ["1577923200000001000", "1577923200000000001"]})
    found = frame.select(parse_times(pl.col("t"), nano, daily=False)).to_series().to_list()
    assert found == [datetime(2020, 1, 2, 0, 0, 0, 1, tzinfo=UTC), None]


def test_years_that_no_market_has_are_not_read():
    assert read("1600-01-02", "2020-01-02", "2300-01-02", daily=True, timezone=None) == [
        None,
        "2020-01-02 00:00:00",
        None,
    ]


def test_typed_columns_are_read_by_their_type():
    moment = datetime(2020, 1, 2, 9, 30, tzinfo=UTC)
    frame = pl.DataFrame({"t": [moment]}).with_columns(pl.col("t").cast(pl.Datetime("ns", "UTC")))
    zoned = find_zone("a", "t", "datetime with zone", "type", "", timeframe="1m", timezone=None)
    assert frame.select(parse_times(pl.col("t"), zoned, daily=False)).item() == moment
    tokyo = frame.select(pl.col("t").dt.convert_time_zone("Asia/Tokyo"))
    wall = tokyo.select(wall_clock(pl.col("t"), zoned)).item()
    assert wall == datetime(2020, 1, 2, 18, 30)  # noqa: DTZ001
