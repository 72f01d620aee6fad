from pathlib import Path

import pytest

from backtrail.batch.planning.places import Places
from backtrail.errors import ConfigError


def read(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    return Places.read([Path("c.yaml")], tmp_path)


def test_places_have_defaults_and_count_from_the_root(tmp_path):
    places = read(tmp_path, "batch: {}")
    assert places.base_dir == Path("backtests")
    assert places.store.base_dir == tmp_path / "backtests"
    assert places.bundles == tmp_path / "bundles"
    assert places.catalog_url == "sqlite:///backtests/catalog.sqlite"


def test_named_places_are_taken_and_the_rest_of_the_config_is_not_looked_at(tmp_path):
    places = read(
        tmp_path,
        "backtest_output: {base_dir: /data/runs}\n"
        "storage: {bundles_dir: b, catalog_url: 'postgresql+pg8000://u@h/d'}\n"
        "defaults: 5\nbatch: [broken]\n",
    )
    assert places.store.base_dir == Path("/data/runs")
    assert places.bundles == tmp_path / "b"
    assert places.catalog_url == "postgresql+pg8000://u@h/d"


def test_the_catalog_follows_the_base_folder(tmp_path):
    places = read(tmp_path, "backtest_output: {base_dir: out/runs}")
    assert places.catalog_url == "sqlite:///out/runs/catalog.sqlite"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("backtest_output: null", "backtest_output: null stands there"),
        ("backtest_output: {base_dir: 5}", r"backtest_output\.base_dir: 5 is a number"),
        ("backtest_output: {base_dir: ../..}", "'..' could lead outside"),
        ("storage: []", "storage: .* is a list"),
        ("storage: {bundles_dir: null}", r"storage\.bundles_dir: null stands there"),
        ("storage: {bundels_dir: x}", "did you mean 'bundles_dir'"),
    ],
)
def test_wrong_places_are_mistakes_of_the_config(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)
