# ruff: noqa: E501  the tables of messages read better in lines
from datetime import date
from decimal import Decimal

import pytest

from backtrail.batch.config import schema_problems, with_defaults
from backtrail.batch.requests import expand_batch

from .support import batch_config, entry


def expand(**sections):
    config = batch_config(**sections)
    assert schema_problems(config, "c") == []
    return expand_batch(with_defaults(config), "c")


def only_problem(**sections):
    _requests, problems = expand(**sections)
    assert len(problems) == 1, problems
    return str(problems[0])


def test_an_entry_becomes_one_run_with_exact_money():
    requests, problems = expand(
        defaults={"capital_base": 0.1, "commission": {"model": "per_dollar", "cost": 0.001}}
    )
    assert problems == []
    (request,) = requests
    assert (request.name, request.symbols, request.start) == ("sma", ("AAA",), date(2020, 1, 2))
    assert request.settings.capital_base == Decimal("0.1")
    assert request.settings.commission_cost == Decimal("0.001")
    assert request.settings.fill == "next_open"


def test_a_grid_becomes_named_runs_in_its_order():
    requests, _ = expand(
        batch={"g": entry(grid={"fast": [2, 3], "slow": {"min": 4, "max": 8, "step": 4}},
                          where="slow > 2 * fast", params={"mode": "x"})}
    )  # fmt: skip
    assert [request.name for request in requests] == ["g/fast=2,slow=8", "g/fast=3,slow=8"]
    assert requests[0].params == {"mode": "x", "fast": 2, "slow": 8}


def test_extends_takes_over_what_is_not_said_and_merges_parameters():
    requests, problems = expand(
        batch={
            "c": {"extends": "b", "params": {"slow": 9}},
            "b": {"extends": "a", "symbols": "all", "fill": "next_close", "params": {"fast": 2}},
            "a": entry(params={"fast": 1, "slow": 5}, grid={"k": [1, 2]}),
        }
    )
    assert problems == []
    assert [request.name for request in requests][:2] == ["c/k=1", "c/k=2"]
    first = requests[0]
    assert first.params == {"fast": 2, "slow": 9, "k": 1}
    assert first.symbols is None
    assert (first.settings.fill, requests[4].settings.fill) == ("next_close", "next_open")


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"a": {"extends": "b"}, "b": {"extends": "a"}}, "the chain a -> b -> a never ends; break the circle"),
        ({"sma": {"extends": "smaa"}, "smb": entry()}, "c: batch.sma.extends: there is no entry 'smaa'; did you mean 'sma'?"),
        ({"a": entry(bundle="price")}, "c: batch.a.bundle: there is no bundle 'price'; did you mean 'prices'?"),
        ({"a": entry(start="2021-01-01")}, "start 2021-01-01 is after end 2020-02-26; exchange them"),
        ({"a": entry(where="a < b")}, "c: batch.a.where: there is no grid to filter"),
        ({"a": entry(grid={"k": [1, 1]})}, "the value 1 stands twice"),
        ({"a": entry(grid={"k": [1]}, where="k > 1")}, "where 'k > 1' lets no combination of the grid pass"),
        ({"a": entry(grid={"k": [1]}, where="open('x')")}, "not allowed here"),
        ({"a": entry(commission={"model": "none", "cost": 0.1})}, "model none has the cost 0.1; name a model or drop the cost"),
        ({"a": {"extends": "b", "end": "2020-01-01"}, "b": entry()}, "c: batch.a: start 2020-01-02 is after end 2020-01-01"),
    ],
)  # fmt: skip
def test_a_mistake_between_keys_is_named(batch, message):
    _, problems = expand(batch=batch)
    assert message in str(problems[0])


def test_every_missing_key_of_an_entry_is_named():
    _, problems = expand(batch={"a": {"symbols": ["AAA"]}})
    found = [problem.found for problem in problems]
    assert found == [
        f"the key {key!r} is missing" for key in ("strategy", "bundle", "start", "end")
    ]
    assert problems[0].remedy == "add 'strategy' here or in an entry it extends"


def test_one_wrong_entry_leaves_the_others():
    requests, problems = expand(batch={"bad": entry(bundle="nope"), "good": entry()})
    assert [request.name for request in requests] == ["good"]
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        ({"adapter": "csv"}, "a csv bundle has no 'path'"),
        (
            {"adapter": "csv", "path": "p", "kind": "daily_universe"},
            "'csv' bundles have no such option",
        ),
    ],
)
def test_a_bundle_must_fit_its_adapter(bundle, message):
    values = {"prices": {"calendar": "XNYS", "timeframe": "1d", **bundle}}
    assert message in only_problem(bundles=values)


def test_a_synthetic_bundle_reads_no_file_and_needs_its_options():
    values = {
        "prices": {"calendar": "XNYS", "timeframe": "1d", "adapter": "synthetic", "path": "p"}
    }
    _, problems = expand(bundles=values)
    found = [problem.found for problem in problems]
    assert found[0] == "a synthetic bundle reads no files"
    assert "the key 'kind' is missing" in found
    assert "the key 'seed' is missing" in found
