from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from backtrail.reports.advanced import render_advanced_report
from backtrail.reports.basic import render_basic_report

from . import runs
from .browser import CHROMIUM, Browser


@pytest.fixture(scope="session")
def index_prices() -> dict[str, Any]:
    """Daily S&P 500 prices of 1999 to 2018, from the arch package."""
    import arch.data.sp500

    frame = arch.data.sp500.load()
    prices = {name.lower(): frame[name].to_numpy() for name in ("Open", "High", "Low", "Close")}
    return {"timestamp": [day.to_pydatetime().replace(tzinfo=UTC) for day in frame.index], **prices}


@pytest.fixture(scope="session")
def sma_store(tmp_path_factory: pytest.TempPathFactory, index_prices: Any) -> runs.Store:
    return runs.sma_cross_run(tmp_path_factory.mktemp("sma"), index_prices)


@pytest.fixture(scope="session")
def sma_report(sma_store: runs.Store) -> Path:
    out = sma_store.root / "basic_report.html"
    return render_basic_report(sma_store.run_dir, bundles_dir=sma_store.bundles_dir, out=out)


@pytest.fixture(scope="session")
def advanced_report(sma_store: runs.Store) -> Path:
    out = sma_store.root / "advanced_report.html"
    return render_advanced_report(
        sma_store.run_dir, bundles_dir=sma_store.bundles_dir, out=out, trials="72 runs"
    )


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    opened = Browser()
    yield opened
    opened.close()
