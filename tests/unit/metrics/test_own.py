import types
from decimal import Decimal

import numpy as np
import pytest

from backtrail.batch.history.comparing import FACTS
from backtrail.catalog.tables import runs
from backtrail.errors import StrategyError
from backtrail.metrics import RunMaterial, metric, summarize
from backtrail.metrics.own import own_metrics, own_rows, own_value
from backtrail.metrics.summary import metric_names

DAY = 86_400_000_000
TRADES = {
    "trade_id": [1, 2, 3],
    "symbol": ["AAA", "BBB", "AAA"],
    "entry_at": [0, DAY, 2 * DAY],
    "exit_at": [DAY, 2 * DAY, None],
    "pnl": [Decimal("4.5"), Decimal("-1.25"), Decimal(9)],
    "return": [0.045, None, 0.09],
    "bars_held": [1, 1, 1],
    "is_open": [False, False, True],
}


@metric
def worst_two(returns):
    """Mean of the two worst returns.

    Of one bar.
    """
    return float(np.sort(returns)[:2].mean())


def found(*functions, **names):
    namespace = {**{function.__name__: function for function in functions}, **names}
    return own_metrics(namespace, strategy="mine", builtin=metric_names)


def material(equity=(100.0, 110.0, 99.0, 99.0), trades=None):
    return RunMaterial(equity, np.arange(len(equity)) * DAY, 252.0, trades)


def test_marked_functions_are_metrics_by_the_name_they_have_in_the_file():
    def unmarked(returns):
        return 1.0

    one, other = found(worst_two, unmarked, left_tail=worst_two, numbers=[1, 2], np=np)
    assert (one.name, other.name) == ("worst_two", "left_tail")
    assert (one.wants, one.unit, one.assumption) == (
        ("returns",), "ratio", "Mean of the two worst returns.",
    )  # fmt: skip
    assert one.function is worst_two
    assert own_value(one, material()) == pytest.approx((-0.1 + 0.0) / 2, abs=1e-15)


def test_a_mark_says_unit_and_assumption():
    @metric(unit="fraction", assumption="of all bars")
    def share(equity, timestamps, periods_per_year, power=2):
        return np.float32((equity[-1] / equity[0]) ** power)

    (own,) = found(share)
    assert own.wants == ("equity", "timestamps", "periods_per_year")
    (row,) = own_rows([own], material((100.0, 50.0)))
    assert (row.metric, row.value, row.unit, row.assumption) == (
        "share", 0.25, "fraction", "of all bars",
    )  # fmt: skip


def test_a_unit_that_there_is_not_is_refused():
    with pytest.raises(StrategyError, match=r"no unit 'percent' of metrics; use one of fraction,"):
        metric(unit="percent")


def test_what_a_metric_is_given_is_read_only_and_of_closed_trades():
    seen = {}

    @metric
    def look(returns, equity, timestamps, trades, periods_per_year):
        seen.update(locals())

    (own,) = found(look)
    (row,) = own_rows([own], material(trades=TRADES))
    assert row.value is None
    assert row.assumption == "undefined: the strategy says so (defined by the strategy)"
    assert seen["returns"].tolist() == pytest.approx([0.1, -0.1, 0.0])
    assert seen["timestamps"].tolist()[1].isoformat() == "1970-01-02T00:00:00"
    assert seen["periods_per_year"] == 252.0
    trades = seen["trades"]
    assert trades["pnl"].tolist() == [4.5, -1.25]
    assert trades["symbol"].tolist() == ["AAA", "BBB"]
    assert trades["exit_at"][1] == np.datetime64("1970-01-03")
    assert np.isnan(trades["return"][1])
    assert "is_open" not in trades
    for values in (seen["returns"], seen["equity"], seen["timestamps"], trades["pnl"]):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = values[1]


@pytest.mark.parametrize("equity", [(100.0,), (100.0, 0.0, 5.0)])
def test_a_metric_of_returns_is_undefined_where_there_are_none(equity):
    @metric
    def last(equity):
        return equity[-1]

    one, other = own_rows(found(worst_two, last), material(equity))
    assert (one.value, one.assumption) == (None, "undefined: equity has no returns")
    assert other.value == equity[-1]


def test_a_metric_against_the_benchmark_sees_the_same_bars_and_is_undefined_without_one():
    @metric
    def ahead(returns, benchmark_returns):
        assert not benchmark_returns.flags.writeable
        return float((returns - benchmark_returns).sum())

    equity, (own,) = (100.0, 110.0, 99.0), found(ahead)

    def row(*benchmark):
        run = RunMaterial(equity, [0, DAY, 2 * DAY], 252.0, None, benchmark or None)
        return own_rows([own], run)[0]

    assert row(None, 0.05, -0.2).value == pytest.approx(0.05 + 0.1)
    without = (None, "undefined: there is no benchmark")
    assert (row().value, row().assumption) == without
    assert (row(None, None, None).value, row(None, float("nan"), None).assumption) == without


@pytest.mark.parametrize(
    ("value", "shown"),
    [(float("nan"), "nan"), (float("inf"), "inf"), (True, "True"), ("1", "'1'"), ([1.0], "[1.0]")],
)
def test_anything_but_a_finite_number_or_none_is_refused(value, shown):
    @metric
    def odd(returns):
        return value

    with pytest.raises(StrategyError) as error:
        own_value(found(odd)[0], material())
    assert str(error.value) == (
        f"metric odd returned {shown}; it has to be a finite number, or None where it is undefined"
    )


def test_a_metric_that_raises_is_named_with_where_it_raised():
    @metric
    def share(returns):
        return 1 / 0

    with pytest.raises(StrategyError, match="metric share raised ZeroDivisionError: division") as e:
        own_value(found(share)[0], material())
    assert e.traceback[-1].name == "share"


def test_a_metric_cannot_take_the_place_of_a_column_of_runs():
    columns = {*FACTS, *runs.c.keys()} - set(metric_names())
    for name in (*sorted(columns), "param_fast", "own_json"):
        with pytest.raises(StrategyError, match=f"metric {name} .* column of the results"):
            found(**{name: worst_two})


def test_every_metric_of_a_run_has_its_name_for_itself():
    names = [row.metric for row in summarize([1.0, 2.0, 3.0], [0, 1, 2], periods_per_year=252)]
    assert list(metric_names()) == names
    for name in ("sharpe_ratio", "net_pnl", "beta"):
        with pytest.raises(StrategyError) as error:
            found(**{name: worst_two})
        assert str(error.value) == (
            f"metric {name} of strategy mine has the name of a metric of every run; rename it"
        )


@pytest.mark.parametrize("name", ["rank", "objective", "Tail", "_tail", "größe"])
def test_a_metric_has_a_name_that_a_column_can_have(name):
    with pytest.raises(
        StrategyError, match=f"metric {name} of strategy mine has a name that a col"
    ):
        found(**{name: worst_two})


def test_a_metric_takes_what_there_is():
    @metric
    def strange(returns, prices, *more):
        return 0.0

    @metric
    def nothing():
        return 0.0

    with pytest.raises(StrategyError) as error:
        found(strange)
    assert str(error.value) == (
        "metric strange of strategy mine takes prices, *more; its parameters have to be some of "
        "returns, benchmark_returns, equity, timestamps, trades, periods_per_year, "
        "risk_free_per_period"
    )
    with pytest.raises(StrategyError, match="metric nothing of strategy mine takes nothing"):
        found(nothing)


def test_an_imported_module_is_no_metric_and_is_asked_for_nothing():
    class Curious:
        def __getattr__(self, name):
            raise AssertionError(name)

    assert found(lib=types.ModuleType("lib"), thing=Curious()) == ()
