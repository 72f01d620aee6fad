import pytest

from backtrail.errors import ConfigError
from tests.projects import PRICES
from tests.unit.batch.support import batch_config, entry


def problems_of(project, config):
    project.configure(config)
    with pytest.raises(ConfigError) as caught:
        project.batch()
    return [str(problem) for problem in caught.value.problems]


def test_every_mistake_of_every_kind_is_told_at_once(project):
    project.write("strategies/broken.py", "x = 1\n")
    found = problems_of(
        project,
        batch_config(
            seed=-1,
            batch={
                "typo": entry(stategy="x"),
                "absent": entry(strategy="strategies/nope.py"),
                "symbol": entry(symbols=["ZZZ"]),
                "mark": entry(benchmark="YYY"),
                "params": entry(params={"fast": 9}),
                "unknown": entry(params={"fsat": 1}),
                "form": entry(strategy="strategies/broken.py"),
                "outside": entry(strategy="/etc/hostname"),
            },
        ),
    )
    text = "\n".join(found)
    for piece in (
        "seed: -1 is less than the minimum",
        "batch.typo.stategy: the key 'stategy' is unknown; did you mean 'strategy'?",
        "batch.absent.strategy: strategy file",
        "batch.symbol.symbols: bundle 'prices' has no symbol 'ZZZ'; its symbols are AAA, BBB",
        "batch.mark.benchmark: bundle 'prices' has no symbol 'YYY'; use one of AAA, BBB, or null",
        "batch.params.params: fast=9: strategy Sma refuses its parameters: fast=9 must be below",
        "batch.unknown.params: strategy Sma: unknown parameter 'fsat'",
        "batch.form.strategy: strategies/broken.py: ",
        "batch.outside.strategy: strategy file",
        "lies outside the project root",
    ):
        assert piece in text, piece
    assert len(found) == 9


def test_an_inherited_mistake_of_data_or_strategy_is_told_once_where_it_stands(project):
    heirs = {
        "b": {"extends": "a", "fill": "next_close"},
        "c": {"extends": "b", "params": {"slow": 9}, "grid": {"fast": [2, 3]}},
    }
    for wrong, found in (
        ({"symbols": ["ZZZ"]}, "batch.a.symbols: bundle 'prices' has no symbol 'ZZZ'"),
        ({"benchmark": "YYY"}, "batch.a.benchmark: bundle 'prices' has no symbol 'YYY'"),
        ({"strategy": "strategies/nope.py"}, "batch.a.strategy: strategy file"),
        ({"params": {"fsat": 1}}, "batch.a.params: strategy Sma: unknown parameter 'fsat'"),
        ({"params": {"slow": "x"}}, "batch.a.params: strategy Sma: parameter 'slow' is 'x'"),
    ):
        own = {} if "slow" in wrong.get("params", {}) else {"c": heirs["c"]}
        config = batch_config(batch={"a": entry(**wrong), "b": heirs["b"], **own})
        (problem,) = problems_of(project, config)
        assert problem.startswith(f"config.yaml: {found}")


def test_filtering_is_advised_only_where_there_is_a_grid(project):
    batch = {"a": entry(params={"fast": 9}), "b": entry(grid={"fast": [3, 8, 9]})}
    found = problems_of(project, batch_config(batch=batch))
    reason = "strategy Sma refuses its parameters: fast={0} must be below slow=8"
    assert found == [
        f"config.yaml: batch.a.params: fast=9: {reason.format(9)}; mend it (strategies/sma.py)",
        *(
            f"config.yaml: batch.b.params: fast={fast}: {reason.format(fast)}; mend the value, or "
            "filter it with 'where' (strategies/sma.py)"
            for fast in (8, 9)
        ),
    ]


def test_a_source_that_does_not_exist_is_named(project):
    bundle = {"adapter": "csv", "path": "nowhere", "calendar": "24/5", "timeframe": "1d"}
    (found,) = problems_of(project, batch_config(bundles={"prices": bundle}))
    assert "bundles.prices.path: 'nowhere' does not exist" in found


def test_a_membership_file_that_does_not_exist_is_named(project):
    weeks = {"adapter": "bundle", "source": "prices", "calendar": "24/5", "timeframe": "1w"}
    bundles = {"prices": {**PRICES, "universe": "nowhere.csv"}, "weeks": weeks}
    expected = "bundles.prices.universe: 'nowhere.csv' does not exist; name a CSV file with the "
    for name in bundles:
        config = batch_config(bundles=bundles, batch={"sma": entry(bundle=name)})
        (found,) = problems_of(project, config)
        assert expected in found


def test_mistakes_of_a_derived_bundle_are_told_with_the_others(project):
    days = {"adapter": "bundle", "source": "prices", "calendar": "24/7", "timeframe": "1d"}
    bundles = {"prices": {**PRICES}, "days": days}
    config = batch_config(bundles=bundles, batch={"sma": entry(bundle="days", params={"no": 1})})
    found = problems_of(project, config)
    assert len(found) == 3
    assert "config.yaml: bundles.days.timeframe: 1d of 1d bars of 'prices'" in found[0]
    assert "config.yaml: bundles.days.calendar: '24/7', where 'prices' has '24/5'" in found[1]
    assert "no" in found[2]


def test_what_only_the_adapter_finds_is_told_with_the_others_by_its_key(project):
    made = {"adapter": "synthetic", "calendar": "24/5", "timeframe": "1d", "kind": "daily_universe"}
    dates = {"start": "2020-06-01", "end": "2020-01-02", "symbols": 2, "seed": 1}
    weeks = {"adapter": "bundle", "source": "made", "calendar": "24/5", "timeframe": "1w"}
    bundles = {"made": {**made, **dates}, "weeks": weeks}
    for name in bundles:
        wanted = entry(bundle=name, params={"no": 1})
        found = problems_of(project, batch_config(bundles=bundles, batch={"sma": wanted}))
        assert len(found) == 2, found
        assert found[0] == (
            "config.yaml: bundles.made.start: 2020-06-01 is after 2020-01-02; swap them"
        )
        assert "unknown parameter 'no'" in found[1]


def test_a_strategy_that_cannot_be_imported_is_a_failing_run_not_a_wrong_config(project):
    project.write("strategies/sma.py", "import nowhere\n")
    assert [request.name for request in project.batch().requests] == ["sma"]
    project.write("strategies/sma.py", "def broken(:\n")
    batch = project.batch()
    assert "does not parse" in batch.closures["strategies/sma.py"].warnings[0]


def test_values_that_json_does_not_know_are_mistakes_and_no_crash(project):
    project.write("config.yaml", "bundles: {1: {}}\nbatch: {a: {params: {x: .inf}}}\n")
    with pytest.raises(ConfigError, match=r"the key 1 is no text"):
        project.batch()
    project.write("config.yaml", "bundles: {b: {}}\nbatch: {a: {params: {x: .inf}}}\n")
    with pytest.raises(ConfigError, match=r"batch\.a\.params\.x: inf is no value"):
        project.batch()
