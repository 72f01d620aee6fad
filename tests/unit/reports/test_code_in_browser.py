"""The comparison of ticked runs in a real browser: their code line by line, their tags."""

import json
import random

from backtrail.reports import index as store_index

from .test_in_browser import silent
from .test_index import Code, made, row

EVIL = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\"'😀"
HEAD = "".join(f"line_{number} = {number}\n" for number in range(30))
BEFORE = {
    "strategies/s.py": (HEAD + "fast = 10\nslow = 50\nend = 1").encode(),
    "lib/same.py": b"same = 1\n",
    "lib/old.py": b"old = 1\n",
}
AFTER = {
    "strategies/s.py": (HEAD + f"fast = 11\n# {EVIL}\nslow = 50\nend = 1\n").encode(),
    "lib/same.py": b"same = 1\n",
    f"lib/{EVIL.replace('/', '')}.py": "x = '\u202eabc'\r\n".encode(),
    "lib/data.bin": b"\xff\xfe\x00",
}
TICK = "[...document.querySelectorAll('#runs tbody input')]"
TITLE = "document.getElementById('code-count').textContent"
FILES = (
    "[...document.querySelectorAll('#code-files details')].map(d => [d.querySelector('code')"
    ".textContent, d.querySelector('small').textContent,"
    " [...d.querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.textContent)"
    ".join('|'))])"
)


def settle(browser):
    for _ in range(8):
        browser.settle()


def test_two_ticked_runs_show_the_lines_in_which_their_code_differs(browser, tmp_path):
    code = Code(_001=BEFORE, _002=AFTER, _003=AFTER)
    code.harm["20260301_091500_002"] = {"strategies/s.py": "altered", "lib/data.bin": "missing"}
    rows = code.rows(_002={"name": EVIL, "status": "altered"})
    page = made([*rows, row(4, code_hash=None)], tmp_path / "index.html", code=code)
    browser.open(page)
    browser.run(f"{TICK}.slice(2).map(b => b.click())")  # the newest is first
    settle(browser)
    assert browser.run(TITLE) == "· 4 files differ: 4 lines added, 3 removed; 1 file is the same"
    files = {name: (said, lines) for name, said, lines in browser.run(FILES)}
    assert files["lib/old.py"] == ("only before · 0 added, 1 removed", ["1||−removed|old = 1"])
    assert files[f"lib/{EVIL.replace('/', '')}.py"] == (
        "only after · 1 added, 0 removed",
        ["|1|+added|x = '⟨U+202E⟩abc'⟨U+000D⟩"],
    )
    assert files["lib/data.bin"] == ("only after", [])
    said, lines = files["strategies/s.py"]
    assert said == "changed · 3 added, 2 removed"
    assert lines[0] == "Show 27 unchanged lines"
    assert lines[3:] == [
        "30|30||line_29 = 29",
        "31||−removed|fast = 10",
        "|31|+added|fast = 11",
        f"|32|+added|# {EVIL}",
        "32|33||slow = 50",
        "33||−removed|end = 1 ⟨no end of line⟩",
        "|34|+added|end = 1",
    ]
    browser.run("document.querySelector('#code-files .fold button').click()")
    shown = next(lines for name, _, lines in browser.run(FILES) if name == "strategies/s.py")
    assert (shown[0], len(shown)) == ("1|1||line_0 = 0", 36)
    region = "document.activeElement.getAttribute('aria-label')"
    assert browser.run(region) == "Lines of strategies/s.py", "the keyboard is not lost"
    caution = browser.run("document.getElementById('code-caution').textContent")
    assert f"The manifest of {EVIL} was altered after its seal" in caution
    assert "code/lib/data.bin is missing, code/strategies/s.py is altered. " in caution
    browser.run("document.getElementById('code-swap').click()")
    settle(browser)
    assert browser.run(TITLE) == "· 4 files differ: 3 lines added, 4 removed; 1 file is the same"
    browser.run("document.getElementById('clear').click()")
    browser.run(f"{TICK}.slice(1, 3).map(b => b.click())")
    settle(browser)
    assert browser.run(TITLE) == "· the same in both, 4 files"
    browser.run(f"{TICK}[0].click()")
    settle(browser)
    assert browser.run(TITLE) == "· cannot be compared"
    assert browser.run("document.getElementById('code-files').textContent") == (
        "The code of run-4 was not captured."
    )
    browser.run(
        "(() => { const s = document.getElementById('code-after'); s.value = '2';"
        "s.dispatchEvent(new Event('change')); })()"
    )
    settle(browser)
    assert browser.run(TITLE) == "· the same in both, 4 files"
    browser.run(f"{TICK}.slice(0, 3).map(b => b.checked && b.click()); {TICK}[3].click()")
    assert browser.run("document.getElementById('code').hidden"), "one run has nothing beside it"
    assert browser.run("window.hit === undefined")
    assert silent(browser, page), browser.complaints()


def test_code_beside_the_page_is_loaded_when_it_is_compared(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(store_index, "INLINE_RUNS", 1)
    last = AFTER | {"lib/same.py": b"same = 2\n", "__proto__": b"odd"}
    code = Code(_001=BEFORE, _002=AFTER, _003=last)
    code.harm["20260301_091500_003"] = {"__proto__": "missing"}
    page = made(code.rows(), tmp_path / "index.html", code=code)
    browser.open(page)

    def loaded():
        names = (url.rpartition("/")[2].rpartition("-")[0] for url in browser.requests())
        return [name for name in names if name.startswith(("code", "file"))]

    assert loaded() == []
    browser.run(f"{TICK}.slice(0, 2).map(b => b.click())")
    settle(browser)
    assert browser.run(TITLE) == "· 2 files differ: 2 lines added, 1 removed; 3 files are the same"
    assert loaded() == ["code-1"] * 2 + ["file-1"] * 3, "no file that both share"
    assert "code/__proto__ is missing" in browser.run(
        "document.getElementById('code-caution').textContent"
    )
    assert all(url.startswith(tmp_path.as_uri()) for url in browser.requests())
    assert browser.complaints() == []
    (tmp_path / ".index").rename(tmp_path / "elsewhere")
    browser.run(f"{TICK}[2].click()")
    settle(browser)
    assert browser.run("document.getElementById('code-files').textContent") == (
        "The code of run-1 cannot be shown: its script is not in .index, the folder that has to "
        "stand beside this page."
    )


def common_lines(a: list[str], b: list[str]) -> int:
    """Return the length of a longest common subsequence, by the table of all beginnings."""
    lengths = [0] * (len(b) + 1)
    for line in a:
        before = 0
        for at, other in enumerate(b, start=1):
            kept = lengths[at]
            lengths[at] = before + 1 if line == other else max(kept, lengths[at - 1])
            before = kept
    return lengths[-1]


def test_a_difference_makes_one_text_of_the_other_in_the_fewest_lines(browser, tmp_path):
    chance = random.Random(7)
    texts = ["", "\n", "a", "a\n", "a\nb\n", "\n\na\n"]
    texts += [
        "".join(chance.choice("abc") + "\n" for _ in range(chance.randrange(25)))
        for _ in range(150)
    ]
    pairs = [(chance.choice(texts), chance.choice(texts)) for _ in range(300)]
    pairs.append(("x\n" * 3000, "y\n" * 3000))
    browser.open(made([row(1)], tmp_path / "index.html"))
    found = browser.run(f"{json.dumps(pairs)}.map(([a, b]) => page.diff(a, b))")
    for (before, after), made_of in zip(pairs, found, strict=True):
        rows = made_of["rows"]
        for kinds, text, key in ((" -", before, "before"), (" +", after, "after")):
            own = [item for item in rows if item["kind"] in kinds]
            lines = [item["text"] + ("" if item["text"].endswith("\n") else "\n") for item in own]
            assert "".join(lines) == text + ("\n" if text and not text.endswith("\n") else "")
            assert [item[key] for item in own] == list(range(1, len(own) + 1))
        if made_of["isShortest"]:
            kept = common_lines(before.splitlines(keepends=True), after.splitlines(keepends=True))
            assert len(rows) - made_of["added"] - made_of["removed"] == kept
    assert [made_of["isShortest"] for made_of in found] == [True] * 300 + [False]


def test_runs_are_found_by_their_tags(browser, tmp_path):
    rows = [
        row(1, tags=["baseline", "paper"]),
        row(2, tags=["paper"]),
        row(3),
        row(4, tags=["x.1"]),
    ]
    page = made(rows, tmp_path / "index.html")
    browser.downloads_to(tmp_path)
    browser.open(page)
    count = "document.getElementById('count').textContent"
    options = (
        "[...document.querySelectorAll('select[data-key=tags] option')].map(o => o.textContent)"
    )
    assert browser.run(options) == ["every tag", "none (1)", "baseline (1)", "paper (2)", "x.1 (1)"]
    choose = (
        "(() => {{ const s = document.querySelector('select[data-key=tags]'); s.value = '{}';"
        "s.dispatchEvent(new Event('change')); }})()"
    )
    for value, found in (("=paper", "2 of 4"), ("=", "1 of 4"), ("", "4 of 4")):
        browser.run(choose.format(value))
        assert browser.run(count) == found
    type_in = (
        "(() => {{ const s = document.getElementById('search'); s.value = '{}';"
        "s.dispatchEvent(new Event('input')); }})()"
    )
    for words, found in (
        ("basel", "1 of 4"), ("tag = paper", "2 of 4"), ("tags != paper", "2 of 4"),
        ("tag = pap", "0 of 4"), ("tag=paper return > 15%", "1 of 4"), ("", "4 of 4"),
    ):  # fmt: skip
        browser.run(type_in.format(words))
        assert browser.run(count) == found, words
    cells = "[...document.querySelectorAll('#runs tbody .badge')].map(b => b.textContent)"
    assert browser.run(cells)[:2] == ["x.1", "completed"]
    browser.run(f"{TICK}.slice(2).map(b => b.click())")
    compared = (
        "[...document.querySelectorAll('#compare tr')].map(r => [...r.cells].map(c => c.innerText))"
        ".find(r => r[0].endsWith('Tags'))"
    )
    assert browser.run(compared) == ["≠ Tags", "paper", "baseline, paper"]
    browser.run("document.getElementById('runs-csv').click()")
    saved = browser.wait_for(tmp_path / "runs.csv").splitlines()
    at = saved[0].split(",").index("tags")
    assert [line.split(",")[at] for line in saved[1:]] == ["x.1", "", "paper", "baseline paper"]
    assert silent(browser, page), browser.complaints()
    browser.open(made([row(1)], tmp_path / "plain.html"))
    heads = "[...document.querySelectorAll('#runs th')].map(h => h.textContent)"
    assert "Tags" not in browser.run(heads), "a store without tags has no column of them"
