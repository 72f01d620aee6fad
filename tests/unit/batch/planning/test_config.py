# ruff: noqa: E501  the tables of messages read better in lines
import re

import pytest

from backtrail.batch.planning.config import load_schema, schema_problems, with_defaults
from backtrail.batch.planning.config_files import read_config

SOUND = """
bundles:
  b: {adapter: csv, path: prices, calendar: XNYS, timeframe: 1d}
batch:
  r: {strategy: s.py, bundle: b, start: 2020-01-01, end: 2020-02-01, params: {fast: 5}}
"""


@pytest.fixture
def read(tmp_path):
    """Read config texts, later ones over earlier ones."""

    def read(*texts, **overrides):
        files = []
        for number, text in enumerate(texts):
            files.append(tmp_path / f"{number}.yaml")
            files[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_config(files, overrides)

    return read


def problem_of(values):
    problems = [str(problem) for problem in schema_problems(values, "c.yaml")]
    assert len(problems) == 1, problems
    return problems[0]


def test_a_sound_config_has_no_problem_and_keeps_dates_as_written(read):
    values = read(SOUND)
    assert schema_problems(values, "c.yaml") == []
    assert values["batch"]["r"]["start"] == "2020-01-01"


# Each text is put over the sound config; the message is what a user reads.
MISTAKES = [
    ("seed: -1", "seed: -1 is less than the minimum of 0; seed of the batch"),
    ("seed: 1.5", "seed: 1.5 is a number; write a whole number"),
    ("seed: yes", "seed: true stands there; write a whole number"),
    ("seed: '7'", 'seed: "7" is text; write a whole number'),
    ("typo: 1", "typo: the key 'typo' is unknown; known keys: backtest_output"),
    ("defaults: {ledgre: decimal}", "defaults.ledgre: the key 'ledgre' is unknown; did you mean 'ledger'?"),
    ("defaults: {ledger: Decimal}", '"Decimal" is not known here; use one of "decimal", "float64"; did you mean \'decimal\'?'),
    ("defaults: {capital_base: 1e5}", '"1e5" is text; write a number: cash at the start, in the currency of the prices (YAML reads 1e5 as text: write 100000)'),
    ("defaults: {capital_base: 0}", "defaults.capital_base: 0 is less than or equal to the minimum of 0"),
    ("defaults: {commission: {model: per_dollar}}", "defaults.commission: the key 'cost' is missing; add 'cost'"),
    ("defaults: {commission: {model: per_share}}", "defaults.commission: the key 'cost' is missing; add 'cost'"),
    ("defaults: {commission: {model: per_ton}}", '"per_ton" is not known here; use one of "none", "per_dollar", "per_share", "per_trade"'),
    ("defaults: {commission: {model: per_dollar, cost: 1}}", "1 is greater than or equal to the maximum of 1; fraction of the traded value"),
    ("defaults: {commission: 0.001}", "0.001 is a number; write keys and values: cost of a fill"),
    ("defaults: {slippage: {model: fixed}}", "defaults.slippage: the key 'spread' is missing; add 'spread'"),
    ("defaults: {slippage: {model: fixed_bps}}", "the key 'basis_points' is missing"),
    ("defaults: {slippage: {model: linear}}", '"linear" is not known here; use one of "none", "fixed"'),
    ("defaults: {slippage: {model: volume_share, volume_limit: 2}}", "2 is greater than the maximum of 1"),
    ("defaults: {margin: {initial: 0}}", "defaults.margin.initial: 0 is less than or equal to the minimum of 0"),
    ("defaults: {margin: {}}", "defaults.margin: it is empty"),
    ("defaults: {instruments: {BTC: {step: 1}}}", "defaults.instruments.BTC.step"),
    ("defaults: {risk_free_rate: 2}", "2 is greater than or equal to the maximum of 1; annual return of money without risk, a fraction: 0.02 is two percent"),
    ("batch: {r: {risk_free_rate: 2%}}", '"2%" is text; write a number: annual return of money without risk, a fraction: 0.02 is two percent'),
    ("defaults: {benchmark: 5}", "5 is a number; write text or null: symbol of the bundle"),
    ("execution: {runs_per_job: 0}", "0 does not fit; write `auto` or a whole number from 1 to 10000"),
    ("execution: {time_limit: 600}", "600 is a number; write text: longest time one run may take, as `90s`, `10m` or `2h`"),
    ("execution: {time_limit: 10 m}", '"10 m" has a form that is not allowed; longest time one run may take, as `90s`'),
    ("execution: {memory_limit: 2G}", '"2G" has a form that is not allowed; most memory one run may allocate'),
    ("execution: null", "execution: null stands there; write keys and values"),
    ("backtest_output: {enabled: false}", "the key 'enabled' is refused; a batch always keeps its runs"),
    ("backtest_output: {code_capture_mode: null}", "null is not known here; use one of \"import_analysis\", \"strategy_yaml\" (how the files"),
    ("backtest_output: {base_dir: ../x}", "\"../x\" is not a usable path ('..' could lead outside the project); write a path without '..'"),
    ("backtest_output: {base_dir: ''}", "the path is empty"),
    ("storage: {catalog_url: ''}", "storage.catalog_url: it is empty; give at least one value or leave the key out"),
    ("batch: {r: {symbols: SPX}}", '"SPX" does not fit; write `all` or a list of one or more different values (text)'),
    ("batch: {r: {symbols: [SPX, ON]}}", "(YAML reads ON, OFF, YES and NO as true or false: put such names in quotes)"),
    ("batch: {r: {symbols: [A, A]}}", '["A", "A"] does not fit; write `all` or a list of one or more different values'),
    ("batch: {r: {start: 2020-02-30}}", '"2020-02-30" is not a date (day is out of range for month); write a date that exists as YYYY-MM-DD'),
    ("batch: {r: {start: 2020-W01-1}}", "(dates are written YYYY-MM-DD)"),
    ("batch: {r: {start: 01/02/2020}}", "(dates are written YYYY-MM-DD)"),
    ("batch: {r: {start: 2020}}", "2020 is a number; write text: a date as YYYY-MM-DD"),
    ("batch: {r: {params: {a-b: 1}}}", "\"a-b\" has a form that is not allowed; names of parameters are Python names"),
    ("batch: {r: {params: {a: {b: 1}}}}", "is keys and values; write a number or text or true or false or null or a list"),
    ("batch: {r: {grid: {}}}", "batch.r.grid: it is empty"),
    ("batch: {r: {grid: {a: 5}}}", "batch.r.grid.a: 5 does not fit; write a list of one or more values or `{min, max, step}` with numbers"),
    ("batch: {r: {where: 5}}", "5 is a number; write text: condition on parameters that a combination must meet, as `fast < slow`"),
    ("batch: {'my run': {}}", '"my run" has a form that is not allowed; names have letters, digits'),
    ("bundles: {b: {timeframe: daily}}", '"daily" has a form that is not allowed; length of one bar, as `1m`, `1h` or `1d`'),
    ("bundles: {b: {adapter: CSV}}", "did you mean 'csv'?"),
    ("bundles: {b: {calendar: XLOM}}", 'there is no calendar "XLOM"; did you mean XLON'),
    ("bundles: {b: {calendar: NYSE}}", 'there is no calendar "NYSE"; write XNYS, its name among calendars'),
    ("bundles: {b: {universe: ../members.csv}}", "'..' could lead outside the project"),
    ("bundles: {b: {waivers: [{rule: null_row}]}}", "bundles.b.waivers[0]: the key 'reason' is missing; add 'reason'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[text for text, _ in MISTAKES])
def test_a_mistake_is_one_sentence_with_place_and_remedy(read, text, message):
    found = problem_of(read(SOUND, text))
    assert message in found
    assert found.startswith("c.yaml: ")
    assert found.count("; ") >= 1
    assert not re.search(r"\$ref|\$defs|oneOf|is not valid under|\^\[", found)


def test_every_missing_key_is_named_once(read):
    found = [str(problem) for problem in schema_problems({}, "c.yaml")]
    assert found == [
        "c.yaml: the key 'bundles' is missing; add 'bundles'",
        "c.yaml: the key 'batch' is missing; add 'batch'",
    ]
    bare = read("bundles: {b: {adapter: csv}}\nbatch: {r: {}}")
    assert [problem.found for problem in schema_problems(bare, "c")] == [
        "the key 'calendar' is missing",
        "the key 'timeframe' is missing",
    ]


def test_several_mistakes_are_all_told_in_the_order_of_their_keys(read):
    values = read(SOUND, "seed: -1\nbatch: {r: {start: x, symbols: 5}}\nzzz: 1")
    places = [problem.where for problem in schema_problems(values, "c")]
    assert sorted(places) == ["c: batch.r.start", "c: batch.r.symbols", "c: seed", "c: zzz"]


def test_defaults_come_from_the_schema_and_are_no_shared_objects(read):
    values = read(SOUND, "defaults: {fill: next_close}")
    one, two = with_defaults(values), with_defaults(values)
    assert one["defaults"]["fill"] == "next_close"
    assert one["defaults"]["capital_base"] == 100000
    assert one["defaults"]["commission"] == {"model": "none"}
    assert one["execution"]["time_limit"] == "10m"
    assert one["storage"] == {"bundles_dir": "bundles"}
    one["defaults"]["commission"]["model"] = "other"
    assert two["defaults"]["commission"] == {"model": "none"}
    assert "defaults" in values
    assert "ledger" not in values["defaults"]


def keys_of(schema, path=""):
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from keys_of(child, f"{path}.{name}")


def test_every_key_of_the_schema_is_described():
    schema = load_schema()
    sections = [schema, *schema["$defs"].values()]
    undescribed = [
        key
        for section in sections
        for key, child in keys_of(section)
        if "description" not in child and "$ref" not in child
    ]
    assert undescribed == []
