from datetime import UTC, datetime

import polars as pl

from backtrail.data.spool import Spool


def frame(first):
    return pl.DataFrame(
        {
            "timestamp": [datetime(2020, 1, day, tzinfo=UTC) for day in range(1, 29)],
            "open": [float(first + at) for at in range(28)],
        },
        schema_overrides={"timestamp": pl.Datetime("us", "UTC")},
    )


def test_frames_beyond_the_limit_lie_on_disk_under_no_name(tmp_path):
    folder = tmp_path / "made" / "when-needed"
    spool = Spool(folder, limit=frame(0).estimated_size() + 10)
    first, given = frame(0), frame(100)
    assert spool.keep(first) is first
    assert not folder.exists()
    kept = spool.keep(given)
    assert spool.files == 1
    assert kept is not given
    assert kept.equals(given)
    assert kept.schema == given.schema
    assert list(folder.iterdir()) == []
    chunked = pl.concat([frame(1), frame(2)], rechunk=False)
    assert spool.keep(chunked).equals(chunked)
    assert kept.equals(frame(100))
