"""Runs a strategy of backtrail on zipline-reloaded: `PYTHON zipline_driver.py FOLDER`.

FOLDER holds `task.json` and `bars.npz`; `answer.json` is written beside them. See
`backtrail.crosscheck.protocol` for what they hold. This file is started by zipline's own Python,
which need not have backtrail: its folder is in the task.
"""

import json
import sys
import traceback
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main(folder: Path) -> int:
    """Run the task of a folder, and write the answer there."""
    task = json.loads((folder / "task.json").read_text())
    # Behind everything else: zipline's environment has its own packages.
    sys.path.append(task["library"])
    # Python put the script's folder first; its modules are found as parts of the package.
    sys.path[:1] = task["import_paths"]
    warnings.filterwarnings("ignore")
    try:
        answer = run(folder, task)
    except Exception as error:  # noqa: BLE001  whatever the user's code raises is the answer
        trace = traceback.format_exc(limit=-3)
        answer = {"error": f"{type(error).__name__}: {error}", "trace": trace}
    (folder / "answer.json").write_text(json.dumps(answer, allow_nan=False))
    return 0


def run(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Return fills and equity of a strategy on zipline."""
    import numpy as np
    import pandas as pd
    from zipline.algorithm import TradingAlgorithm
    from zipline.api import set_commission, set_slippage
    from zipline.finance.trading import SimulationParameters

    from backtrail.crosscheck.zipline_account import Account, Context, Data
    from backtrail.crosscheck.zipline_fills import Filled, PolicyFills, commission_of
    from backtrail.crosscheck.zipline_strategy import calls_of
    from backtrail.crosscheck.zipline_world import make_world
    from backtrail.engine import Bars

    with np.load(folder / "bars.npz") as stored:
        columns = {name: stored[name] for name in stored.files}
    bars = Bars(
        symbols=tuple(task["symbols"]),
        calendar=task["calendar"],
        timeframe=task["timeframe"],
        **columns,
    )
    prices = {name: columns[name] for name in ("open", "high", "low", "close", "volume")}
    world = make_world(
        folder,
        symbols=bars.symbols,
        timestamps=bars.timestamps,
        columns=prices,
        splits=bars.splits,
        dividends=bars.dividends,
        delisted=bars.delisted.tolist(),
        calendar=task["calendar"],
    )
    account = Account(bars, world.finder.retrieve_all(range(len(bars.symbols))))
    data = Data(account)
    capital = float(task["capital_base"])
    calls = calls_of(
        task, account, data, lambda params: Context(account, params, capital, task["seed"])
    )
    rows = {int(stamp) * 1000: row for row, stamp in enumerate(bars.timestamps.tolist())}
    filled: list[Filled] = []

    def initialize(context: Any) -> None:
        account.algorithm = context
        calls.initialize()
        commission = commission_of(task["commission"], account.commission, filled)
        set_slippage(PolicyFills(account, task["rules"], commission))
        set_commission(commission)

    def handle_data(_: Any, now: Any) -> None:
        row = rows.get(pd.Timestamp(now.current_session).value)
        if row is not None:  # a session of the calendar on which no symbol has a bar
            account.begin_bar(row, now)
            calls.bar(row)

    sessions = world.calendar.sessions_in_range(world.first, world.last)
    algorithm = TradingAlgorithm(
        sim_params=SimulationParameters(world.first, world.last, world.calendar, capital),
        data_portal=world.portal,
        trading_calendar=world.calendar,
        initialize=initialize,
        handle_data=handle_data,
        benchmark_returns=pd.Series(0.0, index=sessions),
    )
    perf = algorithm.run()
    days = (pd.Timestamp(session).value for session in sessions)
    values = dict(zip(days, perf["portfolio_value"], strict=True))
    return {
        "engine": "zipline",
        "versions": {name: version(name) for name in ("zipline-reloaded", "pandas", "numpy")},
        "fills": [
            {
                "row": rows[fill.session],
                "symbol": fill.symbol,
                "quantity": fill.quantity,
                "price": fill.price,
                "commission": fill.commission,
            }
            for fill in filled
        ],
        "equity": [float(values[stamp]) for stamp in rows],
        "notes": world.notes,
    }


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
