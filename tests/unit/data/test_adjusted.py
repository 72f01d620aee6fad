import tempfile
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtrail.data import BundleConfig, Dataset, adjusted_bars, ingest_bundle
from backtrail.errors import DatasetError

HEADER = "date,open,high,low,close,volume,dividend,split\n"
# Day of January 2020, close, dividend, split; other prices follow from the close.
AAA = [(2, 40.0, 0, 1), (3, 20.0, 0, 2), (6, 16.0, 2.0, 1), (7, 12.0, 1.0, 1.25), (8, 13.0, 0, 1)]


def rows(items):
    return "".join(
        f"2020-01-{day:02d},{close},{close + 1},{close - 1},{close},100,{paid},{ratio}\n"
        for day, close, paid, ratio in items
    )


@pytest.fixture
def dataset(store):
    store.write("AAA.csv", rows(AAA), HEADER)
    store.write("BBB.csv", rows([(2, 5.0, 0, 1), (8, 7.0, 0, 1)]), HEADER)
    return Dataset.open(store.bundles / "b" / store.ingest().dataset_id)


# Worked out by hand. The split of day 3 halves day 2; that of day 7 divides all before it by 1.25.
# The dividend of 2.0 on day 6 is a tenth of the close of 20 before it: 0.9. On day 7 one old share
# has become 1.25 new ones, each with a dividend of 1.0, so 1.25 of the close of 16: 0.921875.
@pytest.mark.parametrize(
    ("adjust", "as_of", "closes", "volumes"),
    [
        ("none", None, [40, 20, 16, 12, 13], [100, 100, 100, 100, 100]),
        ("split", None, [16, 16, 12.8, 12, 13], [250, 125, 125, 100, 100]),
        ("split", 6, [20, 20, 16], [200, 100, 100]),
        ("split", 2, [40], [100]),
        ("dividend", 6, [36, 18, 16], [100, 100, 100]),
        ("both", 6, [18, 18, 16], [200, 100, 100]),
        ("both", 5, [20, 20], [200, 100]),
        ("both", None, [13.275, 13.275, 11.8, 12, 13], [250, 125, 125, 100, 100]),
    ],
)
def test_prices_are_those_worked_out_by_hand(dataset, adjust, as_of, closes, volumes):
    moment = None if as_of is None else date(2020, 1, as_of)
    found = adjusted_bars(dataset, ["AAA"], adjust=adjust, as_of=moment)
    assert found["close"].to_list() == pytest.approx(closes, rel=1e-14)
    assert found["volume"].to_list() == pytest.approx(volumes, rel=1e-14)
    assert found.schema == dataset.bars().schema


def test_a_window_is_a_part_of_the_whole_view(dataset):
    whole = adjusted_bars(dataset)
    assert whole.filter(symbol="BBB").equals(dataset.bars(["BBB"]))
    part = adjusted_bars(dataset, ["AAA"], date(2020, 1, 3), date(2020, 1, 6))
    assert part.equals(whole.filter(symbol="AAA")[1:3])


def test_an_event_between_bars_takes_effect_at_the_next_one_and_is_unknown_before_it(store):
    store.write("AAA.csv", rows([(3, 40.0, 0, 1), (6, 10.0, 0, 4), (7, 10.0, 0, 1)]), HEADER)
    dataset = Dataset.open(store.bundles / "b" / store.ingest().dataset_id)
    monday = dataset.adjustments().with_columns(pl.lit(2.0).alias("value"))
    sunday = monday.with_columns(pl.col("timestamp").dt.offset_by("-1d"))
    path = dataset.path / "adjustments.parquet"
    path.unlink()
    pl.concat([sunday, monday]).write_parquet(path)
    assert adjusted_bars(dataset)["close"].to_list() == [10.0, 10.0, 10.0]
    assert adjusted_bars(dataset, as_of=date(2020, 1, 5))["close"].to_list() == [40.0]


def test_a_dividend_that_is_not_below_the_price_is_refused(store):
    store.write("AAA.csv", rows([(2, 4.0, 0, 1), (3, 9.0, 4.0, 1)]), HEADER)
    dataset = Dataset.open(store.bundles / "b" / store.ingest().dataset_id)
    with pytest.raises(DatasetError, match=r"dividend of AAA .* 2020-01-03 .*adjust='split'"):
        adjusted_bars(dataset)
    assert adjusted_bars(dataset, adjust="split")["close"].to_list() == [4.0, 9.0]
    with pytest.raises(ValueError, match="it can be none, split, dividend, both"):
        adjusted_bars(dataset, adjust="total")


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.floats(10, 90), st.sampled_from([0, 0, 0.5, 3]), st.sampled_from([1, 1, 1.125])
        ),
        min_size=2,
        max_size=12,
    ),
    st.data(),
)
def test_a_view_of_a_day_is_that_of_a_dataset_that_ended_on_it(history, data):
    days = [date(2020, 1, 1) + timedelta(days=at) for at in range(len(history))]
    lines = [
        f"{day},{price},{price + 1},{price - 1},{price},7,{paid},{ratio}\n"
        for day, (price, paid, ratio) in zip(days, history, strict=True)
    ]
    last = data.draw(st.integers(0, len(days) - 1))
    views = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for known in (lines, lines[: last + 1]):
            (root / "AAA.csv").write_text(HEADER + "".join(known))
            bundle = BundleConfig("b", "csv", "24/7", "1d", "AAA.csv")
            manifest = ingest_bundle(bundle, root=root, bundles_dir=root / "bundles")
            dataset = Dataset.open(root / "bundles/b" / manifest.dataset_id)
            views.append(adjusted_bars(dataset, as_of=days[last]))
    assert views[0].height == last + 1
    assert views[0].equals(views[1])
