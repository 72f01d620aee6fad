import polars as pl

from backtrail.artifacts.store import RunStore
from backtrail.batch.history.comparing import compare_runs
from backtrail.files import write_json


def planned(store, backtest_id, **params):
    run = store.run(backtest_id)
    identity = {
        "strategy": {"entry": "s.py", "code_hash": "c" * 64},
        "dataset": {"dataset_id": "d" * 16},
        "start": "2020-01-02",
        "end": "2020-06-30",
        "params": params,
    }
    labels = {"names": ["a"], "bundle": "prices"}
    spec = {"backtest_id": backtest_id, "run_key": backtest_id * 64, "identity": identity}
    write_json(run.spec, {**spec, "labels": labels})
    return run


def test_parameters_have_columns_of_their_kind_and_no_value_is_lost(tmp_path):
    store = RunStore(tmp_path)
    runs = [
        planned(store, "a", whole=1, half=1, huge=10**30, most=-(2**62), mixed="x"),
        planned(store, "b", whole=2, half=0.5, huge=1, most=2**63 - 1, mixed=2),
    ]
    frame = compare_runs(runs).frame
    expected = {
        "param_whole": (pl.Int64, [1, 2]),
        "param_half": (pl.Float64, [1.0, 0.5]),
        "param_huge": (pl.String, [str(10**30), "1"]),
        "param_most": (pl.Int64, [-(2**62), 2**63 - 1]),
        "param_mixed": (pl.String, ["x", "2"]),
    }
    assert {name: (frame[name].dtype, frame[name].to_list()) for name in expected} == expected
