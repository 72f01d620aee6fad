import pytest

from backtrail.batch.planning.config_files import read_config
from backtrail.errors import ConfigError

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


def test_later_files_win_key_by_key_and_overrides_win_over_all(read):
    values = read(
        SOUND,
        "seed: 1\nbatch: {r: {params: {slow: 9}}}\ndefaults: {ledger: float64}",
        "seed: 2\nbatch: {r: {params: {fast: [1, 2]}}}",
        seed=3,
        defaults={"fill": "next_close"},
    )
    assert values["seed"] == 3
    assert values["defaults"] == {"ledger": "float64", "fill": "next_close"}
    assert values["batch"]["r"]["params"] == {"fast": [1, 2], "slow": 9}
    assert values["batch"]["r"]["strategy"] == "s.py"


def test_overrides_may_hold_what_a_command_line_makes_of_them(read):
    from datetime import date

    values = read(SOUND, batch={"r": {"start": date(2020, 1, 5), "symbols": ("A",)}})
    assert values["batch"]["r"]["start"] == "2020-01-05"
    assert values["batch"]["r"]["symbols"] == ["A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"0\.yaml: the file is empty; write keys and values"),
        ("just words", r"the file holds text; write keys and values"),
        ("[1]", r"the file holds a list"),
        ("a: 1\nb: {c: 1,\n c: 2}", r"0\.yaml:3: the key 'c' stands in line 2 and again"),
        ("a: [", r"0\.yaml:\d: .*; mend the YAML"),
        ("a: 1\n\tb: 2", r"0\.yaml:2: .*; mend the YAML"),
        ("? [a]\n: 1", r"0\.yaml:1: the key \['a'\] is no text; put it in quotes"),
        ("2020: 1", r"0\.yaml:1: the key 2020 is no text; put it in quotes"),
        ("on: 1", r"the key True is no text; put it in quotes"),
        ("a: &x {b: *x}", r"recursive"),
        ("a: &x [*x]", r"recursive"),
        ("a: !!python/object/apply:os.getcwd []", r"'!!python/object/apply:os.getcwd'"),
        ("a: !!binary aGk=", r"0\.yaml: a: b'hi' is of a kind that a config has not \(bytes\)"),
        ("a: [1, !!set {x}]", r"0\.yaml: a\[1\]: .*\(set\)"),
        ("a: {b: .inf}", r"0\.yaml: a\.b: inf is no value; write a finite number"),
        ("a: .nan", r"a: nan is no value"),
        (b"a: \xff", r"0\.yaml: .*mend the YAML"),
        (b"a: \0", r"0\.yaml"),
        ("a: " + "[" * 5000 + "]" * 5000, r"0\.yaml: lists or keys lie too deep in each other"),
        ("a: " + "9" * 5000, r"0\.yaml: .*5000 digits"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place(read, text, message):
    with pytest.raises(ConfigError, match=message):
        read(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nope\.yaml: there is no such file"):
        read_config([tmp_path / "nope.yaml"])
    with pytest.raises(ConfigError, match=r"it cannot be read \(Is a directory\)"):
        read_config([tmp_path])


def test_merge_keys_of_yaml_work(read):
    values = read("x: &base {a: 1, b: 2}\ny: {<<: *base, b: 3}")
    assert values["y"] == {"a": 1, "b": 3}


def test_numbers_that_nobody_means_stay_as_they_are_written(read):
    values = read("a: [010, 0700, -07, 10:30, 1:30:00, 190:20:30.15, 09:30]")
    assert values["a"] == ["010", "0700", "-07", "10:30", "1:30:00", "190:20:30.15", "09:30"]


def test_usual_numbers_are_numbers(read):
    values = read("a: [0, -0, 7, 1_000, 0x10, 0.5, -0.25, 1.5e+3, 00.5]")
    assert values["a"] == [0, 0, 7, 1000, 16, 0.5, -0.25, 1500.0, 0.5]


@pytest.mark.parametrize("text", ["\ufeff{}", "{}"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_the_line_ends_of_windows_are_nothing(read, text, end):
    written = text.format(SOUND.lstrip()).replace("\n", end).encode()
    assert read(written) == read(SOUND)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_of_a_command_line_are_looked_at_as_those_of_files(read, value):
    with pytest.raises(ConfigError, match=r"config: seed: (nan|inf) is no value; write a finite"):
        read(SOUND, seed=value)
