"""Random bars, written in any dialect, are the same dataset."""

import gzip
import io
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from backtrail.data import BundleConfig, ingest_bundle
from backtrail.data.identity import (
    ADJUSTMENT_SCHEMA,
    BAR_SCHEMA,
    content_checksums,
    dataset_id,
)
from backtrail.errors import DatasetError

FIELDS = ("open", "high", "low", "close", "volume")
NAMES = {
    "usual": ("Date", "Open", "High", "Low", "Close", "Volume", "Symbol"),
    "short": ("time", "o", "h", "l", "c", "v", "ticker"),
    "loud": (" DATE ", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>", "<TICKER>"),
    "german": ("Datum", "Erster", "Hoch", "Tief", "Schlusskurs", "Volumen", "Symbol"),
}
DAILY: dict[str, Callable[[datetime], str]] = {
    "%Y-%m-%d": lambda t: t.strftime("%Y-%m-%d"),
    "%Y%m%d": lambda t: t.strftime("%Y%m%d"),
    "%Y/%m/%d": lambda t: f"{t.year}/{t.month}/{t.day}",
    "%d.%m.%Y": lambda t: t.strftime("%d.%m.%Y"),
    "%m/%d/%Y": lambda t: f"{t.month}/{t.day}/{t.year}",
    "%d %b %Y": lambda t: t.strftime("%d %b %Y"),
    "%b %d, %Y": lambda t: t.strftime("%b %d, %Y"),
    "epoch_s": lambda t: str(int(t.timestamp())),
}
MINUTES: dict[str, Callable[[datetime], str]] = {
    "%Y-%m-%d %H:%M": lambda t: t.strftime("%Y-%m-%d %H:%M"),
    "%Y-%m-%dT%H:%M:%S": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S"),
    "%Y%m%d %H%M%S": lambda t: t.strftime("%Y%m%d %H%M%S"),
    "%d/%m/%Y %H:%M": lambda t: f"{t.day}/{t.month}/{t.year} {t.hour}:{t.minute:02d}",
    "%m/%d/%Y %I:%M %p": lambda t: t.strftime("%m/%d/%Y %I:%M %p"),
    "%Y-%m-%d %H:%M:%S%z": lambda t: t.isoformat(" "),
    "epoch_s": lambda t: str(int(t.timestamp())),
    "epoch_ms": lambda t: str(int(t.timestamp()) * 1000),
    "epoch_us": lambda t: str(int(t.timestamp()) * 1_000_000),
    "epoch_ns": lambda t: str(int(t.timestamp()) * 1_000_000_000),
}


@dataclass(frozen=True)
class Style:
    """One way to write bars."""

    names: str
    form: str
    zone: str
    split_time: bool
    delimiter: str
    decimal: str
    thousands: str
    encoding: str
    eol: str
    packing: str
    header: bool
    long: bool
    quoted: bool
    trailing: bool
    comments: bool
    blanks: bool
    extra: bool


@st.composite
def bars(draw, timeframe):
    """Return rows (symbol, time, five decimals) of a few symbols, each time once."""
    decimals = draw(st.integers(0, 5))
    step = Decimal(1).scaleb(-decimals)
    start = datetime(2020, 1, 1, tzinfo=UTC)
    unit = timedelta(days=1) if timeframe == "1d" else timedelta(minutes=1)
    last = 1500 if timeframe == "1d" else 60_000  # before the clocks change in March
    rows = []
    symbols = draw(
        st.lists(
            st.sampled_from(["A", "BRK.A", "BRK.B", "NA", "A-1"]),
            unique=True,
            min_size=1,
            max_size=3,
        )
    )
    for symbol in symbols:
        for at in draw(st.lists(st.integers(0, last), unique=True, min_size=1, max_size=8)):
            ticks = draw(st.lists(st.integers(1, 3_000_000), min_size=4, max_size=4))
            opened, close, up, down = (tick * step for tick in ticks)
            high, low = max(opened, close) + up, max(min(opened, close) - down, step)
            volume = Decimal(draw(st.integers(0, 5_000_000)))
            rows.append((symbol, start + at * unit, opened, high, low, close, volume))
    return rows


@st.composite
def styles(draw, timeframe):
    """Return a style that can be written and, with what it states, read."""
    pick, flag = lambda *items: draw(st.sampled_from(items)), lambda: draw(st.booleans())
    form = pick(*(DAILY if timeframe == "1d" else MINUTES))
    decimal, thousands = pick((".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", "'"))
    long = flag()
    return Style(
        names=pick(*NAMES),
        form=form,
        zone=pick("UTC", "America/New_York"),
        split_time=timeframe == "1m" and " " in form and "%z" not in form and flag(),
        delimiter=pick(",", ";", "\t", "|"),
        decimal=decimal,
        thousands=thousands,
        encoding=pick("utf-8", "utf-8-sig", "utf-16", "cp1252"),
        eol=pick("\n", "\r\n"),
        packing=pick("", ".gz", ".zip"),
        header=long or flag(),
        long=long,
        quoted=flag(),
        trailing=flag(),
        comments=flag(),
        blanks=flag(),
        extra=flag(),
    )


def number(value, style):
    text = f"{value:,f}" if style.thousands else f"{value:f}"
    marks = {",": style.thousands, ".": style.decimal}
    return "".join(marks.get(mark, mark) for mark in text)


def looks_like_three_decimals(rows, style):
    """Say whether all prices are thousands such as 1.001 between commas: they are read as 1 and a
    thousandth, because a file with commas between its cells has points in its numbers."""
    cells = [[number(value, style) for value in row[2:]] for row in rows]
    return (
        (style.delimiter, style.thousands) == (",", ".")
        and all(re.fullmatch(r"\d{1,3}\.\d{3}", price) for row in cells for price in row[:4])
        and all(re.fullmatch(r"\d+|\d{1,3}\.\d{3}", row[4]) for row in cells)
    )


def text_of(rows, style, *, symbol):
    """Return the file of some rows."""
    forms = DAILY | MINUTES
    zone = ZoneInfo(style.zone) if style.form in MINUTES else UTC
    names = list(NAMES[style.names])
    lines = []
    for name, moment, *values in rows:
        when = forms[style.form](moment.astimezone(zone))
        first = when.split(" ", 1) if style.split_time else [when]
        cells = [*first, *(number(value, style) for value in values)]
        lines.append([*cells, *([name] if symbol else []), *(["x1"] if style.extra else [])])
    head = ["Date", "Time"] if style.split_time else [names[0]]
    head += [*names[1:6], *([names[6]] if symbol else []), *(["note"] if style.extra else [])]
    table = [head, *lines] if style.header else lines
    written = []
    for cells in table:
        quoted = style.quoted or any(style.delimiter in cell for cell in cells)
        text = style.delimiter.join(f'"{cell}"' if quoted else cell for cell in cells)
        written.append(text + (style.delimiter if style.trailing else ""))
    if style.comments:
        written.insert(0, "# made by a test")
    if style.blanks:
        written.insert(len(written) // 2 + 1, "")
    return "".join(line + style.eol for line in written).encode(style.encoding)


def write(folder, rows, style):
    groups = {}
    for row in rows:
        groups.setdefault("all" if style.long else row[0], []).append(row)
    for name, part in groups.items():
        data = text_of(part, style, symbol=style.long)
        path = folder / f"{name}.csv{style.packing}"
        if style.packing == ".zip":
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("inner.csv", data)
            data = buffer.getvalue()
        path.write_bytes(gzip.compress(data) if style.packing == ".gz" else data)
    return f"all.csv{style.packing}" if style.long else "."


def options_of(style):
    """Return what no one could find in such files."""
    options = {}
    if style.form in MINUTES and "%z" not in style.form and "epoch" not in style.form:
        options["timezone"] = style.zone
    if not style.header:
        names = ["timestamp", *(["time"] if style.split_time else []), *FIELDS]
        options["columns"] = {name: at for at, name in enumerate(names, 1)}
    if style.encoding == "cp1252":
        options["encoding"] = "cp1252"
    return options


def everything_of(style):
    """Return all that a config may state."""
    date_format = {"%Y-%m-%d %H:%M:%S%z": "%Y-%m-%d %H:%M:%S%z"}.get(style.form, style.form)
    return {
        **options_of(style),
        "date_format": date_format,
        "decimal": style.decimal,
        "delimiter": style.delimiter,
        "encoding": "utf-8" if style.encoding == "utf-8-sig" else style.encoding,
        "header": style.header,
        **({"thousands": style.thousands} if style.thousands else {}),
    }


def id_of(rows, timeframe):
    """Return the dataset id of bars, made without any file."""
    plain = [(row[0], row[1], *map(float, row[2:])) for row in rows]
    frame = pl.DataFrame(plain, schema=dict(BAR_SCHEMA), orient="row")
    content = content_checksums(frame, pl.DataFrame(schema=dict(ADJUSTMENT_SCHEMA)))
    return dataset_id(content, calendar="24/7", timeframe=timeframe)


def ingest(folder, source, timeframe, options):
    bundle = BundleConfig("b", "csv", "24/7", timeframe, f"prices/{source}", options)
    return ingest_bundle(bundle, root=folder, bundles_dir=folder / "bundles").dataset_id


def id_or_question(folder, source, timeframe, options):
    """Return the dataset id, or what is asked where a file could be read in two ways."""
    try:
        return ingest(folder, source, timeframe, options), None
    except DatasetError as error:
        return None, str(error)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_bars_in_any_dialect_are_the_same_dataset(data):
    check_round_trip(data)


@pytest.mark.slow
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_many_random_bars_in_any_dialect_are_the_same_dataset(data):
    check_round_trip(data)


def check_round_trip(data):
    timeframe = data.draw(st.sampled_from(["1d", "1m"]))
    rows = data.draw(bars(timeframe))
    style = data.draw(styles(timeframe))
    assume(not looks_like_three_decimals(rows, style))
    written = data.draw(st.permutations([*rows, *rows[: data.draw(st.integers(0, 2))]]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "prices").mkdir()
        source = write(folder / "prices", written, style)
        found, question = id_or_question(folder, source, timeframe, options_of(style))
        if question is not None:  # nothing is guessed: it asks, and the answer helps
            assert re.search(r"give `(decimal|date_format)`", question), question
            assert not (folder / "bundles").exists()
            found = ingest(folder, source, timeframe, everything_of(style))
    assert found == id_of(rows, timeframe)
