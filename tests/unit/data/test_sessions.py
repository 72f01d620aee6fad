from datetime import UTC, date, datetime

import numpy as np
import pytest

from backtrail.data.calendars import SessionYear, dataset_periods, periods_per_year
from backtrail.data.sessions import sessions, table_range
from backtrail.errors import ConfigError, DatasetError


@pytest.mark.parametrize(
    ("calendar", "timeframe", "expected"),
    [
        ("XNYS", "1d", 252),
        ("XNYS", "1m", 98_280),
        ("XNYS", "1h", 1_638),
        ("XNYS", "1w", 52),
        ("24/5", "1d", 260),
        ("24/7", "1d", 365),
        ("24/7", "1m", 525_600),
    ],
)
def test_periods_per_year_follow_from_calendar_and_timeframe(calendar, timeframe, expected):
    assert periods_per_year(calendar, timeframe) == expected


def test_periods_per_year_of_another_calendar_follow_from_its_usual_year():
    year = SessionYear(sessions=253, minutes=510)
    assert periods_per_year("XLON", "1d", year) == 253
    assert periods_per_year("XLON", "1h", year) == 253 * 8.5
    assert periods_per_year("XLON", "1w", year) == 52
    dataset = {"calendar": "XLON", "timeframe": "1m", "dataset_id": "0" * 16}
    assert (
        dataset_periods({**dataset, "session_year": {"sessions": 253, "minutes": 510}}) == 129_030
    )
    assert dataset_periods({**dataset, "calendar": "24/5"}) == 260 * 1440


def test_a_calendar_whose_sessions_are_in_a_dataset_alone_is_refused_by_its_name():
    with pytest.raises(ConfigError, match=r"'XLON'; its sessions are in the dataset alone"):
        periods_per_year("XLON", "1d")
    with pytest.raises(ConfigError, match="'XLON'"):
        sessions("XLON", date(2020, 1, 1), date(2020, 1, 2))


def test_xnys_sessions_know_holidays_half_days_and_daylight_saving():
    week = sessions("XNYS", date(2019, 11, 25), date(2019, 12, 1))
    assert week.dates.astype(str).tolist() == [
        "2019-11-25",
        "2019-11-26",
        "2019-11-27",
        "2019-11-29",
    ]
    assert week.minutes.tolist() == [390, 390, 390, 210]
    assert week.opens[0] == datetime(2019, 11, 25, 14, 30, tzinfo=UTC).timestamp() * 1e6
    summer = sessions("XNYS", date(2019, 7, 1), date(2019, 7, 1))
    assert summer.opens[0] == datetime(2019, 7, 1, 13, 30, tzinfo=UTC).timestamp() * 1e6


def test_xnys_table_has_every_session_from_1990_to_2030():
    # 9,318: counted with exchange_calendars, pandas_market_calendars, holidays and QuantLib.
    assert table_range("XNYS") == (date(1990, 1, 1), date(2030, 12, 31))
    whole = sessions("XNYS", date(1990, 1, 1), date(2026, 12, 31))
    assert len(whole) == 9_318
    assert np.datetime64("2001-09-11") not in whole.dates
    thanksgiving = sessions("XNYS", date(2028, 11, 20), date(2028, 11, 26))
    assert thanksgiving.dates.astype(str).tolist() == [
        "2028-11-20",
        "2028-11-21",
        "2028-11-22",
        "2028-11-24",
    ]
    assert thanksgiving.minutes.tolist() == [390, 390, 390, 210]


def test_sessions_beyond_the_table_are_refused():
    with pytest.raises(DatasetError, match="1990-01-01 to 2030-12-31; ask within it"):
        sessions("XNYS", date(1985, 1, 1), date(1995, 1, 1))


def test_rule_calendars_have_weekdays_or_all_days():
    five = sessions("24/5", date(2020, 1, 3), date(2020, 1, 6))
    seven = sessions("24/7", date(2020, 1, 3), date(2020, 1, 6))
    assert five.dates.astype(str).tolist() == ["2020-01-03", "2020-01-06"]
    assert len(seven) == 4
    assert seven.minutes.tolist() == [1440] * 4
