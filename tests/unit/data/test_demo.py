import gzip
import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from backtrail.data import BundleConfig, Dataset, ingest_bundle, list_symbols, source_checksum
from backtrail.data.demo import export_missing, read_source_card
from backtrail.errors import DatasetError

from .places import PROJECT

CARD = PROJECT / "resources/demo/us-indices/SOURCE.yaml"
BUNDLE = BundleConfig("us-indices", "csv", "XNYS", "1d", "demo")


@pytest.fixture
def root(tmp_path, monkeypatch):
    # Another test of this process may have imported the package; here it is found, not imported.
    for name in [name for name in sys.modules if name.partition(".")[0] == "arch"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "demo").mkdir()
    shutil.copy(CARD, tmp_path / "demo")
    return tmp_path


def test_export_makes_the_demo_dataset_and_keeps_the_checksum(root):
    before = source_checksum(BUNDLE, root)
    assert list_symbols(BUNDLE, root) == ("COMP", "SPX")
    assert [item.name for item in (root / "demo").iterdir()] == ["SOURCE.yaml"]
    manifest = ingest_bundle(BUNDLE, root=root, bundles_dir=root / "bundles")
    assert source_checksum(BUNDLE, root) == before
    assert list_symbols(BUNDLE, root) == ("COMP", "SPX")
    assert {name: item.rows for name, item in manifest.symbols.items()} == {
        "COMP": 5_031,
        "SPX": 5_031,
    }
    assert {item.missing_sessions for item in manifest.symbols.values()} == {0}
    assert "NCSA" in manifest.licence
    bars = Dataset.open(root / "bundles/us-indices" / manifest.dataset_id).bars()
    assert bars["volume"].max() > 2**32
    zero = bars.filter(bars["volume"] == 0)
    assert [str(item.date()) for item in zero["timestamp"]] == ["2015-05-12", "2018-01-09"]
    assert set(zero["symbol"]) == {"COMP"}


def test_export_copies_the_package_s_digits(root):
    export_missing(root / "demo", read_source_card(root / "demo"))
    package = Path(importlib.util.find_spec("arch").submodule_search_locations[0])
    source = gzip.decompress((package / "data/sp500/sp500.csv.gz").read_bytes()).decode()
    old = [line.split(",") for line in source.splitlines()[1:]]
    new = [line.split(",") for line in (root / "demo/SPX.csv").read_text().splitlines()[1:]]
    assert [row[1:] for row in new] == [[*row[1:5], row[6]] for row in old]
    assert [row[4] for row in old] == [row[5] for row in old]
    assert (old[0][0], new[0][0], new[-1][0]) == ("1/4/1999", "1999-01-04", "2018-12-31")
    assert "arch" not in sys.modules


def test_export_writes_only_what_is_missing_and_keeps_an_edit(root):
    folder = root / "demo"
    before = source_checksum(BUNDLE, root)
    export_missing(folder, read_source_card(folder))
    text = (folder / "SPX.csv").read_text()
    (folder / "SPX.csv").write_text(text.replace("1228.099976", "1228.1", 1))
    (folder / "COMP.csv").unlink()
    assert source_checksum(BUNDLE, root) != before
    written = export_missing(folder, read_source_card(folder))
    assert [path.name for path in written] == ["COMP.csv"]
    assert "1228.1," in (folder / "SPX.csv").read_text()


@pytest.mark.parametrize(
    ("key", "found"), [("sha256", "the exported SPX.csv"), ("source_sha256", "sp500.csv.gz")]
)
def test_export_with_another_checksum_names_both_and_writes_nothing(root, key, found):
    card = yaml.safe_load(CARD.read_text())
    expected = card["files"][0][key]
    card["files"][0][key] = "0" * 64
    (root / "demo/SOURCE.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(DatasetError, match=found) as caught:
        ingest_bundle(BUNDLE, root=root, bundles_dir=root / "bundles")
    assert expected in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert not (root / "demo/SPX.csv").exists()


def test_export_of_a_file_with_adjusted_prices_is_refused(root, monkeypatch):
    package = root / "site/arch"
    (package / "data/sp500").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    rows = "Date,Open,High,Low,Close,Adj Close,Volume\n1/4/1999,2,3,1,2,1.9,5\n"
    packed = gzip.compress(rows.encode(), mtime=0)
    (package / "data/sp500/sp500.csv.gz").write_bytes(packed)
    card = yaml.safe_load(CARD.read_text())
    card["files"] = [{**card["files"][0], "source_sha256": hashlib.sha256(packed).hexdigest()}]
    (root / "demo/SOURCE.yaml").write_text(yaml.safe_dump(card))
    monkeypatch.syspath_prepend(str(root / "site"))
    with pytest.raises(DatasetError, match=r"on 1/4/1999 an adjusted close of 1\.9"):
        export_missing(root / "demo", read_source_card(root / "demo"))


def test_card_with_an_unknown_exporter_or_path_is_refused(root):
    card = yaml.safe_load(CARD.read_text())
    (root / "demo/SOURCE.yaml").write_text(yaml.safe_dump({**card, "exporter": "web"}))
    with pytest.raises(DatasetError, match="exporter 'web'; the known one is arch"):
        source_checksum(BUNDLE, root)
    card["files"][0]["file"] = "../SPX.csv"
    (root / "demo/SOURCE.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(DatasetError, match="leaves its folder"):
        source_checksum(BUNDLE, root)
