"""Date and time rules, sessions, and what runs before a session."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from backtrail.engine import Bars, TradingAlgorithm, run_event
from backtrail.engine.api import date_rules, time_rules
from backtrail.engine.schedule.sessions import Sessions
from backtrail.errors import OrderError, StrategyError

from .support import config, make_bars, scripted

MINUTE = 60 * 10**6
EPOCH = date(1970, 1, 1)


def microseconds(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**6


def bars_at(times, timeframe, prices=None):
    stamps = np.array([microseconds(time) for time in times])
    price = np.arange(10.0, 10.0 + len(stamps)) if prices is None else np.array(prices, float)
    columns = dict.fromkeys(("open", "high", "low", "close"), price) | {
        "volume": np.full(len(stamps), 100.0)
    }
    return Bars.single("A", stamps, columns, timeframe=timeframe)


def weekdays(start, end):
    first = date.fromisoformat(start)
    days = [first + timedelta(days=n) for n in range((date.fromisoformat(end) - first).days + 1)]
    return [day for day in days if day.weekday() < 5]


def calendar_of(days, minutes=390, short=()):
    """Return a source of sessions that open at 14:30 UTC; those in `short` have 210 minutes."""
    numbers = np.array([(day - EPOCH).days for day in days])
    opens = numbers * 1440 * MINUTE + 870 * MINUTE
    lengths = np.array([210 if str(day) in short else minutes for day in days])
    return lambda: Sessions(numbers, opens, opens + lengths * MINUTE)


def calls_of(bars, date_rule=None, time_rule=None, source=None, **options):
    """Return the times at which a scheduled function was called."""
    found = []

    class Scheduled(TradingAlgorithm):
        def initialize(self, context):
            self.schedule_function(self.act, date_rule, time_rule, **options)

        def handle_data(self, context, data):
            context.now = data.current_dt

        def act(self, context, data):
            assert data.current_dt == context.now  # after handle_data of the same bar
            found.append(data.current_dt.strftime("%Y-%m-%d %H:%M"))

    run_event(Scheduled, bars, config(), sessions=source)
    return found


DAYS = [str(day) for day in weekdays("2021-01-13", "2021-03-05") if str(day) != "2021-02-15"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (date_rules.month_start(), ["2021-02-01", "2021-03-01"]),
        (date_rules.month_start(2), ["2021-02-03", "2021-03-03"]),
        (date_rules.month_end(), ["2021-01-29", "2021-02-26"]),
        (date_rules.month_end(days_offset=1), ["2021-01-28", "2021-02-25"]),
        (date_rules.week_end(),
         ["2021-01-15", "2021-01-22", "2021-01-29", "2021-02-05", "2021-02-12", "2021-02-19",
          "2021-02-26", "2021-03-05"]),
        # The Monday of 2021-02-15 is a holiday.
        (date_rules.week_start(),
         ["2021-01-18", "2021-01-25", "2021-02-01", "2021-02-08", "2021-02-16", "2021-02-22",
          "2021-03-01"]),
        (date_rules.week_start(4),
         ["2021-01-15", "2021-01-22", "2021-01-29", "2021-02-05", "2021-02-12", "2021-02-26",
          "2021-03-05"]),
        (date_rules.every_day(), DAYS),
    ],
)  # fmt: skip
def test_date_rules_count_the_sessions_of_the_calendar(rule, expected):
    known = [day for day in weekdays("2020-12-01", "2021-04-30") if str(day) != "2021-02-15"]
    found = calls_of(bars_at(DAYS, "1d"), rule, source=calendar_of(known))
    assert [call[:10] for call in found] == expected


def test_without_a_calendar_the_sessions_are_those_of_the_bars():
    found = calls_of(bars_at(DAYS, "1d"), date_rules.month_start())
    assert [call[:10] for call in found] == ["2021-01-13", "2021-02-01", "2021-03-01"]
    found = calls_of(bars_at(DAYS, "1d"), date_rules.month_end())
    assert [call[:10] for call in found] == ["2021-01-29", "2021-02-26", "2021-03-05"]


def test_a_month_end_does_not_move_when_the_history_is_cut_there():
    known = calendar_of(weekdays("2020-12-01", "2021-04-30"))
    whole = calls_of(bars_at(DAYS, "1d"), date_rules.month_end(), source=known)
    for end in range(1, len(DAYS)):
        cut = calls_of(bars_at(DAYS[:end], "1d"), date_rules.month_end(), source=known)
        assert cut == [call for call in whole if call[:10] <= DAYS[end - 1]]


# Two sessions of minutes, labelled by their beginning; the second is a half day.
MINUTES = [
    f"{day}T{(870 + minute) // 60:02}:{(870 + minute) % 60:02}"
    for day, length in (("2021-11-24", 390), ("2021-11-26", 210))
    for minute in range(length)
    if minute not in (0, 1) or day != "2021-11-26"  # the second one has its first bar late
]
NOVEMBER = [day for day in weekdays("2021-10-25", "2021-12-31") if str(day) != "2021-11-25"]
SOURCE = calendar_of(NOVEMBER, short=("2021-11-26",))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # A bar labelled 14:30 ends at 14:31, a minute after the open.
        (time_rules.market_open(), ["2021-11-24 14:30", "2021-11-26 14:32"]),
        (time_rules.market_open(minutes=30), ["2021-11-24 14:59", "2021-11-26 14:59"]),
        (time_rules.market_open(hours=1, minutes=1), ["2021-11-24 15:30", "2021-11-26 15:30"]),
        (time_rules.market_close(), ["2021-11-24 20:58", "2021-11-26 17:58"]),
        (time_rules.market_close(minutes=30), ["2021-11-24 20:29", "2021-11-26 17:29"]),
        (time_rules.market_open(timedelta(hours=5)), ["2021-11-24 19:29"]),
        (None, ["2021-11-24 20:58", "2021-11-26 17:58"]),
    ],
)
def test_time_rules_count_from_open_and_close_of_each_session(rule, expected):
    bars = bars_at(MINUTES, "1m")
    assert calls_of(bars, date_rules.every_day(), rule, SOURCE) == expected


def test_every_minute_means_every_bar_and_half_days_can_be_left_out():
    bars = bars_at(MINUTES, "1m")
    found = calls_of(bars, date_rules.every_day(), time_rules.every_minute(), SOURCE)
    assert len(found) == len(MINUTES)
    found = calls_of(bars, None, time_rules.market_open(), SOURCE, half_days=False)
    assert found == ["2021-11-24 14:30"]
    with pytest.raises(StrategyError, match="needs a calendar"):
        calls_of(bars, half_days=False)


def test_longer_intraday_bars_are_due_when_they_end():
    times = [f"2021-11-24T{hour:02}:30" for hour in range(14, 21)]
    found = calls_of(bars_at(times, "1h"), None, time_rules.market_open(minutes=90), SOURCE)
    assert found == ["2021-11-24 15:30"]


def test_orders_of_scheduled_functions_fill_like_any_other():
    class Monthly(TradingAlgorithm):
        def initialize(self, context):
            self.schedule_function(self.buy, date_rules.month_start())
            self.schedule_function(lambda c, d: self.record(second=1), date_rules.month_start())

        def handle_data(self, context, data):
            self.record(second=0)

        def buy(self, context, data):
            self.order("A", 1)

    tables = run_event(Monthly, bars_at(DAYS, "1d"), config()).tables
    assert len(tables["fills"]["price"]) == 3
    filled = [datetime.fromtimestamp(t / 1e6, UTC).date() for t in tables["fills"]["timestamp"]]
    assert [str(day) for day in filled] == ["2021-01-14", "2021-02-02", "2021-03-02"]
    assert sum(tables["recorded"]["value"]) == 3  # it ran after handle_data, in its turn


def test_before_trading_start_knows_what_the_bar_before_knew():
    seen = []

    class Prepared(TradingAlgorithm):
        def before_trading_start(self, context, data):
            now = None if len(seen) == 0 else data.current_dt
            portfolio = context.portfolio
            seen.append(
                (now and now.day, data.current("A", "price"), portfolio.positions["A"].amount,
                 portfolio.portfolio_value, len(data.history("A", "close", 9)))
            )  # fmt: skip

        def handle_data(self, context, data):
            self.order("A", 1)

    bars = make_bars({"A": [10, 20, 12, 13]}, splits={("A", 2): 2.0})
    run_event(Prepared, bars, config())
    assert np.isnan(seen[0][1])
    assert (seen[0][0], *seen[0][2:]) == (None, 0, 1000, 0)
    # The split of bar 2 is not known before it: one share at 20, bought at 20.
    assert seen[1:] == [(3, 10, 0, 1000, 1), (4, 20, 1, 1000, 2), (5, 12, 4, 996 + 8 - 0, 3)]


def test_before_trading_start_comes_once_a_session_and_takes_no_orders():
    days = []

    class Once(TradingAlgorithm):
        def before_trading_start(self, context, data):
            days.append(context.count)

        def initialize(self, context):
            context.count = 0

        def handle_data(self, context, data):
            context.count += 1

    run_event(Once, bars_at(MINUTES, "1m"), config())
    assert days == [0, 390]

    class Eager(Once):
        def before_trading_start(self, context, data):
            self.order("A", 1)

    with pytest.raises(OrderError, match="outside of handle_data and scheduled functions"):
        run_event(Eager, bars_at(DAYS, "1d"), config())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: date_rules.month_start(23), "a whole number from 0 to 22"),
        (lambda: date_rules.week_end(-1), "a whole number from 0 to 4"),
        (lambda: time_rules.market_open(timedelta(1)), "below a day"),
        (lambda: time_rules.market_open(timedelta(0), minutes=3), "give one of them"),
    ],
)
def test_a_rule_that_makes_no_sense_is_an_error(call, message):
    with pytest.raises(StrategyError, match=message):
        call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1,), "pass a function"), ((print, time_rules.every_minute()), "take a rule of date_rules")],
)
def test_a_schedule_that_makes_no_sense_is_an_error(arguments, message):
    strategy = scripted({}, initialize=lambda self, context: self.schedule_function(*arguments))
    with pytest.raises(StrategyError, match=message):
        run_event(strategy, make_bars({"A": [1]}), config())


def test_a_bar_on_a_day_that_the_calendar_does_not_know_is_a_session_of_its_own():
    days = ["2021-01-15", "2021-01-16", "2021-01-18"]  # a Saturday between
    source = calendar_of(weekdays("2021-01-01", "2021-02-26"))
    found = calls_of(bars_at(days, "1d"), date_rules.week_end(), source=source)
    assert [call[:10] for call in found] == ["2021-01-16"]
