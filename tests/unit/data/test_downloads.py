import os
import time
from contextlib import suppress

import pytest

from backtrail.data.downloads import open_download

REQUEST = {"adapter": "ccxt", "start": "2024-01-01"}


def break_off(folder, *pages, request=REQUEST, is_open=False):
    with suppress(KeyboardInterrupt), open_download(folder, request, is_open=is_open) as download:
        for number, page in enumerate(pages):
            download.keep("BTC/USDT", number, page)
        raise KeyboardInterrupt


def found(folder, request=REQUEST, is_open=False):
    with open_download(folder, request, is_open=is_open) as download:
        return list(download.pages("BTC/USDT"))


def test_pages_of_a_download_that_broke_off_are_there_for_the_next(tmp_path):
    break_off(tmp_path / "b", {"rows": [1]}, {"rows": [2]})
    assert found(tmp_path / "b") == [{"rows": [1]}, {"rows": [2]}]
    assert found(tmp_path / "b", {**REQUEST, "start": "2023-01-01"}) == []


def test_a_download_without_a_page_leaves_nothing(tmp_path):
    break_off(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_done_leaves_nothing(tmp_path):
    with open_download(tmp_path / "b", REQUEST, is_open=False) as download:
        download.keep("BTC/USDT", 0, {"rows": []})
        download.note("markets", {})
        download.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("is_open", "kept"), [(True, 0), (False, 1)])
def test_only_a_download_up_to_the_present_is_begun_anew_after_a_rest(tmp_path, is_open, kept):
    break_off(tmp_path / "b", {"rows": []}, is_open=is_open)
    long_ago = time.time() - 90_000
    for path in (tmp_path / "b").rglob("*.json"):
        os.utime(path, (long_ago, long_ago))
    assert len(found(tmp_path / "b", is_open=is_open)) == kept


def test_half_a_page_of_a_killed_process_is_no_page(tmp_path):
    break_off(tmp_path / "b", {"rows": [1]})
    (page,) = (tmp_path / "b").rglob("000000.json")
    half = page.with_name(f".000001.json.{os.uname().nodename.replace('.', '-')}.999999999.1.tmp~")
    half.write_text('{"ro')
    assert found(tmp_path / "b") == [{"rows": [1]}]
    assert not half.exists()
