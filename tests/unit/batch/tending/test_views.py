"""The tree of links: where each run is found, and that nothing else takes notice of it."""

import json
import os
import re
import shutil

import pytest

from backtrail.artifacts.tags import edit_tags
from backtrail.batch.tending.deleting import delete_runs
from backtrail.batch.tending.views import MARK, write_views
from backtrail.errors import ArtifactManagerError

from .support import NOW


def tree(folder):
    """Return the names of the runs in each folder of links."""
    found = {}
    for top, names, files in os.walk(folder):
        for name in (*names, *files):
            if os.path.islink(os.path.join(top, name)):
                found.setdefault(os.path.relpath(top, folder), set()).add(name)
    return found


def test_every_run_is_found_by_month_strategy_symbol_and_tag(project, ids):
    store = project.store
    edit_tags(store, [store.read_spec(ids["hold"])["run_key"]], add=["paper"])
    views = project.root / "views"
    found = write_views(store, views)
    month = store.run(ids["sma"]).read_manifest()["started_at"][:7]
    grid = {ids[name] for name in ("sma", "sma-grid/fast=2", "sma-grid/fast=4")}
    assert tree(views) == {
        f"by-month/{month}": set(ids.values()),
        "by-strategy/strategies/sma.py": grid,
        "by-strategy/strategies/hold.py": {ids["hold"]},
        "by-strategy/strategies/bad.py": {ids["bad"]},
        "by-strategy/strategies/reader.py": {ids["reader"]},
        "by-symbol/AAA": set(ids.values()),
        "by-tag/paper": {ids["hold"]},
    }
    assert (found.runs, found.links) == (6, 19)
    assert found.folders == {"by-month": 1, "by-strategy": 4, "by-symbol": 1, "by-tag": 1}
    link = views / "by-tag/paper" / ids["hold"]
    assert not os.readlink(link).startswith("/")
    assert (link / "run.json").read_bytes() == store.run(ids["hold"]).manifest.read_bytes()
    assert len(store.run_dirs()) == 6
    moved = project.root.rename(project.root.with_name("moved"))
    assert (moved / "views/by-tag/paper" / ids["hold"] / "run.json").is_file()


def test_the_tree_is_made_anew_and_deleted_runs_leave_it(project, ids):
    views = project.root / "views"
    write_views(project.store, views)
    delete_runs(project.store, [ids["hold"]], now=NOW)
    write_views(project.store, views)
    assert "by-strategy/strategies/hold.py" not in tree(views)
    assert not [name for names in tree(views).values() for name in names if name == ids["hold"]]
    assert {path.name for path in project.root.iterdir() if "views" in path.name} == {"views"}
    shutil.rmtree(views)  # follows no link
    assert project.store.run(ids["sma"]).success.is_file()


def test_a_symbol_cannot_lead_elsewhere(project, ids):
    store = project.store
    store.claimed_path(ids["hold"]).unlink()
    spec = store.run(ids["hold"]).spec
    text = spec.read_text().replace('"AAA"', '"../../BTC/USDT"')
    spec.unlink()
    spec.write_text(text)
    write_views(store, project.root / "views")
    names = {path.name for path in (project.root / "views/by-symbol").iterdir()}
    assert names == {"AAA", "..%2F..%2FBTC%2FUSDT"}


def test_nothing_else_is_overwritten_and_no_run_is_made(project):
    (project.root / "views").mkdir()
    (project.root / "views/mine.txt").write_text("mine")
    with pytest.raises(ArtifactManagerError, match="no tree of `backtrail views`; name another"):
        write_views(project.store, project.root / "views")
    assert (project.root / "views/mine.txt").read_text() == "mine"
    with pytest.raises(ArtifactManagerError, match="lies in the run store"):
        write_views(project.store, project.store.base_dir / "views")
    (project.root / "views/mine.txt").unlink()
    write_views(project.store, project.root / "views")
    assert (project.root / "views" / MARK).is_file()


def test_long_names_that_begin_alike_have_folders_of_their_own(project, ids):
    store = project.store
    alike = ("策略" * 20, "x" * 199 + "ü")
    for number, name in enumerate(("hold", "bad", "sma", "reader")):
        spec = store.read_spec(ids[name])
        spec["identity"]["symbols"] = [f"{alike[number // 2]}{number}"]
        store.run(ids[name]).spec.unlink()
        store.run(ids[name]).spec.write_text(json.dumps(spec))
    write_views(store, project.root / "views")
    folders = {
        folder.removeprefix("by-symbol/"): names
        for folder, names in tree(project.root / "views").items()
        if "~" in folder
    }
    assert sorted(map(sorted, folders.values())) == sorted(
        [ids[name]] for name in ("hold", "bad", "sma", "reader")
    )
    for folder in folders:
        assert re.fullmatch(r"(x{199}|(%[0-9A-F]{2})+)~[0-9a-f]{8}", folder), folder
