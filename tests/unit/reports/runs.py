"""Run directories for the report tests: written as the workflow writes them, with real schemas."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from backtrail.artifacts.schemas import ARTIFACT_SCHEMAS, TIMESTAMP

DATASET_ID = "1e028cbb9c40aa17"
BACKTEST_ID = "20260301_091500_123"


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict) and key != "params"
        result[key] = merged(base[key], value) if both else value
    return result


def empty(name: str) -> dict[str, list[Any]]:
    return {column: [] for column in ARTIFACT_SCHEMAS[name]}


def spec(**changes: Any) -> dict[str, Any]:
    """Return a run spec; `names`, `bundle` and keys of the identity can be changed."""
    names = changes.pop("names", ["sma-cross"])
    identity = {
        "run_type": "backtest",
        "engine": "event",
        "ledger": "decimal",
        "strategy": {
            "entry": "strategies/sma_cross.py",
            "form": "class",
            "code_hash": "c0de" * 16,
        },
        "dataset": {"dataset_id": DATASET_ID, "calendar": "XNYS", "timeframe": "1d"},
        "symbols": ["SPX"],
        "benchmark": "SPX",
        "start": "1999-01-04",
        "end": "2018-12-31",
        "params": {"fast": 10, "slow": 30},
        "capital_base": "100000",
        "commission": {"model": "per_dollar", "cost": "0.0005"},
        "slippage": {"model": "none"},
        "execution": {
            "fill": "next_open",
            "size_at": "signal_close",
            "shares": "whole",
            "cash_policy": "clip",
        },
        "seed": 20260101,
        "library": "f1b5" * 16,
    }
    return {
        "backtest_id": BACKTEST_ID,
        "run_key": "ab" * 32,
        "identity": merged(identity, changes),
        "labels": {"names": names, "bundle": "us-indices"},
    }


@dataclass(frozen=True)
class Store:
    """A project folder with one run and its dataset."""

    root: Path

    @property
    def run_dir(self) -> Path:
        return self.root / "backtests" / BACKTEST_ID

    @property
    def bundles_dir(self) -> Path:
        return self.root / "bundles"

    @property
    def dataset_dir(self) -> Path:
        return self.bundles_dir / "us-indices" / DATASET_ID

    def write_json(self, path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8")

    def write_spec(self, value: dict[str, Any]) -> None:
        self.write_json(self.run_dir / "metadata" / "run_spec.json", value)

    def write_manifest(self, **value: Any) -> None:
        self.write_json(self.run_dir / "run.json", value)

    def write_table(self, name: str, columns: dict[str, Any]) -> None:
        frame = pl.DataFrame(columns, schema=ARTIFACT_SCHEMAS[name])
        folder = self.run_dir / "results"
        folder.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(folder / f"{name}.parquet")

    def write_dataset(self, bars: pl.DataFrame, *, synthetic: bool = False) -> None:
        self.dataset_dir.mkdir(parents=True, exist_ok=True)
        bars.write_parquet(self.dataset_dir / "bars.parquet")
        self.write_json(
            self.dataset_dir / "manifest.json",
            {"dataset_id": DATASET_ID, "bundle": "us-indices", "synthetic": synthetic},
        )


def moments(count: int, *, start: datetime | None = None, step: timedelta | None = None) -> Any:
    first = start or datetime(2020, 1, 1, tzinfo=UTC)
    gap = step or timedelta(days=1)
    return [first + index * gap for index in range(count)]


def bars_of(symbol: str, times: Any, close: np.ndarray, spread: float = 0.01) -> pl.DataFrame:
    opens = np.concatenate((close[:1], close[:-1]))
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(close),
            "timestamp": times,
            "open": opens,
            "high": np.maximum(opens, close) * (1 + spread),
            "low": np.minimum(opens, close) * (1 - spread),
            "close": close,
            "volume": np.full(len(close), 1000.0),
        },
        schema_overrides={"timestamp": TIMESTAMP},
    )


def results_of(times: Any, equity: np.ndarray, benchmark: np.ndarray | None = None) -> Any:
    peak = np.maximum.accumulate(equity)
    returns = [None, *(equity[1:] / equity[:-1] - 1).tolist()]
    return {
        "timestamp": times,
        "portfolio_value": equity,
        "cash": equity,
        "positions_value": np.zeros(len(equity)),
        "gross_exposure": np.zeros(len(equity)),
        "net_exposure": np.zeros(len(equity)),
        "returns": returns,
        "drawdown": np.where(peak > 0, equity / peak - 1, 0.0),
        "benchmark_returns": [None] * len(equity)
        if benchmark is None
        else [None, *(benchmark[1:] / benchmark[:-1] - 1).tolist()],
    }


def summary_of(**values: float | None) -> dict[str, list[Any]]:
    fractions = {
        "total_return",
        "cagr",
        "max_drawdown",
        "annual_volatility",
        "win_rate",
        "exposure",
        "value_at_risk",
        "conditional_value_at_risk",
        "alpha",
        "expectancy",
    }
    counts = {"total_trades"}
    return {
        "metric": list(values),
        "value": list(values.values()),
        "unit": [
            "fraction" if name in fractions else "count" if name in counts else "ratio"
            for name in values
        ],
        "assumption": [f"{name}: 252 periods per year, simple returns" for name in values],
    }


def trade(number: int, symbol: str, entry: datetime, leave: datetime | None, **changes: Any) -> Any:
    row = {
        "trade_id": number,
        "symbol": symbol,
        "side": "long",
        "entry_at": entry,
        "exit_at": leave,
        "entry_price": Decimal("100"),
        "exit_price": None if leave is None else Decimal("101"),
        "quantity": Decimal("10"),
        "pnl": Decimal("10"),
        "commission": Decimal("0"),
        "slippage": Decimal("0"),
        "return": 0.01,
        "bars_held": 3,
        "mae": -0.01,
        "mfe": 0.02,
        "is_open": leave is None,
    }
    return {**row, **changes}


def table(artifact: str, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in ARTIFACT_SCHEMAS[artifact]}


def trade_table(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return table("trades", rows)


def fill(
    number: int, symbol: str, moment: datetime, quantity: float, price: float, cost: float
) -> dict[str, Any]:
    value = Decimal(f"{quantity * price:.6f}")
    return {
        "fill_id": number,
        "order_id": number,
        "timestamp": moment,
        "symbol": symbol,
        "quantity": Decimal(f"{quantity:.6f}"),
        "price": Decimal(f"{price:.6f}"),
        "value": value,
        "commission": abs(value) * Decimal(repr(cost)),
        "slippage": Decimal(0),
        "cash_after": Decimal(0),
        "reason": "order",
    }


SMA_CODE = '''"""Cross of two means."""

def handle_data(context, data):
    # a tie counts as below
    if 1 < 2 and "</script><b>&":
        order("SPX", 10)
'''


def write_code(store: "Store", files: dict[str, str]) -> None:
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


LUCK = {
    "trials": {"own": 72, "all": 90, "effective": 6.2},
    "psr": 0.985,
    "dsr": 0.31,
    "expected_maximum_sharpe": 0.61,
    "pbo": {"probability": 0.58},
    "spa": {"lower": 0.4, "p_value": 0.62, "upper": 0.8},
    "reality_check": {"p_value": 0.71},
}


def search_run(
    root: Path,
    *,
    fast: Any = (5, 10, 15, 20, 30, 40),
    slow: Any = tuple(range(50, 170, 10)),
    luck: Any = LUCK,
    verdict: str | None = "The best of 72 sets looks superb by itself; no edge is left of it.",
    curves: int = 5,
    **changes: Any,
) -> Store:
    """Write a run that searched two parameters and a name; every twelfth set failed."""
    store = write_small_run(root, **{"run_type": "optimization", **changes})
    pairs = [(a, b) for a in fast for b in slow]
    count = len(pairs)
    numbers = np.arange(count)
    broken = numbers % 12 == 11
    cagr = 0.06 + 0.04 * np.sin(numbers / 3) - numbers / count * 0.03
    drawdown = -0.2 - 0.15 * np.cos(numbers / 5) ** 2
    sharpe = np.round(cagr / 0.12, 6)

    def where_made(values: Any) -> list[Any]:
        return [None if b else v for v, b in zip(values.tolist(), broken, strict=True)]

    objective = where_made(sharpe)
    ranked = sorted((i for i in range(count) if not broken[i]), key=lambda i: -sharpe[i])
    rank = {number: place + 1 for place, number in enumerate(ranked)}
    frame = pl.DataFrame(
        {
            "set": numbers,
            "params.fast": [a for a, _ in pairs],
            "params.slow": [b for _, b in pairs],
            "params.mode": [("even", "odd </script>")[i % 2] for i in range(count)],
            "cagr": where_made(cagr),
            "sharpe_ratio": objective,
            "max_drawdown": where_made(drawdown),
            "total_trades": where_made(10.0 + numbers % 7),
            "profit_factor": [float("inf") if i == 3 else v for i, v in enumerate(objective)],
            "objective": objective,
            "admissible": ~broken,
            "rank": [rank.get(i) for i in range(count)],
            "error": ["ValueError: <b>no window</b>" if b else None for b in broken],
        }
    )
    results = store.run_dir / "results"
    frame.write_parquet(results / "optimization_results.parquet")
    made = frame.filter(~pl.Series(broken))
    front = [
        row["set"]
        for row in made.iter_rows(named=True)
        if not made.filter(
            (pl.col("cagr") >= row["cagr"])
            & (pl.col("max_drawdown") >= row["max_drawdown"])
            & (pl.col("set") != row["set"])
        ).height
    ]
    frame.filter(pl.col("set").is_in(front)).write_parquet(results / "frontier.parquet")
    best = ranked[0]
    store.write_json(
        results / "selection.json",
        {
            "set": best,
            "params": {"fast": pairs[best][0], "slow": pairs[best][1], "mode": "even"},
            "objective": {"words": "sharpe_ratio", "value": float(sharpe[best])},
            "select": "best",
        },
    )
    if luck:
        store.write_json(results / "validation/overfitting/overfitting.json", luck)
    if verdict:
        store.write_json(results / "validation/verdict.json", {"summary": verdict})
    times = moments(30)
    parts = [
        pl.DataFrame(
            {
                "set": [number] * 30,
                "timestamp": times,
                "equity": 1.0 + np.arange(30) * 0.01 * (place + 1),
            },
            schema_overrides={"timestamp": TIMESTAMP},
        )
        for place, number in enumerate(ranked[:curves])
    ]
    if parts:
        pl.concat(parts).write_parquet(results / "optimization_curves.parquet")
    return store


def write_validation(store: Store, **changes: Any) -> None:
    """Write what the stages of validation leave of a run; a part set to None is left out."""

    def window(first: str, last: str) -> dict[str, Any]:
        return {"first_at": f"{first}T00:00:00+00:00", "last_at": f"{last}T00:00:00+00:00"}

    def period(fold: int, out: float) -> dict[str, Any]:
        return {
            "fold": fold,
            "in_sample": window(f"200{fold}-01-03", f"200{fold}-12-28"),
            "out_of_sample": window(f"200{fold + 1}-01-09", f"200{fold + 1}-06-30"),
            "params": {"fast": 5 + fold, "slow": 60},
            "in_sample_figure": 0.81,
            "out_of_sample_figure": out,
            "in_sample_annual_return": 0.0812,
            "out_of_sample_annual_return": out / 10,
        }

    quantiles = {"0.05": -0.31, "0.5": -0.2, "0.95": -0.1}
    parts: dict[str, Any] = {
        "verdict": {
            "summary": "The best of 72 sets looks superb by itself, but <b>luck</b>: no edge.",
            "passed": False,
            "gates": [
                {"name": "psr", "passed": True, "words": "surely above zero (PSR 0.99)"},
                {"name": "dsr", "passed": False, "words": "luck of 72 trials (DSR 0.31)"},
            ],
            "holdout": {"start": "2016-01-04", "end": "2018-12-31", "words": "withheld"},
        },
        "overfitting/overfitting": {**LUCK, "assumptions": ["annual, 252 bars"]},
        "walk-forward/period-results": {
            "metric": "sharpe_ratio",
            "periods": [period(1, 0.42), period(2, -0.3)],
        },
        "walk-forward/efficiency-metrics": {
            "efficiency": None,
            "efficiency_words": "out of sample over in sample",
            "degradation": 0.25,
            "degradation_words": "1 less the ratio",
            "total_return": 0.1234,
        },
        "walk-forward/stability-metrics": {
            "parameters": [
                {"name": "fast", "values": [6, 7], "low": 5, "high": 10, "share": 1.0},
                {"name": "slow", "values": [60, None], "low": None, "high": None, "share": None},
            ]
        },
        "monte-carlo/confidence-intervals": {
            "intervals": [
                {
                    "statistic": "cagr",
                    "observed": 0.0533,
                    "low": 0.0029,
                    "high": 0.1054,
                    "level": 0.95,
                }
            ]
        },
        "monte-carlo/simulation-results": {
            "reordering": {"max_drawdown": {"observed": -0.18, "quantiles": quantiles}}
        },
        "controls/bias": {
            "checks": {
                "look_ahead": {
                    "passed": False,
                    "words": "At bar 40 a decision changed.",
                    "false_alarm_rate": 0.0,
                }
            }
        },
    }
    for name, value in {**parts, **changes}.items():
        if value is not None:
            store.write_json(store.run_dir / "results/validation" / f"{name}.json", value)
