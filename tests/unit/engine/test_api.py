import subprocess
import sys
from contextvars import copy_context
from types import ModuleType

import pytest

from backtrail.engine import api, load_strategy, run_event
from backtrail.errors import StrategyError

from .support import config, make_bars

SOURCE = """
from backtrail.engine.api import *
from backtrail.engine import api

def initialize(context):
    context.assets = symbols("A", "B")
    context.first = symbol("A")

def handle_data(context, data):
    if not context.portfolio.positions:
        api.order("A", 1)
        api.order_value("A", 10)
        api.order_percent("A", 0.01)
        api.order_target("B", 2)
        api.order_target_value("B", 30)
        api.order_target_percent("B", 0.04)
        cancel_order(get_open_orders("A")[0].id)
        record(open=len(get_open_orders()))

def analyze(context, perf):
    context.portfolio.final = None
"""


def test_function_form_places_every_kind_of_order():
    module = ModuleType("functions")
    exec(
        SOURCE.replace("    context.portfolio.final = None", "    assert perf.tables"),
        module.__dict__,
    )
    tables = run_event(
        load_strategy(module), make_bars({"A": [10, 10], "B": [10, 10]}), config()
    ).tables
    assert tables["orders"]["sizing"][:6] == [
        "shares", "value", "percent", "target", "target_value", "target_percent",
    ]  # fmt: skip
    assert tables["fills"]["quantity"] == [1, 1, 2, 1, 1]
    assert tables["recorded"]["value"] == [2.0]


def test_functions_outside_of_a_run_are_an_error():
    with pytest.raises(StrategyError, match="no run is active"):
        api.order("A", 1)


def test_run_inside_another_context_leaves_this_one_unbound():
    module = ModuleType("functions")
    exec(
        "from backtrail.engine.api import order\ndef handle_data(c, d): order('A', 1)\n",
        module.__dict__,
    )
    bars = make_bars({"A": [1, 1]})
    copy_context().run(run_event, load_strategy(module), bars, config())
    with pytest.raises(StrategyError, match="no run is active"):
        api.symbol("A")


def test_engine_and_metrics_import_no_heavy_library():
    code = (
        "import sys, backtrail.engine, backtrail.engine.api, backtrail.metrics\n"
        "heavy = set('polars pandas pyarrow scipy sqlalchemy numba jinja2 arch'.split())\n"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
