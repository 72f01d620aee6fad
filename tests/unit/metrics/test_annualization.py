import pytest

from backtrail.errors import ConfigError
from backtrail.metrics import periods_per_year


@pytest.mark.parametrize(
    ("calendar", "timeframe", "expected"),
    [
        ("XNYS", "1d", 252),
        ("XNYS", "1m", 98_280),
        ("XNYS", "30m", 3_276),
        ("XNYS", "1w", 50.4),
        ("24/7", "1d", 365),
        ("24/7", "1h", 8_760),
        ("24/5", "1d", 260),
    ],
)
def test_periods_follow_from_calendar_and_timeframe(calendar, timeframe, expected):
    assert periods_per_year(calendar, timeframe) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("calendar", "timeframe"), [("XMARS", "1d"), ("XNYS", "daily"), ("XNYS", "0m")]
)
def test_unknown_calendar_or_timeframe_is_refused(calendar, timeframe):
    with pytest.raises(ConfigError, match="1 mistake"):
        periods_per_year(calendar, timeframe)
