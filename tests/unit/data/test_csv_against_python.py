"""Numbers of CSV files are those that Python's own csv module and float read from them."""

import csv
import tempfile
from datetime import date, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from backtrail.data import BundleConfig, Dataset, ingest_bundle

WAYS = {
    "shortest": repr,
    "scientific": "{:.6e}".format,
    "padded": " {:.4f} ".format,
    "quoted": '"{:.3f}"'.format,
    "signed": "{:+.2f}".format,
    "twelve places": "{:.12f}".format,
    "no zero behind": lambda value: f"{value:.2f}".removesuffix("0"),
}
prices = st.floats(1.0, 1e6).map(lambda low: (low * 1.5, low * 3.0, low, low * 2.0))
volumes = st.one_of(
    st.just(0.0), st.floats(0.0, 1e18), st.integers(2**53 - 9, 2**53 + 9).map(float)
)
rows = st.tuples(prices, volumes, st.lists(st.sampled_from(sorted(WAYS)), min_size=5, max_size=5))


def text_of(row, day):
    (prices, volume, ways) = row
    values = zip((*prices, volume), ways, strict=True)
    return ",".join([day, *(WAYS[way](value) for value, way in values)])


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(rows, min_size=1, max_size=30), eol=st.sampled_from(["\n", "\r\n"]))
def test_numbers_are_those_that_python_reads(rows, eol):
    days = [(date(2020, 1, 1) + timedelta(days=at)).isoformat() for at in range(len(rows))]
    lines = [text_of(row, day) for row, day in zip(rows, days, strict=True)]
    expected = [(cells[0], *map(float, cells[1:])) for cells in csv.reader(lines)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "AAA.csv").write_bytes(
            "".join(line + eol for line in ["Date,Open,High,Low,Close,Volume", *lines]).encode()
        )
        bundle = BundleConfig("b", "csv", "24/7", "1d", "AAA.csv", {})
        manifest = ingest_bundle(bundle, root=root, bundles_dir=root / "bundles")
        bars = Dataset.open(root / "bundles" / "b" / manifest.dataset_id).bars()
    found = [(at.date().isoformat(), *values) for _, at, *values in bars.rows()]
    assert found == expected
