"""What comes later: more bars, another month, a restated history. Nothing that was there goes."""

import logging
from datetime import date, timedelta

import pytest

from backtrail.data import Dataset, read_head
from backtrail.data.comparison import compare_datasets
from backtrail.data.inventory import list_history

from .places import HEADER, daily_row

MONTHS = {"2020-01": (2, 31), "2020-02": (3, 28), "2020-03": (2, 31)}


def month_rows(month, base=100.0):
    first, last = MONTHS[month]
    days = [date.fromisoformat(f"{month}-{day:02d}") for day in range(first, last + 1)]
    return [
        daily_row(str(day), base + day.toordinal() % 97, volume=day.day)
        for day in days
        if day.weekday() < 5
    ]


@pytest.fixture
def months(store):
    """A folder with a file per symbol and month, and an ingest of it."""
    (store.prices / "AAA.csv").unlink()

    def write(month, symbol="AAA", base=100.0):
        store.write(f"{symbol}_{month}.csv", "".join(month_rows(month, base)))

    def ingest():
        manifest = store.ingest(files="{symbol}_*.csv", calendar="24/5")
        return Dataset.open(store.bundles / "b" / manifest.dataset_id)

    for month in MONTHS:
        for symbol in ("AAA", "BBB"):
            write(month, symbol)
    return write, ingest


def test_ingesting_one_month_again_leaves_every_other_month_as_it_was(store, months):
    write, ingest = months
    old = ingest()
    write("2020-02", base=200.0)
    new = ingest()
    difference = compare_datasets(old, new)
    assert (difference.bars.added, difference.bars.removed) == (0, 0)
    assert difference.bars.changed == len(month_rows("2020-02"))
    for start, end in (("2020-01-01", "2020-01-31"), ("2020-03-01", "2020-03-31")):
        window = (None, date.fromisoformat(start), date.fromisoformat(end))
        assert new.bars(*window).equals(old.bars(*window))
        assert new.bars(*window).height > 40
    assert new.bars(["BBB"]).equals(old.bars(["BBB"]))
    assert set(new.bars(["AAA"], date(2020, 2, 1), date(2020, 2, 29))["open"]) == {
        float(row.split(",")[1]) for row in month_rows("2020-02", 200.0)
    }


def test_a_source_that_holds_one_month_alone_takes_nothing_from_the_older_dataset(store, months):
    _, ingest = months
    old = ingest()
    whole = old.bars()
    for path in store.prices.glob("*_2020-0[13].csv"):
        path.unlink()
    new = ingest()
    assert read_head(store.bundles, "b") == new.path.name
    assert new.bars()["timestamp"].dt.month().unique().to_list() == [2]
    again = Dataset.open(old.path)
    again.verify()
    assert again.bars().equals(whole)
    assert list_history(store.bundles, "b") == (old.path.name, new.path.name)


def test_new_bars_are_told_and_a_restated_history_is_a_warning(store, months, caplog):
    _, ingest = months
    (store.prices / "AAA_2020-03.csv").rename(store.root / "later.csv")
    caplog.set_level(logging.INFO, "backtrail.data.storage")
    old = ingest()
    assert caplog.records == []
    (store.root / "later.csv").rename(store.prices / "AAA_2020-03.csv")
    more = ingest()
    (record,) = caplog.records
    assert record.levelname == "INFO"
    words = record.getMessage()
    assert words.startswith(
        f"bundle b was dataset {old.path.name}, and is {more.path.name} now: 22 "
    )
    assert "bars added: AAA 2020-03-02; AAA 2020-03-03" in words
    caplog.clear()
    store.write("AAA_2020-01.csv", "".join(month_rows("2020-01")).replace(",2\n", ",7\n"))
    ingest()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "1 bar changed (volume 1): AAA 2020-01-02 volume 2.0 -> 7.0" in record.getMessage()
    caplog.clear()
    ingest()
    assert caplog.records == []


def test_a_former_dataset_that_is_gone_hinders_no_ingest(store, months, caplog):
    write, ingest = months
    old = ingest()
    (old.path / "bars.parquet").unlink()
    write("2020-02", base=200.0)
    new = ingest()
    assert read_head(store.bundles, "b") == new.path.name
    (record,) = caplog.records
    assert "cannot be compared with what it was" in record.getMessage()


def test_a_symbol_alone_and_among_fifty_has_the_same_bars(store):
    (store.prices / "AAA.csv").unlink()
    text = {}
    for at in range(50):
        start = date(2020, 1, 6) + timedelta(days=7 * (at % 3))
        days = [start + timedelta(days=7 * week + day) for week in range(9) for day in range(5)]
        rows = [daily_row(str(day), 10.0 + at + index / 8) for index, day in enumerate(days)]
        text[f"S{at:02d}"] = "".join(rows)
    for name, rows in text.items():
        store.write(f"{name}.csv", rows)
    among = Dataset.open(store.bundles / "b" / store.ingest(calendar="24/5").dataset_id)
    long_file = (
        "symbol,"
        + HEADER
        + "".join(
            f"{name},{row}\n" for name, rows in reversed(text.items()) for row in rows.splitlines()
        )
    )
    store.root.joinpath("all.csv").write_text(long_file)
    joined = store.ingest("all.csv", calendar="24/5")
    assert joined.dataset_id == among.path.name
    for name in ("S00", "S31", "S49"):
        for path in store.prices.glob("*.csv"):
            path.unlink()
        store.write(f"{name}.csv", text[name])
        alone = Dataset.open(store.bundles / "b" / store.ingest(calendar="24/5").dataset_id)
        assert alone.path.name != among.path.name
        assert alone.bars().height == 45
        assert alone.bars().equals(among.bars([name]))
        assert alone.bars([name]).equals(among.bars(["S07", name]).filter(symbol=name))
