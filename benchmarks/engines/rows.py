"""The rows of the speed table: which variant of which engine runs which case."""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        title: What stands in the table.
        peer: Name in `PEERS`; None is backtrail.
        variants: Case to variant of the engine's script. `daily1 empty` is the case `daily1` with
            an empty handler. Slow engines run `min100k`, a tenth of the minute bars.
        form: How the strategy is written.
        note: What a reader has to know beside the figure.
        is_slow: Whether minute bars take minutes.
    """

    title: str
    peer: str | None
    variants: dict[str, str] = field(hash=False)
    form: str
    note: str = ""
    is_slow: bool = False

    @property
    def key(self) -> str:
        """Unique name."""
        return f"{self.title}, {self.form}"


def _own(form: str, ledger: str, title: str) -> Row:
    cases = {case: f"{form}, {ledger}" for case in ("daily1", "daily50", "min1")}
    if form == "look-up":
        cases["daily1 empty"] = f"empty, {ledger}"
    return Row(f"**backtrail**, {ledger}", None, cases, title)


_LOOK_UP: Final = "event, indicators looked up"
_HISTORY: Final = "event, `history` at every bar"
_ARRAYS: Final = "arrays"

ROWS: Final = (
    _own("look-up", "decimal", _LOOK_UP),
    _own("look-up", "float64", _LOOK_UP),
    _own("history", "decimal", _HISTORY),
    _own("history", "float64", _HISTORY),
    _own("signal", "decimal", _ARRAYS),
    _own("signal", "float64", _ARRAYS),
    Row("raptorbt (Rust)", "raptorbt", {"daily1": "arrays", "min1": "arrays"}, _ARRAYS,
        "no order list; no shared cash"),
    Row("vectorbt (Numba)", "vectorbt",
        {"daily1": "single", "daily50": "shared", "min1": "single"}, _ARRAYS),
    Row("raptorbt (Rust)", "raptorbt",
        {"daily1": "look-up", "daily1 empty": "empty", "min1": "look-up"}, _LOOK_UP),
    Row("raptorbt (Rust)", "raptorbt", {"daily1": "history", "min1": "history"}, _HISTORY),
    Row("backtesting.py", "backtesting",
        {"daily1": "look-up", "daily1 empty": "empty", "min1": "look-up"}, _LOOK_UP,
        "no shared cash"),
    Row("pybroker", "pybroker",
        {"daily1": "history", "daily1 empty": "empty", "daily50": "history",
         "min100k": "history"}, _HISTORY, "Decimal", is_slow=True),
    Row("nautilus_trader 1", "nautilus",
        {"daily1": "history", "daily1 empty": "empty", "daily50": "history",
         "min100k": "history"}, _HISTORY, is_slow=True),
    Row("backtrader", "backtrader",
        {"daily1": "at open", "daily50": "at close", "min100k": "at open"}, _LOOK_UP,
        is_slow=True),
    Row("bt", "bt", {"daily1": "weights"}, "weights at changes only"),
    Row("zipline-reloaded", "zipline",
        {"daily1": "history", "daily1 empty": "empty", "daily50": "history",
         "min100k": "history"}, _HISTORY, is_slow=True),
)  # fmt: skip

SWEEPS: Final = (
    Row("**backtrail**", None, {"daily1": "sweep"}, "ten metrics"),
    Row("**backtrail**", None, {"daily1": "sweep, step form"}, "ten metrics, a step at each bar"),
    Row("raptorbt (Rust)", "raptorbt", {"daily1": "sweep"}, "48 metrics, one call per set"),
    Row("vectorbt (Numba)", "vectorbt", {"daily1": "sweep"}, "total return, blocks of 1,000"),
    Row("vectorbt (Numba)", "vectorbt", {"daily1": "sweep, at once"}, "total return, all at once"),
    Row("vectorbt (Numba)", "vectorbt", {"daily1": "sweep, four metrics"},
        "four metrics, blocks of 1,000"),
)  # fmt: skip

# Microseconds per bar measured before this command existed, on another machine of two cores: for
# peers that it does not run, and for those that could not be installed.
EARLIER: Final = {
    "nautilus_trader 2.0.0rc6": (17.0, 5.0, None, 38.2),
    "rustybt 0.3.3": (1734.0, 1096.0, 257.0, 318.0),
    "raptorbt": (8.2, 2.3, 8.4, 9.7),
    "vectorbt": (1.5, None, 0.20, 0.12),
    "backtesting": (7.5, None, 8.6, 5.8),
    "nautilus": (54.0, 21.0, 82.0, 101.0),
    "pybroker": (33.0, None, 20.0, 41.6),
    "backtrader": (66.0, None, 66.0, 74.5),
    "bt": (347.0, None, 39.0, 1419.0),
    "zipline": (1136.0, 542.0, 234.0, 338.0),
}
