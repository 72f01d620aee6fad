# ruff: noqa: E501  the tables of messages read better in lines
from datetime import date
from decimal import Decimal

import pytest

from backtrail.batch.planning.config import schema_problems, with_defaults
from backtrail.batch.planning.requests import expand_batch
from tests.unit.batch.support import batch_config, entry


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
    assert request.settings.commission == {"model": "per_dollar", "cost": Decimal("0.001")}
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


HEIRS = {
    "heir": {"extends": "base", "fill": "next_close"},
    "far": {"extends": "heir", "ledger": "float64"},
}


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ({"bundle": "price"}, "c: batch.base.bundle: there is no bundle 'price'"),
        ({"start": "2021-01-01"}, "c: batch.base: start 2021-01-01 is after end 2020-02-26"),
        ({"where": "a < b"}, "c: batch.base.where: there is no grid"),
        ({"commission": {"model": "none", "cost": 0.1}}, "c: batch.base.commission: model none"),
        ({"grid": {"k": [1, 1]}}, "c: batch.base.grid.k: the value 1 stands twice"),
        ({"grid": {"k": [1]}, "where": "open('x')"}, "c: batch.base.where: \"open('x')\" uses"),
        ({"grid": {"k": [1]}, "where": "k > 1"}, "c: batch.base: where 'k > 1' lets no"),
        ({"grid": {"k": [1, 0]}, "where": "1 / k > 0"}, "c: batch.base: '1 / k > 0' fails for"),
        ({"extends": "bsae"}, "c: batch.base.extends: there is no entry 'bsae'"),
    ],
)  # fmt: skip
def test_an_inherited_mistake_is_told_once_where_it_stands(base, problem):
    for batch in ({"base": entry(**base), **HEIRS}, {**HEIRS, "base": entry(**base)}):
        _, problems = expand(batch=batch)
        assert [str(found)[: len(problem)] for found in problems] == [problem]


def test_a_circle_of_entries_is_told_once_by_whomever_it_is_entered():
    batch = {
        "out": {"extends": "b"},
        "a": {"extends": "b"},
        "b": {"extends": "c"},
        "c": {"extends": "a"},
    }
    _, problems = expand(batch=batch)
    assert [str(found) for found in problems] == [
        "c: batch.c.extends: the chain a -> b -> c -> a never ends; break the circle"
    ]


def test_a_missing_key_is_told_at_the_entry_on_which_the_others_build():
    base = {key: value for key, value in entry().items() if key != "bundle"}
    _, problems = expand(
        batch={**HEIRS, "base": base, "own": {"extends": "far", "bundle": "prices"}}
    )
    assert [(found.where, found.found) for found in problems] == [
        ("c: batch.base", "the key 'bundle' is missing")
    ]


def test_a_mistake_that_an_heir_makes_with_what_it_inherits_is_its_own():
    heir = {"extends": "base", "end": "2020-01-01", "where": "fast > 5"}
    batch = {"base": entry(grid={"fast": [1, 2]}), "heir": heir, "next": {"extends": "heir"}}
    _, problems = expand(batch=batch)
    assert [found.where for found in problems] == ["c: batch.heir"]
    batch["heir"] = {"extends": "base", "where": "fast > 5"}
    _, problems = expand(batch=batch)
    assert [(found.where, found.found[:16]) for found in problems] == [
        ("c: batch.heir", "where 'fast > 5'")
    ]


def test_a_mistake_of_the_defaults_is_told_there_and_once():
    wrong = {"commission": {"model": "none", "cost": 0.1}}
    _, problems = expand(batch={"a": entry(), "b": entry()}, defaults=wrong)
    assert [found.where for found in problems] == ["c: defaults.commission"]


def test_a_request_knows_from_which_entry_its_keys_come():
    batch = {"base": entry(params={"fast": 1}), "heir": {"extends": "base", "grid": {"slow": [5]}}}
    (base, heir), _ = expand(batch=batch)
    assert (base.has_grid, heir.has_grid) == (False, True)
    assert heir.origin("params.fast", "strategy") == "base"
    assert heir.origin("start", "grid.slow") == "heir"


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
        ({"adapter": "bundle"}, "the key 'source' is missing"),
        ({"adapter": "bundle", "source": "price"}, "bundles.prices.source: there is no bundle"),
        ({"adapter": "bundle", "source": ["days", "x"]}, "there is no bundle 'x'"),
        ({"adapter": "bundle", "source": "prices"}, "prices of prices goes round in a circle"),
        (
            {"adapter": "bundle", "source": "days", "timeframe": "1w", "calendar": "24/7"},
            "bundles.prices.calendar: '24/7', where 'days' has 'XNYS'; write XNYS",
        ),
        (
            {"adapter": "bundle", "source": "days", "timeframe": "1h"},
            "bundles.prices.timeframe: 1h of 1d bars of 'days'",
        ),
        (
            {"adapter": "bundle", "source": "days", "timeframe": "1w", "gaps": "fail"},
            "bundles.prices.gaps: is of no use here; drop it, or write it at 'days'",
        ),
    ],
)
def test_a_bundle_must_fit_its_adapter(bundle, message):
    days = {"adapter": "csv", "path": "p", "calendar": "XNYS", "timeframe": "1d"}
    values = {"prices": {"calendar": "XNYS", "timeframe": "1d", **bundle}, "days": days}
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
