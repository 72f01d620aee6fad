"""A universe as of a date: a membership file is checked, stored and told without a look ahead."""

import shutil
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtrail.data import BundleConfig, Dataset, ingest_bundle, load_bars, source_checksum
from backtrail.data.comparison import compare_datasets, dataset_sentences
from backtrail.data.lock import LockedBundle
from backtrail.data.membership import read_membership
from backtrail.engine import SignalBars, TradingAlgorithm, run_event
from backtrail.engine.market import Market
from backtrail.errors import BacktrailError, DatasetError, DataValidationError, StrategyError
from tests.unit.engine.support import config

from .places import daily_row

DAYS = [f"2020-01-{day:02}" for day in (2, 3, 6, 7, 8, 9, 10)]
MEMBERS = "symbol,from,to\nAAA,2019-06-03,\nBBB,2020-01-03,2020-01-06\nBBB,2020-01-09,\n"
MEMBERS += "GONE,2015-01-02,2020-01-07\nOLD,2001-01-02,2009-12-31\n"


@pytest.fixture
def market(store):
    """Ingest three symbols, of which CCC is no member ever, with the members given."""
    for symbol in ("AAA", "BBB", "CCC"):
        store.write(f"{symbol}.csv", "".join(map(daily_row, DAYS)))

    def ingest(members=MEMBERS, name="members.csv"):
        if members is not None:
            (store.root / "members.csv").write_text(members, encoding="utf-8")
        bundle = BundleConfig(
            "b", "csv", "XNYS", "1d", "prices", universe=name if members is not None else None
        )
        manifest = ingest_bundle(bundle, root=store.root, bundles_dir=store.bundles)
        dataset = Dataset.open(store.bundles / "b" / manifest.dataset_id)
        return SimpleNamespace(manifest=manifest, dataset=dataset, bundle=bundle)

    return ingest


def bars_of(dataset, symbols=("AAA", "BBB", "CCC"), end=date(2020, 1, 10)):
    return load_bars(dataset, list(symbols), date(2020, 1, 2), end)


def told(bars):
    """Return what `data.universe()` says at every bar, and before the first."""
    found = []

    class Asker(TradingAlgorithm):
        def initialize(self, context): ...

        def before_trading_start(self, context, data):
            if not found:
                assert data.universe() == ()

        def handle_data(self, context, data):
            found.append(data.universe())

    run_event(Asker, bars, config())
    return found


def test_a_strategy_is_told_the_members_of_the_bars_date(market):
    found = told(bars_of(market().dataset))
    both, alone = ("AAA", "BBB"), ("AAA",)
    assert found == [alone, both, both, alone, alone, both, both]
    assert told(bars_of(market().dataset, ("BBB", "AAA")))[1] == ("BBB", "AAA")


def test_the_signal_form_has_the_members_as_a_column_each(market):
    bars = bars_of(market().dataset)
    mask = SignalBars(Market(bars)).universe
    assert mask.T.astype(int).tolist() == [[1] * 7, [0, 1, 1, 0, 0, 1, 1], [0] * 7]
    assert not mask.flags.writeable
    names = np.array(bars.symbols)
    assert [tuple(names[row]) for row in mask] == told(bars)


@pytest.mark.parametrize("known", range(1, 7))
def test_nobody_is_told_of_a_member_to_come_or_to_go(market, known):
    """What later rows of the file say changes nothing of the bars before them."""
    last = date.fromisoformat(DAYS[known - 1])
    whole = told(bars_of(market().dataset, end=last))
    lines = MEMBERS.splitlines()
    past = [lines[0]]
    for line in lines[1:]:
        symbol, begin, end = line.split(",")
        if date.fromisoformat(begin) <= last:
            past.append(f"{symbol},{begin},{end if end and end <= DAYS[known - 1] else ''}")
    assert told(bars_of(market("\n".join(past) + "\n").dataset, end=last)) == whole


def test_without_a_membership_a_strategy_is_told_so(market):
    bars = bars_of(market(None).dataset)
    with pytest.raises(StrategyError, match=r"no date who is in the universe; .*`universe:`"):
        told(bars)
    with pytest.raises(StrategyError, match="no date who is in the universe"):
        _ = SignalBars(Market(bars)).universe


def test_the_membership_is_part_of_the_identity_only_where_it_is_given(market, store):
    plain, given = market(None), market()
    assert plain.manifest.dataset_id == market(None).manifest.dataset_id
    assert sorted(plain.manifest.content) == ["adjustments", "bars"]
    assert plain.manifest.universe == {}
    assert given.manifest.dataset_id != plain.manifest.dataset_id
    assert given.manifest.content["bars"] == plain.manifest.content["bars"]
    assert given.dataset.universe().rows() == [
        ("AAA", date(2019, 6, 3), None),
        ("BBB", date(2020, 1, 3), date(2020, 1, 6)),
        ("BBB", date(2020, 1, 9), None),
        ("GONE", date(2015, 1, 2), date(2020, 1, 7)),
        ("OLD", date(2001, 1, 2), date(2009, 12, 31)),
    ]
    given.dataset.verify()
    lines = MEMBERS.splitlines()
    shuffled = "\ufeffto,Symbol,from\n" + "".join(
        ",".join((end, symbol, begin)) + "\r\n"
        for symbol, begin, end in (line.split(",") for line in reversed(lines[1:]))
    )
    assert market(shuffled).manifest.dataset_id == given.manifest.dataset_id
    other = market(MEMBERS.replace("2020-01-07", "2020-01-08")).manifest.dataset_id
    assert other not in (given.manifest.dataset_id, plain.manifest.dataset_id)


def test_the_audit_names_members_without_bars_and_symbols_that_never_were_members(market):
    found = dict(market().manifest.universe)
    assert found.pop("path") == "members.csv"
    assert len(found.pop("sha256")) == 64
    assert found == {
        "symbols": 4,
        "at_start": 2,  # AAA and GONE on 2 January
        "at_end": 2,  # AAA and BBB on 10 January
        "start_still": 1,
        "without_bars": ["GONE"],  # OLD left before the first bar
        "never": ["CCC"],
    }


def test_a_changed_file_is_another_source(market, store):
    first = market()
    before = source_checksum(first.bundle, store.root)
    (store.root / "members.csv").write_text(MEMBERS + "DDD,2020-01-02,\n")
    assert source_checksum(first.bundle, store.root) != before
    shutil.move(store.root / "members.csv", store.root / "elsewhere.csv")
    with pytest.raises(DatasetError, match=r"names the universe members\.csv, which is not there"):
        source_checksum(first.bundle, store.root)
    with pytest.raises(DatasetError, match=r"universe members\.csv, which cannot be read"):
        ingest_bundle(first.bundle, root=store.root, bundles_dir=store.bundles)


def test_another_membership_is_told_by_comparison_and_lock(market):
    one, two = market(), market(MEMBERS.replace("2020-01-07", "2020-01-08"))
    difference = compare_datasets(one.dataset, two.dataset)
    assert list(difference.settings) == ["universe"]
    first, second = dataset_sentences(difference)
    assert first.startswith(f"universe changed: {one.manifest.content['universe'][:12]} -> ")
    assert second == (
        "1 membership changed (last 1): GONE 2015-01-02 last '2020-01-07' -> '2020-01-08'"
    )
    words = list(dataset_sentences(compare_datasets(market(None).dataset, one.dataset, limit=2)))
    assert words[0].startswith("universe changed: none -> ")
    assert words[1:] == ["5 memberships added: OLD 2001-01-02; GONE 2015-01-02; and 3 more"]
    locked, other = LockedBundle.of(one.dataset), LockedBundle.of(two.dataset)
    assert list(locked.differences(other)) == ["universe changed"]


def test_a_changed_table_of_members_is_found_out(market):
    dataset = market().dataset
    path = dataset.path / "universe.parquet"
    frame = dataset.universe()
    path.chmod(0o644)
    frame.head(4).write_parquet(path)
    with pytest.raises(DatasetError, match=r"universe\.parquet has sha256 .* content of universe"):
        dataset.verify()
    path.unlink()
    with pytest.raises(DatasetError, match=r"lacks universe\.parquet"):
        Dataset.open(dataset.path)


MISTAKES = {
    "": "the universe members.csv has the columns none; it needs symbol, from, to",
    "symbol,from\nA,2020-01-01\n": "has the columns symbol, from; it needs symbol, from, to",
    "symbol,from,to\n": "members.csv has no row; list its members",
    "symbol,from,to\nA,2020-01-01,,2020-06-30\n": "members.csv, line 2, has 4 cells; its",
    "symbol,from,to\nA,2020-01-01\n\nB,2020-13-01,\n": "members.csv:4: B from = 2020-13-01: is no",
    "symbol,from,to\nA,01/02/2020,\n": "csv:2: A from = 01/02/2020: is no date as YYYY-MM-DD",
    "symbol,from,to\nA,,2020-01-01\n": "members.csv:2: A from = : is no date as YYYY-MM-DD",
    "symbol,from,to\n,2020-01-01,\n": "members.csv:2: symbol = : has no symbol",
    "symbol,from,to\nA,2020-02-01,2020-01-01\n": "A to = 2020-01-01: is before its beginning",
    "symbol,from,to\nA,2020-02-01,\nA,2020-03-01,\n": "line 2, which says 2020-02-01 to ever",
    "symbol,from,to\nA,2020-01-02,2020-01-09\nA,2020-01-09,\n": "overlaps line 2, which says 2020-",
    "symbol,from,to\nA,2020-01-02,\nA,2020-01-02,\n": "members.csv:3: A from = 2020-01-02: overl",
    'symbol,from,to\n"A,2020-01-02,\n': "members.csv, line ",
}


@pytest.mark.parametrize(("members", "message"), MISTAKES.items())
def test_a_membership_that_cannot_be_believed_stops_the_ingest(market, store, members, message):
    with pytest.raises((DatasetError, DataValidationError)) as caught:
        market(members)
    assert message in str(caught.value)
    assert not store.bundles.joinpath("b").exists()


def test_text_that_is_no_utf8_is_a_clear_error(market, store):
    (store.root / "other.csv").write_bytes(b"symbol,from,to\n\xff\xfe,2020-01-01,\n")
    with pytest.raises(DatasetError, match=r"the universe other\.csv is no UTF-8 text"):
        market(MEMBERS, "other.csv")


def test_every_bad_row_is_reported_at_once(market, tmp_path):
    with pytest.raises(DataValidationError) as caught:
        market("symbol,from,to\nA,x,y\n,2020-01-01,\nB,2020-01-02,2020-01-01\n")
    found = [(item.line, item.column, item.rule) for item in caught.value.problems]
    assert found == [
        (2, "from", "membership"),
        (2, "to", "membership"),
        (3, "symbol", "membership"),
        (4, "to", "membership"),
    ]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text('AB,01-9\n"é \x00\r', max_size=120).map(
            lambda text: f"symbol,from,to\n{text}".encode()
        ),
    )
)
def test_whatever_stands_in_the_file_is_a_universe_or_a_clear_error(store, data):
    (store.root / "members.csv").write_bytes(data)
    bundle = BundleConfig("b", "csv", "XNYS", "1d", "prices", universe="members.csv")
    try:
        found = read_membership(bundle, store.root).frame.height
    except BacktrailError as error:
        found = "members.csv" in str(error)
    assert found
