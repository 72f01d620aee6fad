import pytest

from backtrail.batch.planning.resolving import outdated_bundles, resolve_runs
from backtrail.canonical import canonical_json
from backtrail.errors import DatasetError
from tests.unit.batch.support import batch_config, entry


def identity_of(project, **overrides):
    (run,) = resolve_runs(project.batch(**overrides))
    return run


def test_an_identity_holds_everything_that_decides_a_run(project):
    project.ingest()
    identity = identity_of(project).identity
    assert sorted(identity) == [
        "benchmark",
        "capital_base",
        "commission",
        "dataset",
        "end",
        "engine",
        "execution",
        "ledger",
        "library",
        "params",
        "run_type",
        "seed",
        "slippage",
        "start",
        "strategy",
        "symbols",
    ]
    assert identity["params"] == {"fast": 3, "slow": 8}
    assert identity["strategy"]["entry"] == "strategies/sma.py"
    assert '"capital_base":"100000"' in canonical_json(identity)


PER_DOLLAR = {"model": "per_dollar", "cost": 0.001}
CHANGES = {
    "ledger": {"ledger": "float64"},
    "fill": {"fill": "next_close"},
    "size": {"size_at": "fill"},
    "shares": {"shares": "fractional"},
    "cash": {"cash_policy": "reject"},
    "capital": {"capital_base": 100001},
    "commission": {"commission": PER_DOLLAR},
    "cost": {"commission": {**PER_DOLLAR, "cost": 0.002}},
    "per-share": {"commission": {"model": "per_share", "cost": 0.001}},
    "least": {"commission": {"model": "per_share", "cost": 0.001, "min_trade_cost": 1}},
    "slippage": {"slippage": {"model": "fixed", "spread": 0.01}},
    "volume": {"slippage": {"model": "volume_share"}},
    "impact": {"slippage": {"model": "volume_share", "price_impact": 0.2}},
    "margin": {"margin": {"initial": 0.5}},
    "maintenance": {"margin": {"initial": 0.5, "maintenance": 0.25}},
    "lot": {"instruments": {"AAA": {"lot": 10}}},
    "tick": {"instruments": {"AAA": {"tick": 10}}},
    "same-close": {"fill": "same_close"},
    "params": {"params": {"fast": 4}},
    "symbols": {"symbols": ["BBB"]},
    "both": {"symbols": ["AAA", "BBB"]},
    "benchmark": {"benchmark": "AAA"},
    "rate": {"risk_free_rate": 0.02},
    "higher-rate": {"risk_free_rate": 0.021},
    "negative-rate": {"risk_free_rate": -0.02},
    "start": {"start": "2020-01-03"},
    "end": {"end": "2020-02-25"},
}
SAME = {
    "plain": {},
    "default": {"params": {"fast": 3}},
    "float": {"capital_base": 100000.0},
    "zero": {"commission": {"model": "none", "cost": 0}},
    "no-margin": {"margin": None},
    "no-rate": {"risk_free_rate": 0},
    "zero-rate": {"risk_free_rate": -0.0},
    "others": {"instruments": {"ZZZ": {"lot": 10}}},
}
TWINS = {"sorted": {"symbols": ["AAA", "BBB"]}, "turned": {"symbols": ["BBB", "AAA"]},
         "all": {"symbols": "all"}}  # fmt: skip


def keys_of(project, **overrides):
    return {run.request.name: run.run_key for run in resolve_runs(project.batch(**overrides))}


def test_every_setting_makes_another_key_and_scheduling_or_order_makes_none(project):
    entries = {name: entry(**keys) for name, keys in {**CHANGES, **SAME, **TWINS}.items()}
    project.configure(batch_config(batch=entries))
    project.ingest()
    keys = keys_of(project)
    assert len({keys[name] for name in CHANGES}) == len(CHANGES)
    assert {keys[name] for name in SAME} == {keys["plain"]}
    assert {keys[name] for name in TWINS} == {keys["both"]}
    assert keys["plain"] not in {keys[name] for name in CHANGES}
    scheduling = {"runs_per_job": 5, "time_limit": "1h", "memory_limit": "1GB"}
    assert keys_of(project, execution=scheduling) == keys
    assert not set(keys_of(project, seed=1).values()) & set(keys.values())


def test_a_bundle_that_was_never_ingested_is_named(project):
    with pytest.raises(DatasetError, match=r"prices"):
        resolve_runs(project.batch())
    assert outdated_bundles(project.batch()) == {"prices": "bundle prices was never ingested"}
