from .places import daily_row


def test_missing_sessions_and_bars_off_session_are_counted_per_symbol(store):
    # 2020-01-04 is a Saturday; 3, 6 and 7 January are sessions without a bar.
    rows = daily_row("2020-01-02") + daily_row("2020-01-04") + daily_row("2020-01-08")
    store.write("BBB.csv", rows)
    records = store.ingest().symbols
    assert (records["AAA"].missing_sessions, records["AAA"].off_session_bars) == (0, 0)
    assert (records["BBB"].missing_sessions, records["BBB"].off_session_bars) == (3, 1)
    around = store.ingest(calendar="24/7").symbols["BBB"]
    assert (around.missing_sessions, around.off_session_bars) == (4, 0)


def test_bars_before_the_shipped_calendar_are_not_counted(store):
    store.write("AAA.csv", daily_row("1985-01-02"))
    record = store.ingest().symbols["AAA"]
    assert (record.missing_sessions, record.off_session_bars) == (None, None)
