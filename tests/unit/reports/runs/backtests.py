"""Plain runs: a small one whose every part can be changed, and a moving-average cross."""

from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtrail.artifacts.schemas import TIMESTAMP

from .store import Store, empty, spec
from .tables import bars_of, fill, moments, results_of, summary_of, table, trade, trade_table

SMA_CODE = '''"""Cross of two means."""

def handle_data(context, data):
    # a tie counts as below
    if 1 < 2 and "</script><b>&":
        order("SPX", 10)
'''


def write_code(store: Store, files: dict[str, str]) -> None:
    """Write captured code; the first file is the strategy."""
    listed = []
    for name, text in files.items():
        path = store.run_dir / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        data = text.encode()
        listed.append({"path": name, "sha256": sha256(data).hexdigest(), "size": len(data)})
    record = {"entry": next(iter(files)), "files": listed}
    store.write_json(store.run_dir / "metadata" / "code_manifest.json", record)


def write_small_run(
    root: Path, *, count: int = 60, equity: np.ndarray | None = None, **changes: Any
) -> Store:
    """Write a run of `count` daily bars on SPX without trades; everything can be changed."""
    store = Store(root)
    times = moments(count)
    close = 100 + np.sin(np.arange(count) / 4) * 10
    values = 1000 + np.cumsum(np.sin(np.arange(count))) if equity is None else equity
    store.write_dataset(bars_of("SPX", times, close), synthetic=changes.pop("synthetic", False))
    store.write_table("backtest_results", results_of(times, values))
    for name in ("trades", "fills", "orders", "positions", "recorded", "corporate_actions"):
        store.write_table(name, changes.pop(name, empty(name)))
    store.write_table(
        "summary", changes.pop("summary", summary_of(total_return=0.125, sharpe_ratio=0.5))
    )
    store.write_spec(spec(**changes))
    store.write_manifest(status="completed", grade="B")
    return store


def sma_cross_run(root: Path, prices: Any, *, fast: int = 10, slow: int = 30) -> Store:
    """Write the run of a moving-average cross: prices are `timestamp, open, high, low, close`."""
    store = Store(root)
    times = prices["timestamp"]
    opens, close = prices["open"], prices["close"]
    high, low = prices["high"], prices["low"]
    mean_fast = np.convolve(close, np.ones(fast) / fast)[: len(close)]
    mean_slow = np.convolve(close, np.ones(slow) / slow)[: len(close)]
    wanted = (mean_fast > mean_slow) & (np.arange(len(close)) >= slow)
    cash, shares, entered, rows, fills = 100_000.0, 0.0, 0, [], []
    equity, held = np.empty(len(close)), np.empty(len(close))
    for i in range(len(close)):
        if i and wanted[i - 1] and not shares:
            shares = cash * 0.9995 // opens[i]
            fills.append(fill(len(fills) + 1, "SPX", times[i], shares, opens[i], 0.0005))
            cash -= shares * opens[i] * 1.0005
            entered = i
        elif i and shares and not wanted[i - 1]:
            cash += shares * opens[i] * 0.9995
            fills.append(fill(len(fills) + 1, "SPX", times[i], -shares, opens[i], 0.0005))
            first = opens[entered]
            gain = shares * (opens[i] * 0.9995 - first * 1.0005)
            rows.append(
                trade(
                    len(rows) + 1,
                    "SPX",
                    times[entered],
                    times[i],
                    entry_price=Decimal(repr(float(first))),
                    exit_price=Decimal(repr(float(opens[i]))),
                    quantity=Decimal(int(shares)),
                    pnl=Decimal(f"{gain:.6f}"),
                    commission=fills[-1]["commission"] + fills[-2]["commission"],
                    **{"return": float(gain / (shares * first))},
                    bars_held=i - entered,
                    mae=float(min(low[entered:i].min() / first - 1, 0)),
                    mfe=float(max(high[entered:i].max() / first - 1, 0)),
                )
            )
            shares = 0.0
        equity[i] = cash + shares * close[i]
        held[i] = shares * close[i] / equity[i]
    frame = pl.DataFrame(
        {
            "symbol": ["SPX"] * len(close),
            "timestamp": times,
            "open": opens,
            "high": high,
            "low": low,
            "close": close,
            "volume": np.ones(len(close)),
        },
        schema_overrides={"timestamp": TIMESTAMP},
    )
    store.write_dataset(frame)
    store.write_table(
        "backtest_results", results_of(times, equity, close) | {"gross_exposure": held}
    )
    store.write_table("trades", trade_table(rows))
    store.write_table("fills", table("fills", fills))
    for name in ("orders", "positions", "corporate_actions"):
        store.write_table(name, empty(name))
    known = range(slow, len(close))
    store.write_table(
        "recorded",
        {
            "timestamp": [times[i] for i in known for _ in range(2)],
            "name": ["mean_slow", "spread"] * len(known),
            "value": [v for i in known for v in (mean_slow[i], mean_fast[i] - mean_slow[i])],
        },
    )
    write_code(store, {"strategies/sma_cross.py": SMA_CODE, "strategies/lib/other.py": "X = 1\n"})
    store.write_table("summary", summary_of(**_sma_metrics(equity, rows)))
    store.write_spec(spec(params={"fast": fast, "slow": slow}))
    store.write_manifest(status="completed", grade="B")
    return store


def _sma_metrics(equity: np.ndarray, rows: list[dict[str, Any]]) -> dict[str, float | None]:
    returns = equity[1:] / equity[:-1] - 1
    gains = [float(row["pnl"]) for row in rows]
    return {
        "total_return": float(equity[-1] / equity[0] - 1),
        "cagr": float((equity[-1] / equity[0]) ** (252 / returns.size) - 1),
        "max_drawdown": float((equity / np.maximum.accumulate(equity) - 1).min()),
        "sharpe_ratio": float(returns.mean() / returns.std(ddof=1) * 252**0.5),
        "sortino_ratio": 0.3,
        "calmar_ratio": 0.06,
        "annual_volatility": float(returns.std(ddof=1) * 252**0.5),
        "alpha": 0.006,
        "beta": 0.33,
        "total_trades": float(len(rows)),
        "win_rate": float(np.mean([gain > 0 for gain in gains])),
        "profit_factor": 1.34,
        "expectancy": 0.005,
        "exposure": 0.61,
        "value_at_risk": float(np.percentile(returns, 5)),
        "conditional_value_at_risk": -0.018,
        "skewness": -0.52,
        "probabilistic_sharpe_ratio": None,
    }
