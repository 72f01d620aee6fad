from backtrail.catalog import GRADES, STATUSES, tables


def test_the_tables_and_link_columns_are_those_of_the_documents():
    assert set(tables.metadata.tables) == {
        "bundles",
        "datasets",
        "backtest_data_links",
        "backtest_runs_catalog",
        "backtest_artifacts_catalog",
        "trials",
        "replays",
    }
    assert [column.name for column in tables.data_links.columns] == [
        "link_id",
        "backtest_id",
        "dataset_id",
        "cached_at",
        "cache_key",
    ]


def test_every_table_and_every_column_says_what_it_means():
    for table in tables.metadata.tables.values():
        assert table.comment.endswith("."), table.name
        for column in table.columns:
            assert column.comment, f"{table.name}.{column.name}"
            assert not column.comment.endswith(".")


def test_every_main_metric_has_a_column_that_may_be_empty():
    for name in tables.MAIN_METRICS:
        column = tables.runs.c[name]
        assert column.nullable
        assert column.type.python_type is float


def test_what_a_status_and_a_grade_may_be_fits_the_columns():
    assert STATUSES == ("completed", "failed", "altered")
    assert "".join(GRADES) == "ABCD"
    assert max(map(len, STATUSES)) <= tables.runs.c.status.type.length
