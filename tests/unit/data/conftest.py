from types import SimpleNamespace

import pytest

from backtrail.data import BundleConfig, ingest_bundle

from .places import HEADER, daily_row


@pytest.fixture
def store(tmp_path):
    """A project with a `prices` folder and an `ingest` that reads it."""
    root = tmp_path / "project"
    prices = root / "prices"
    prices.mkdir(parents=True)
    bundles = tmp_path / "bundles"

    def bundle(
        path="prices", *, timeframe="1d", calendar="XNYS", waivers=(), gaps="allow", **options
    ):
        return BundleConfig("b", "csv", calendar, timeframe, path, options, tuple(waivers), gaps)

    def ingest(*args, **options):
        return ingest_bundle(bundle(*args, **options), root=root, bundles_dir=bundles)

    def write(name, rows, header=HEADER):
        (prices / name).write_text(header + rows)

    write("AAA.csv", daily_row("2020-01-02") + daily_row("2020-01-03", 11.0))
    return SimpleNamespace(
        root=root, prices=prices, bundles=bundles, bundle=bundle, ingest=ingest, write=write
    )
