import logging

import pytest

from backtrail.backtest.bundles import ensure_bundle
from backtrail.backtest.settings import ProjectConfig
from backtrail.batch.planning.config import with_defaults
from backtrail.data import DatasetManifest, read_head
from tests.projects import PRICES, write_prices

WEEKS = {"adapter": "bundle", "source": "prices", "calendar": "24/5", "timeframe": "1w"}


@pytest.fixture
def script(project):
    values = {"bundles": {"prices": {**PRICES}, "weeks": {**WEEKS}}, "defaults": {}}
    return ProjectConfig(project.root, with_defaults(values), True, None)


def made_of(script):
    bundles = script.places.bundles
    manifest = DatasetManifest.load(bundles / "weeks" / read_head(bundles, "weeks"))
    return manifest.derived["dataset_id"]


def test_what_a_bundle_is_made_of_is_ingested_before_it(script, caplog):
    bundles = script.places.bundles
    ensure_bundle(script, "weeks")
    first = read_head(bundles, "prices")
    assert made_of(script) == first
    write_prices(script.root / "prices", sessions=50)
    ensure_bundle(script, "weeks")
    assert read_head(bundles, "prices") != first
    assert made_of(script) == read_head(bundles, "prices")
    caplog.set_level(logging.INFO)
    ensure_bundle(script, "weeks")
    assert caplog.records == []


def test_a_source_that_is_gone_leaves_both_bundles_as_they_are(script, caplog):
    ensure_bundle(script, "weeks")
    before = made_of(script)
    for path in (script.root / "prices").iterdir():
        path.unlink()
    ensure_bundle(script, "weeks")
    assert made_of(script) == before
    assert [record.args[0] for record in caplog.records] == ["prices", "weeks"]
