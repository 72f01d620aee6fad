# ruff: noqa: E501  the tables of messages read better in lines
import pytest

from backtrail.batch.planning.config import load_schema, schema_problems, with_defaults
from backtrail.batch.planning.plan import make_plan
from backtrail.batch.planning.requests import expand_batch
from backtrail.batch.planning.resolving import resolve_runs
from backtrail.batch.planning.searches import MOST_SETS, probed_params
from backtrail.errors import ConfigError
from backtrail.optimization.search import SWEEP_METRICS, Search
from backtrail.validation.verdict import DEFAULT_GATES
from tests.unit.batch.support import batch_config, entry, shared_sandbox

SPACE = {"fast": [2, 3], "slow": {"min": 4, "max": 8, "step": 2}}


def search_entry(optimize=None, **keys):
    return entry(optimize={"space": SPACE, **(optimize or {})}, **keys)


def expand(**sections):
    config = batch_config(**sections)
    assert schema_problems(config, "c") == []
    return expand_batch(with_defaults(config), "c")


def problems(**keys):
    _requests, found = expand(batch={"s": keys.pop("entry", None) or search_entry(**keys)})
    return [str(problem) for problem in found]


def test_a_search_is_one_run_with_its_space_in_order_and_defaults_filled_in():
    requests, found = expand(
        batch={"s": search_entry(params={"fast": 9, "mode": "x"}, where="fast < slow")}
    )
    assert found == []
    (request,) = requests
    assert (request.name, request.entry) == ("s", "s")
    assert request.params == {"mode": "x"}, "what is searched is not fixed"
    assert request.search == {
        "space": [
            {"name": "fast", "values": [2, 3]},
            {"name": "slow", "values": {"min": 4, "max": 8, "step": 2}},
        ],
        "where": "fast < slow",
        "method": "grid",
        "samples": None,
        "objective": "sharpe_ratio",
        "constraints": [],
        "select": "best",
    }
    assert request.validate is None


def test_what_is_to_be_validated_has_every_default():
    (request,), _ = expand(
        batch={
            "s": search_entry(
                validate={"holdout": {"start": "2020-02-03"}, "overfitting": {"against": "cash"}}
            )
        }
    )
    assert request.validate["holdout"]["start"] == "2020-02-03"
    overfitting = request.validate["overfitting"]
    assert (overfitting["against"], overfitting["blocks"], overfitting["block"]) == (
        "cash",
        16,
        None,
    )
    assert overfitting["bootstraps"] == 1000
    assert set(request.validate) == {"holdout", "overfitting", "gates"}


def test_the_gates_of_the_config_are_those_of_the_verdict():
    gates = load_schema()["$defs"]["validate"]["properties"]["gates"]["properties"]
    defaults = {name: gate["default"] for name, gate in gates.items() if name != "bias"}
    assert len(defaults) >= 7
    assert defaults == {name: DEFAULT_GATES[name] for name in defaults}


def test_the_description_of_the_objective_names_every_metric():
    text = load_schema()["$defs"]["optimize"]["properties"]["objective"]["description"]
    assert all(name in text for name in SWEEP_METRICS)


@pytest.mark.parametrize(
    ("optimize", "problem"),
    [
        ({"objective": {"cagr": 0}}, "c: batch.s.optimize.objective: every weight is 0; give at least one metric a weight"),
        ({"constraints": ["total_trades >="]}, "c: batch.s.optimize.constraints[0]: 'total_trades >=' is not an expression (invalid syntax); mend the condition"),
        ({"constraints": ["1 > 0"]}, "c: batch.s.optimize.constraints[0]: '1 > 0' names no metric; write one such as total_trades >= 30, or drop it"),
        ({"method": "random"}, "c: batch.s.optimize: the key 'samples' is missing; say how many sets random takes"),
        ({"samples": 5}, "c: batch.s.optimize.samples: a grid takes every combination; drop it, or use method random or sobol"),
        ({"method": "sobol", "samples": 5, "select": "plateau"}, "c: batch.s.optimize.select: a sample by sobol has no neighbors to take a mean of; use method grid, or select best"),
        ({"space": {f"p{n}": [1, 2] for n in range(17)}, "method": "sobol", "samples": 9}, "c: batch.s.optimize.method: 17 axes are more than sobol has (16); use method random"),
        ({"space": {"fast": [2, 2]}}, "c: batch.s.optimize.space.fast: the value 2 stands twice; every value once; mend the axis"),
        ({"space": {"a": {"min": 1, "max": 4000, "step": 1}, "b": {"min": 1, "max": 4000, "step": 1}}}, f"c: batch.s.optimize.space: 16,000,000 combinations are more than a grid can have ({MOST_SETS:,}); take larger steps, or method random or sobol"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_search_is_told_with_key_and_remedy(optimize, problem):
    assert problems(optimize=optimize) == [problem]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"grid": {"k": [1]}}, "c: batch.s: 'grid' and 'optimize' stand together; a grid makes a run of every combination, 'optimize' one run of all: move the axes to optimize.space, or write 'optimize: null' to drop an inherited one"),
        ({"where": "fast > slow"}, "c: batch.s.where: where 'fast > slow' lets no combination of the space pass; mend the space or its condition"),
        ({"where": "fast < slov"}, "c: batch.s.where: 'fast < slov' names 'slov'; parameters here: fast, slow; mend the condition"),
        ({"validate": {"holdout": {"start": "2021-01-04"}}}, "c: batch.s.validate.holdout.start: 2021-01-04 is not after the entry's start 2020-01-02 and up to its end 2020-02-26; name a date between them"),
        ({"validate": {"holdout": {"start": "2020-01-02"}}}, "c: batch.s.validate.holdout.start: 2020-01-02 is not after the entry's start 2020-01-02 and up to its end 2020-02-26; name a date between them"),
        ({"validate": {"walk_forward": {"in_sample": 10, "out_of_sample": 5, "purge": 9}}}, "c: batch.s.validate.walk_forward.purge: in_sample 10 less purge 9 leaves 1 bars; leave at least 2"),
        ({"validate": {"walk_forward": {"in_sample": 10, "out_of_sample": 5, "step": 4}}}, "c: batch.s.validate.walk_forward.step: step 4 is less than out_of_sample 5; bars would be tested twice: take a step of at least out_of_sample"),
        ({"validate": {"overfitting": {}}}, "c: batch.s.validate.overfitting.against: there is no benchmark to compare with; give the entry a 'benchmark', or compare with cash"),
    ],
)  # fmt: skip
def test_a_mistake_between_a_search_and_other_keys_is_told(keys, problem):
    assert problems(**keys) == [problem]


def test_a_plain_entry_that_is_validated_is_the_search_of_its_one_set():
    (request,), found = expand(batch={"s": entry(params={"fast": 2}, validate={"bias": {}})})
    assert found == []
    assert (request.params, request.search["space"]) == ({}, [{"name": "fast", "values": [2]}])
    assert request.search["method"] == "grid"
    assert request.validate["bias"]["random_entries"] == 1000
    search = Search.of({"identity": {"search": request.search, "params": request.params, "seed": 1},
                        "run_key": "0" * 64})  # fmt: skip
    assert list(search.space.generate_combinations()) == [{"fast": 2}]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"validate": {"walk_forward": {"in_sample": 20, "out_of_sample": 5}, "bias": {}}},
         "c: batch.s.validate.walk_forward: there is no search to validate; add 'optimize', or drop "
         "it: of a single set 'bias', 'costs' and 'monte_carlo' can be asked"),
        ({"validate": {"gates": {}}},
         "c: batch.s.validate: nothing is asked; add 'bias', 'costs' or 'monte_carlo'"),
        ({"validate": {"bias": {}}, "grid": {"fast": [2, 3]}},
         "c: batch.s: 'grid' and 'validate' stand together; a grid makes a run of every "
         "combination, and only a search of them is validated: move the axes to optimize.space, or "
         "write 'validate: null' to drop an inherited one"),
    ],
)  # fmt: skip
def test_what_only_a_search_of_several_sets_can_be_asked_is_refused(keys, found):
    _, problems = expand(batch={"s": entry(**keys)})
    assert [str(problem) for problem in problems] == [found]


def test_null_drops_a_validation_that_is_inherited():
    requests, found = expand(
        batch={
            "plain": {"extends": "s", "optimize": None, "validate": None},
            "s": search_entry(validate={"bias": {}}),
        }
    )
    assert found == []
    assert [request.search is None for request in requests] == [True, False]


def test_every_mistake_in_the_parameters_of_a_validated_entry_is_one_of_the_config(project):
    config = batch_config(batch={"s": entry(params={"fast": 9}, validate={"bias": {}})})
    (found,) = config_problems(project, config)
    assert "strategy Sma refuses its parameters: fast=9 must be below slow=8" in found


def test_a_search_that_is_extended_is_replaced_as_a_whole():
    requests, _ = expand(
        batch={
            "t": {"extends": "s", "optimize": {"space": {"fast": [7]}}},
            "s": search_entry({"objective": "cagr"}),
        }
    )
    assert requests[0].search["objective"] == "sharpe_ratio"
    assert [axis["name"] for axis in requests[0].search["space"]] == ["fast"]


def test_values_that_the_schema_refuses_are_named():
    config = batch_config(
        batch={"s": search_entry({"select": "worst"}, validate={"overfitting": {"blocks": 5}})}
    )
    assert sorted(str(problem) for problem in schema_problems(config, "c")) == [
        'c: batch.s.optimize.select: "worst" is not known here; use one of "best", "plateau"',
        "c: batch.s.validate.overfitting.blocks: 5 is not a multiple of 2; blocks that the history "
        "is cut into for the probability of overfitting; an even number",
    ]


def test_a_grid_of_costs_has_defaults_and_is_asked_of_a_plain_entry():
    (request,), found = expand(batch={"s": entry(validate={"costs": {"slippage": [2.5]}})})
    assert found == []
    assert request.validate["costs"] == {
        "unit": "basis_points", "commission": [0, 1, 2, 5, 10, 20], "slippage": [2.5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("costs", "found"),
    [
        ({"commission": [0, -1]}, "commission[1]: -1 is less than the minimum of 0; see docs/reference/config.md"),
        ({"slippage": [10_000]}, "slippage[0]: 10000 is greater than the maximum of 9999; see docs/reference/config.md"),
        ({"slippage": []}, "slippage: it is empty; give at least one value or leave the key out"),
        ({"commission": list(range(21))}, f"commission: {list(range(21))} is too long; levels of the commission, up to 20"),
        ({"commission": [1, 1.0]}, "commission: [1, 1.0] has non-unique elements; levels of the commission, up to 20"),
        ({"commission": "5"}, 'commission: "5" is text; write a list: levels of the commission, up to 20'),
        ({"unit": "percent"}, 'unit: "percent" is not known here; use one of "basis_points", "multiples"'),
        ({"levels": [1]}, "levels: the key 'levels' is unknown; known keys: commission, slippage, unit"),
    ],
)  # fmt: skip
def test_levels_of_costs_that_cannot_be_are_refused(costs, found):
    config = batch_config(batch={"s": entry(validate={"costs": costs})})
    (problem,) = schema_problems(config, "c")
    assert str(problem) == f"c: batch.s.validate.costs.{found}"


def test_probes_are_whole_sets_first_and_then_every_axis_alone():
    search = {"space": [{"name": "a", "values": {"min": 1, "max": 1000, "step": 1}},
                        {"name": "b", "values": ["x", "y"]}], "where": "a > 998"}  # fmt: skip
    probes = probed_params({"c": 1}, search)
    assert probes[:4] == [{"c": 1, "a": a, "b": b} for a in (999, 1000) for b in ("x", "y")]
    assert [probe for probe in probes[4:] if "b" in probe] == [
        {"c": 1, "b": "x"},
        {"c": 1, "b": "y"},
    ]
    alone = [probe["a"] for probe in probes[4:] if "a" in probe]
    assert (alone[0], alone[-1], len(alone)) == (1, 1000, 64)
    assert probed_params({"c": 1}, None) == [{"c": 1}]


def config_problems(project, config):
    project.configure(config)
    with pytest.raises(ConfigError) as caught:
        project.batch()
    return [str(problem) for problem in caught.value.problems]


def test_an_axis_that_the_strategy_does_not_know_or_take_is_told(project):
    space = {"fast": [2, "three"], "slov": [8]}
    found = config_problems(project, batch_config(batch={"s": search_entry({"space": space})}))
    where = "config.yaml: batch.s.optimize.space: strategy Sma:"
    assert found == [
        f"{where} parameter 'fast' is 'three', expected int; mend it (strategies/sma.py)",
        f"{where} unknown parameter 'slov' (there are: fast, slow); mend it (strategies/sma.py)",
    ]


def test_sets_that_the_strategy_refuses_are_no_mistake(project):
    # fast >= slow is refused by Params; it is a row with its error.
    project.configure(
        batch_config(batch={"s": search_entry({"space": {"fast": [3, 9], "slow": [5, 9]}})})
    )
    assert [request.name for request in project.batch().requests] == ["s"]


@pytest.mark.parametrize(
    ("validate", "problem"),
    [
        ({"walk_forward": {"in_sample": 30, "out_of_sample": 10, "warm_up": 1}}, "walk_forward: the history before the holdout has 40 bars (2020-01-02 to 2020-02-26); one fold takes 41 bars (warm_up 1 + in_sample 30 + embargo 0 + out_of_sample 10); take shorter windows"),
        ({"overfitting": {"blocks": 20, "against": "cash"}}, "overfitting.blocks: the history before the holdout has 40 bars (2020-01-02 to 2020-02-26); 20 blocks of at least 2 returns take more; take fewer blocks"),
        ({"holdout": {"start": "2020-01-03"}}, "holdout.start: the history before the holdout has 1 bars (2020-01-02 to 2020-01-02); let the holdout begin later, or the entry earlier"),
    ],
)  # fmt: skip
def test_windows_that_the_history_cannot_hold_are_told(project, validate, problem):
    project.configure(batch_config(batch={"s": search_entry(validate=validate)}))
    project.ingest()
    with pytest.raises(ConfigError) as caught:
        make_plan(project.batch(), sandbox=shared_sandbox())
    assert [str(item) for item in caught.value.problems] == [
        f"config.yaml: batch.s.validate.{problem}"
    ]


def test_the_identity_of_a_search_has_its_keys_and_that_of_a_plain_run_has_none(project):
    project.configure(
        batch_config(batch={"p": entry(), "s": search_entry({"space": {"fast": [2, 3]}})})
    )
    project.ingest()
    plain, search = resolve_runs(project.batch(), sandbox=shared_sandbox())
    assert "search" not in plain.identity
    assert "validate" not in plain.identity
    assert plain.identity["run_type"] == "backtest"
    assert search.identity["run_type"] == "optimization"
    assert search.identity["params"] == {"slow": 8}, "what is not searched, by default"
    assert search.identity["strategy"] == plain.identity["strategy"]
    assert search.identity["library"] != plain.identity["library"]
    assert Search.of({"identity": search.identity, "run_key": search.run_key}).space.size == 2


@pytest.mark.parametrize(
    "change",
    [
        {"objective": "cagr"}, {"constraints": ["total_trades > 1"]}, {"select": "plateau"},
        {"method": "random", "samples": 3}, {"space": {"slow": SPACE["slow"], "fast": [2, 3]}},
    ],
)  # fmt: skip
def test_everything_a_search_says_decides_its_key(project, change):
    project.configure(batch_config(batch={"a": search_entry(), "b": search_entry(change)}))
    project.ingest()
    first, second = resolve_runs(project.batch(), sandbox=shared_sandbox())
    assert first.run_key != second.run_key


def test_how_a_search_is_cut_into_jobs_decides_no_key(project):
    project.configure(batch_config(batch={"s": search_entry()}))
    plan = project.plan()
    (run,) = plan.runs
    assert plan.searches == {run.backtest_id: ("000000000-000000006",)}
    other = project.plan(execution={"sets_per_job": 4})
    assert other.batch_key != plan.batch_key
    assert [planned.run_key for planned in other.runs] == [run.run_key]
    assert other.searches == {run.backtest_id: ("000000000-000000003", "000000003-000000006")}


def test_searches_of_a_large_batch_have_chains_beside_its_shards(project):
    grid = {"fast": [2, 3, 4], "slow": {"min": 6, "max": 18, "step": 1}}
    project.configure(batch_config(batch={"g": entry(grid=grid), "s": search_entry()}))
    plan = project.plan()
    names = {run.backtest_id: run.names[0] for run in plan.runs}
    assert [run.names for run in plan.chained] == [("s",)]
    in_shards = [name for ids in plan.shards.values() for name in ids]
    assert sorted(in_shards) == sorted(key for key, name in names.items() if name != "s")
    reported = [name for ids in plan.report_shards.values() for name in ids]
    assert sorted(reported) == sorted(in_shards)
