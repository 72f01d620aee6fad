"""A batch whose bars are downloaded, from a loopback server instead of an exchange."""

import json

import pytest

from tests.extras import needs
from tests.unit.data.binance import Binance, bars
from tests.unit.data.loopback import Loopback
from tests.workflow.project import Project

pytestmark = needs("ccxt", "ccxt")


def coins(url):
    return {
        "bundles": {
            "coins": {
                "adapter": "ccxt",
                "exchange": "binance",
                "symbols": ["BTC/USDT"],
                "calendar": "24/7",
                "timeframe": "1d",
                "start": "2023-01-01",
                "end": "2023-12-31",
                "base_url": url,
                "exchange_options": {"fetchMarkets": {"types": ["spot"]}},
            }
        },
        "defaults": {"shares": "fractional", "benchmark": None},
        "batch": {
            "coins": {
                "strategy": "strategies/sma.py",
                "bundle": "coins",
                "symbols": ["BTC/USDT"],
                "start": "2023-01-01",
                "end": "2023-12-31",
                "params": {"fast": 5, "slow": 20},
            }
        },
    }


@pytest.mark.slow
def test_a_batch_downloads_its_bars_once(tmp_path):
    binance = Binance()
    binance.bars["BTCUSDT", "1d"] = bars("2023-01-01", 365, "1d")
    with Loopback(binance) as server:
        project = Project.make(tmp_path / "project", coins(server.url))
        project.snakemake()
        asked = len(server.requests)
        again = project.snakemake()
        assert (asked, len(server.requests)) == (2, 2)  # markets, and one page
    assert "Nothing to be done" in again
    receipt = json.loads((project.root / "bundles/coins/receipt.json").read_text())
    assert receipt["sources"][0]["path"] == "ccxt:binance/BTC/USDT"
    (run,) = project.store.glob("*/run.json")
    assert json.loads(run.read_text())["status"] == "completed"
    log = (project.root / "logs/ingest_bundle/coins.log").read_text()
    assert "BTC/USDT: bars 365, pages 1" in log
