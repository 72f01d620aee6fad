from backtrail.batch.planning.bundles import bundle_config


def test_a_bundle_takes_its_options_and_waivers_from_the_config():
    bundle = bundle_config(
        "b",
        {
            "adapter": "csv",
            "path": "p",
            "calendar": "XNYS",
            "timeframe": "1d",
            "delimiter": ";",
            "waivers": [{"rule": "null_row", "reason": "known", "dates": ["2020-01-02"]}],
        },
    )
    assert bundle.options == {"delimiter": ";"}
    assert bundle.waivers[0].reason == "known"
    assert bundle.waivers[0].dates[0].isoformat() == "2020-01-02"
