import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backtrail.canonical import sha256_bytes, sha256_json
from backtrail.reports import index
from backtrail.reports.index import render_index
from backtrail.reports.looks import HoldoutLooks

from .test_basic import data_of, visible


def row(number: int, **changes: Any) -> dict[str, Any]:
    backtest_id = f"20260301_091500_{number:03d}"
    values = {
        "backtest_id": backtest_id,
        "name": f"run-{number}",
        "entry": "run",
        "code_hash": "c0de" * 16,
        "strategy": "strategies/sma_cross.py",
        "params": {"fast": number, "slow": 50},
        "bundle": "us-indices",
        "dataset_id": "1e028cbb9c40aa17",
        "status": "completed",
        "grade": "B",
        "run_type": "backtest",
        "start": "1999-01-04",
        "end": "2018-12-31",
        "metrics": {"total_return": number / 10, "sharpe_ratio": 0.123456789, "omega": None},
        "error": None,
        "report": f"{backtest_id}/results/reports/basic_report.html",
        "advanced": None,
        "search": None,
        "version": f"{number}" * 8,
        "equity": [["2020-01-31", 1.0], ["2020-02-29", 1.0 + number / 10]],
        "risk_free": None,
        "synthetic": False,
        "looks": HoldoutLooks(),
        "tags": [],
    }
    return {**values, **changes}


def failed(number: int, **changes: Any) -> dict[str, Any]:
    reason = "ZeroDivisionError: division by zero"
    return row(
        number, status="failed", grade=None, metrics={}, equity=None, error=reason, **changes
    )


class Code:
    """Captured files in memory, by run and path; what is read is taken down."""

    def __init__(self, **runs: dict[str, bytes]) -> None:
        self.runs = {f"20260301_091500_{name[1:]}": files for name, files in runs.items()}
        self.gone: dict[str, bytes | None] = {}  # what is found in place of a content
        self.harm: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []

    def code_hash(self, backtest_id: str) -> str:
        return sha256_json([list(item) for item in sorted(self._shas(backtest_id).items())])

    def _shas(self, backtest_id: str) -> dict[str, str]:
        return {path: sha256_bytes(data) for path, data in self.runs[backtest_id].items()}

    def files(self, backtest_id: str) -> dict[str, str]:
        self.asked.append(backtest_id)
        return self._shas(backtest_id) if backtest_id in self.runs else {}

    def content(self, path: str, sha256: str, backtest_ids: Sequence[str]) -> bytes | None:
        self.asked.append(path)
        found = [self.runs[name].get(path) for name in backtest_ids]
        right = next(data for data in found if data is not None)
        return self.gone.get(sha256, right)

    def damage(self, backtest_id: str, files: dict[str, str]) -> dict[str, str]:
        return self.harm.get(backtest_id, {})

    def rows(self, **changes: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a row per run; `changes` by the last digits of its id."""
        return [
            row(int(name[-3:]), code_hash=self.code_hash(name), **changes.get(f"_{name[-3:]}", {}))
            for name in self.runs
        ]


def made(
    rows: list[dict[str, Any]],
    out: Path,
    asked: list[str] | None = None,
    code: Code | None = None,
) -> Path:
    """Render the page of rows that carry their equity; `asked` takes down whose was read."""
    curves = {row["backtest_id"]: row["equity"] for row in rows}

    def equity(backtest_id: str) -> Any:
        if asked is not None:
            asked.append(backtest_id)
        return curves[backtest_id]

    assert render_index(rows, out, equity=equity, code=code) == out
    return out


def render(tmp_path: Path, rows: list[dict[str, Any]]) -> str:
    return made(rows, tmp_path / "index.html").read_text(encoding="utf-8")


def parts_of(page: str, folder: Path) -> list[Any]:
    """Return the rows of the files that a page loads, in its order."""
    names = re.findall(r'<script src="([^"]*)">', page)
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    return [json.loads(text.removeprefix("page.add(").removesuffix(");\n")) for text in texts]


def test_the_head_counts_runs_failures_strategies_and_bundles(tmp_path):
    rows = [row(1), row(2, bundle="other"), failed(3, strategy="strategies/rsi.py")]
    text = visible(render(tmp_path, rows))
    assert "Runs 3 Finished 2 Failed 1 Strategies 2 Bundles 2" in text


def test_every_run_is_in_the_data_with_its_reason(tmp_path):
    data = data_of(render(tmp_path, [failed(2), row(1)]))
    rows, (curves,) = data["rows"], data["curves"]
    columns = rows["columns"]
    assert columns["backtest_id"] == ["20260301_091500_001", "20260301_091500_002"]
    assert columns["error"] == [None, "ZeroDivisionError: division by zero"]
    assert columns["report"][0] == "20260301_091500_001/results/reports/basic_report.html"
    assert rows["metrics"] == {
        "total_return": [0.1, None],
        "sharpe_ratio": [0.1234568, None],
        "omega": [None, None],
    }
    assert rows["params"] == [{"fast": "1", "slow": "50"}, {"fast": "2", "slow": "50"}]
    assert curves == {"axes": [["2020-01-31", "2020-02-29"]], "curves": [[0, [1.0, 1.1]], None]}
    assert "&#39;self&#39;" not in render(tmp_path, [row(1)]), "a small page may load nothing"


def test_the_order_of_the_rows_does_not_change_a_byte(tmp_path):
    rows = [row(1), failed(2), row(3, equity=[["2019-12-31", 1.0]])]
    assert render(tmp_path, rows) == render(tmp_path, rows[::-1])


def test_values_json_does_not_have_are_shown_as_none(tmp_path):
    rows = [row(1, metrics={"profit_factor": float("inf"), "cagr": float("nan")})]
    found = data_of(render(tmp_path, rows))["rows"]["metrics"]
    assert found == {"cagr": [None], "profit_factor": [None]}


def test_a_large_store_lies_in_files_beside_its_page(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "INLINE_RUNS", 4)
    monkeypatch.setattr(index, "ROWS_PER_FILE", 3)
    monkeypatch.setattr(index, "CURVES_PER_FILE", 2)
    rows = [row(number) for number in range(1, 8)]
    page = render(tmp_path, rows)
    parts = parts_of(page, tmp_path)
    assert [part["columns"]["name"] for part in parts] == [
        ["run-1", "run-2", "run-3"],
        ["run-4", "run-5", "run-6"],
        ["run-7"],
    ]
    data = data_of(page)
    assert (data["rows"], data["curves"], data["curves_per_file"]) == (None, None, 2)
    assert len(data["curve_files"]) == 4
    second = (tmp_path / data["curve_files"][1]).read_text(encoding="utf-8")
    assert second.startswith('page.curves("20260301_091500_003",\n')
    assert "[0,[1.0,1.4]]" in second
    assert "&#39;self&#39;" in page.split("style-src")[0]


def test_a_run_more_leaves_the_files_of_the_others_and_reads_no_old_equity(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "INLINE_RUNS", 4)
    monkeypatch.setattr(index, "ROWS_PER_FILE", 3)
    monkeypatch.setattr(index, "CURVES_PER_FILE", 2)
    folder, out = tmp_path / ".index", tmp_path / "index.html"
    rows = [row(number) for number in range(1, 8)]
    made(rows, out)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    asked: list[str] = []
    made([*rows, row(8)], out, asked)
    assert asked == ["20260301_091500_007", "20260301_091500_008"]
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    same = before.items() & after.items()
    assert len(same) == 5, "two full files of rows, three of curves"
    assert len(after) == 7, "what no page needs is removed"
    asked.clear()
    made([row(1, version="other"), *rows[1:], row(8)], out, asked)
    assert asked == ["20260301_091500_001", "20260301_091500_002"], "changed results are read again"
    made(rows[:2], out)
    assert len(list(folder.iterdir())) == 1, "a small store needs its curves alone"


def test_markup_in_names_and_reasons_is_text(tmp_path):
    evil = "</script><script>alert(1)</script>\"'😀"
    page = render(tmp_path, [failed(1, name=evil, strategy=evil) | {"error": evil}])
    assert "<script>alert" not in page
    assert data_of(page)["rows"]["columns"]["error"] == [evil]


def test_an_empty_store_has_a_page(tmp_path):
    page = render(tmp_path, [])
    assert "The store holds no run yet" in visible(page)


def test_synthetic_runs_are_counted(tmp_path):
    assert "1 of these runs used synthetic data" in visible(
        render(tmp_path, [row(1), row(2, synthetic=True)])
    )


OLD = {"s.py": b"a = 1\n", "lib/m.py": b"m = 1\n"}
NEW = {"s.py": b"a = 2\n", "lib/m.py": b"m = 1\n"}


def scripts(folder: Path) -> dict[str, str]:
    return {
        path.name: path.read_text(encoding="utf-8")
        for path in sorted((folder / ".index").iterdir())
        if not path.name.startswith("curves")
    }


def test_a_small_page_holds_the_code_of_its_runs(tmp_path):
    code = Code(_001=OLD, _002=NEW, _003=NEW)
    code.harm["20260301_091500_002"] = {"s.py": "altered"}
    page = made(code.rows(), tmp_path / "index.html", code=code).read_text(encoding="utf-8")
    found, rows = data_of(page)["code"], data_of(page)["rows"]
    old, new = (code.code_hash(f"20260301_091500_00{number}") for number in (1, 2))
    assert found["closures"][old]["lib/m.py"] == found["closures"][new]["lib/m.py"]
    texts = {record["text"] for record in found["files"].values()}
    assert texts == {"a = 1\n", "a = 2\n", "m = 1\n"}
    assert (found["prefixes"], found["absent"], found["lost"]) == (None, {}, [])
    assert rows["damage"] == {"1": [["s.py", "altered"]]}
    assert "This file holds all it shows" in page


def test_much_code_lies_beside_the_page_once_and_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "INLINE_CODE", 10)
    code = Code(_001=OLD, _002=NEW)
    out = tmp_path / "index.html"
    page = made(code.rows(), out, code=code).read_text(encoding="utf-8")
    assert len(data_of(page)["rows"]["columns"]["name"]) == 2, "rows are on the page all the same"
    assert data_of(page)["code"].keys() == {"prefixes", "absent", "lost"}
    assert "This file holds all it shows" not in page
    assert "&#39;self&#39;" in page.split("style-src")[0]
    before = scripts(tmp_path)
    old = code.code_hash("20260301_091500_001")
    name = data_of(page)["code"]["prefixes"]["closure"].removeprefix(".index/") + f"{old[:16]}.js"
    assert before[name].startswith(f'page.code.closure("{old}",\n')
    assert len(before) == 2 + 3, "two closures, three distinct files"
    more = Code(_001=OLD, _002=NEW, _003=OLD, _004={**OLD, "n.py": b"n = 1\n"})
    made(more.rows(), out, code=more)
    assert more.asked == ["20260301_091500_004", "n.py"], "only what is new is looked at"
    after = scripts(tmp_path)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2
    made(code.rows()[:1], out, code=code)
    assert len(scripts(tmp_path)) == 3, "what no run has any more is removed"


def test_code_that_is_not_what_its_hash_states_is_not_shown(tmp_path):
    code = Code(_001=OLD, _002=NEW)
    rows = code.rows()
    code.runs["20260301_091500_001"] = NEW | {"s.py": b"evil = 1\n"}
    code.gone = {sha256_bytes(b"a = 2\n"): None, sha256_bytes(b"m = 1\n"): b"evil = 2\n"}
    page = made(rows, tmp_path / "index.html", code=code).read_text(encoding="utf-8")
    found = data_of(page)["code"]
    assert list(found["absent"]) == [rows[0]["code_hash"]]
    assert set(found["lost"]) == set(code.gone)
    assert "evil" not in page
    code.gone.clear()
    again = made(rows, tmp_path / "index.html", code=code).read_text(encoding="utf-8")
    assert data_of(again)["code"]["lost"] == [], "what was lost is looked for each time"


def test_what_is_no_text_is_told_by_its_size_alone(tmp_path):
    code = Code(_001={"s.py": b"\xff\xfe", "t.py": "é\ud83d".encode("utf-8", "surrogatepass")})
    page = made(code.rows(), tmp_path / "index.html", code=code).read_text(encoding="utf-8")
    found = sorted(data_of(page)["code"]["files"].values(), key=lambda item: item["size"])
    assert found == [{"size": 2, "text": None}, {"size": 5, "text": None}]
