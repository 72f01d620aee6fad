import tempfile
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtrail.data import BundleConfig, comparison, ingest_bundle
from backtrail.data.comparison import compare_datasets, dataset_sentences
from backtrail.data.datasets import Dataset

from .places import daily_row

HEADER = "date,open,high,low,close,volume,dividend\n"


@pytest.fixture
def make(store):
    """Ingest files of rows and return the dataset."""

    def make(files, **options):
        for path in store.prices.glob("*.csv"):
            path.unlink()
        for name, rows in files.items():
            store.write(f"{name}.csv", "".join(rows))
        manifest = store.ingest(**options)
        return Dataset.open(store.bundles / "b" / manifest.dataset_id)

    return make


OLD = {
    "AAA": [daily_row("2020-01-02"), daily_row("2020-01-03", 11.0), daily_row("2020-01-06", 12.0)],
    "BBB": [daily_row("2020-01-02", 20.0), daily_row("2020-01-03", 21.0)],
}
NEW = {
    "AAA": [daily_row("2020-01-02"), daily_row("2020-01-03", 11.5), daily_row("2020-01-07", 12.0)],
    "BBB": [daily_row("2020-01-02", 20.0), daily_row("2020-01-03", 21.0, volume=101)],
    "CCC": [daily_row("2020-01-03", 5.0)],
}


def test_rows_added_removed_and_changed_are_counted_and_shown(make):
    old, new = make(OLD), make(NEW)
    difference = compare_datasets(old, new)
    bars = difference.bars
    assert (difference.before, difference.after) == (old.path.name, new.path.name)
    assert (bars.added, bars.removed, bars.changed) == (2, 1, 2)
    assert bars.columns == {"open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}
    assert bars.first_changed == (
        {
            "symbol": "AAA",
            "timestamp": "2020-01-03",
            "changes": {
                "open": (11.0, 11.5),
                "high": (12.0, 12.5),
                "low": (10.0, 10.5),
                "close": (11.0, 11.5),
            },
        },
        {"symbol": "BBB", "timestamp": "2020-01-03", "changes": {"volume": (100.0, 101.0)}},
    )
    assert [(row["symbol"], row["timestamp"]) for row in bars.first_added] == [
        ("CCC", "2020-01-03"),
        ("AAA", "2020-01-07"),
    ]
    assert bars.first_removed == (
        {
            "symbol": "AAA",
            "timestamp": "2020-01-06",
            "open": 12.0,
            "high": 13.0,
            "low": 11.0,
            "close": 12.0,
            "volume": 100.0,
        },
    )
    assert not difference.adjustments


def test_the_sentences_name_columns_values_and_how_many_more(make):
    sentences = list(dataset_sentences(compare_datasets(make(OLD), make(NEW), limit=1)))
    assert sentences == [
        "2 bars changed (open 1, high 1, low 1, close 1, volume 1): AAA 2020-01-03 open 11.0 -> "
        "11.5, high 12.0 -> 12.5, low 10.0 -> 10.5, close 11.0 -> 11.5; and 1 more",
        "2 bars added: CCC 2020-01-03; and 1 more",
        "1 bar removed: AAA 2020-01-06",
    ]


def test_only_the_symbols_and_dates_asked_for_count(make):
    old, new = make(OLD), make(NEW)
    one = compare_datasets(old, new, symbols=["BBB"])
    assert (one.bars.added, one.bars.removed, one.bars.changed) == (0, 0, 1)
    assert not compare_datasets(old, new, start=date(2020, 1, 2), end=date(2020, 1, 2))
    late = compare_datasets(old, new, start=date(2020, 1, 6))
    assert (late.bars.added, late.bars.removed, late.bars.changed) == (1, 1, 0)


def test_a_dataset_is_no_different_from_itself_or_from_its_copy(make):
    old = make(OLD)
    assert not compare_datasets(old, old)
    assert list(dataset_sentences(compare_datasets(old, old))) == []


def test_adjustments_and_settings_are_compared(make, store):
    rows = daily_row("2020-01-02").strip() + ",0\n" + daily_row("2020-01-03").strip()
    store.prices.mkdir(exist_ok=True)
    datasets = []
    for dividend, calendar in ((0.5, "XNYS"), (0.75, "24/5")):
        store.write("AAA.csv", f"{rows},{dividend}\n", HEADER)
        manifest = store.ingest(calendar=calendar)
        datasets.append(Dataset.open(store.bundles / "b" / manifest.dataset_id))
    difference = compare_datasets(*datasets)
    assert not difference.bars
    assert list(dataset_sentences(difference)) == [
        "calendar changed: XNYS -> 24/5",
        "1 adjustment changed (value 1): AAA 2020-01-03 dividend value 0.5 -> 0.75",
    ]
    assert difference.to_dict()["settings"] == {"calendar": ("XNYS", "24/5")}
    assert not compare_datasets(*datasets, symbols=["ZZZ"]).adjustments


def test_groups_of_symbols_give_what_one_look_gives(make, monkeypatch):
    old, new = make(OLD), make(NEW)
    whole = compare_datasets(old, new)
    monkeypatch.setattr(comparison, "_ROWS_AT_ONCE", 1)
    assert compare_datasets(old, new) == whole


def test_minute_bars_are_named_by_their_minute(make):
    datasets = [
        make({"AAA": [f"2020-01-02 14:31:00,1,1,1,1,{volume}\n"]}, timeframe="1m", timezone="UTC")
        for volume in (5, 6)
    ]
    (sentence,) = dataset_sentences(compare_datasets(*datasets))
    assert sentence == ("1 bar changed (volume 1): AAA 2020-01-02T14:31:00Z volume 5.0 -> 6.0")


HISTORIES = st.dictionaries(
    st.sampled_from(["AAA", "BBB", "CCC"]),
    st.dictionaries(st.integers(1, 28), st.sampled_from([10.0, 11.0]), min_size=1, max_size=12),
    min_size=1,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORIES, HISTORIES)
def test_random_histories_differ_in_the_rows_that_differ(before, after):
    made = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for history in (before, after):
            lines = [
                f"{symbol},{daily_row(f'2020-01-{day:02d}', price)}"
                for symbol, bars in history.items()
                for day, price in bars.items()
            ]
            text = "symbol," + HEADER.replace(",dividend", "") + "".join(lines)
            (root / "all.csv").write_text(text)
            bundle = BundleConfig("b", "csv", "24/7", "1d", "all.csv")
            manifest = ingest_bundle(bundle, root=root, bundles_dir=root / "bundles")
            made.append(Dataset.open(root / "bundles/b" / manifest.dataset_id))
        bars = compare_datasets(*made, limit=100).bars
    old, new = (
        {
            (symbol, f"2020-01-{day:02d}"): price
            for symbol, b in item.items()
            for day, price in b.items()
        }
        for item in (before, after)
    )
    shown = {
        name: {(row["symbol"], row["timestamp"]) for row in getattr(bars, f"first_{name}")}
        for name in ("added", "removed", "changed")
    }
    assert shown == {
        "added": set(new) - set(old),
        "removed": set(old) - set(new),
        "changed": {key for key in set(old) & set(new) if old[key] != new[key]},
    }
    assert (bars.added, bars.removed, bars.changed) == tuple(map(len, shown.values()))
