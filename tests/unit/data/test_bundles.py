from datetime import date

import pytest

from backtrail.data import BundleConfig, Waiver
from backtrail.errors import ConfigError

MAPPING = {"adapter": "csv", "path": "prices", "calendar": "XNYS", "timeframe": "1d"}


def test_bundle_config_is_made_from_a_config_mapping():
    waiver = {"rule": "null_row", "reason": "holidays", "symbols": ["A"], "dates": ["2020-01-01"]}
    bundle = BundleConfig.from_mapping("b", {**MAPPING, "waivers": [waiver]})
    assert bundle.waivers == (Waiver("null_row", "holidays", ("A",), (date(2020, 1, 1),)),)
    assert (bundle.path, bundle.options) == ("prices", {})


def test_bundle_config_names_every_mistake_at_once():
    mapping = {
        "adapter": "csv",
        "path": "prices",
        "calendar": "NYSE",
        "timeframe": "daily",
        "options": {"date_fromat": "%Y", "delimiter": "||"},
    }
    with pytest.raises(ConfigError) as caught:
        BundleConfig.from_mapping("b", mapping)
    assert [problem.where for problem in caught.value.problems] == [
        "bundles.b.options.date_fromat",
        "bundles.b.calendar",
        "bundles.b.timeframe",
        "bundles.b.options.delimiter",
    ]
    assert "did you mean `date_format`" in str(caught.value)
    assert "bundles.b.calendar: 'NYSE'; write XNYS, its name among calendars" in str(caught.value)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b"])
def test_bundle_config_refuses_names_that_are_no_folder(name):
    with pytest.raises(ConfigError, match="is no folder name"):
        BundleConfig.from_mapping(name, MAPPING)


def test_bundle_config_names_unknown_and_missing_keys():
    with pytest.raises(ConfigError) as caught:
        BundleConfig.from_mapping("b", {"adapter": "csv", "calender": "XNYS"})
    assert [problem.where for problem in caught.value.problems] == [
        "bundles.b.calender",
        "bundles.b.calendar",
        "bundles.b.timeframe",
    ]


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_waiver_without_a_reason_is_refused(reason):
    waiver = {"rule": "null_row", "reason": reason}
    with pytest.raises(ConfigError, match=r"bundles\.b: waiver null_row: no reason"):
        BundleConfig.from_mapping("b", {**MAPPING, "waivers": [waiver]})


def test_waiver_of_a_rule_that_cannot_be_waived_is_refused():
    with pytest.raises(ConfigError, match=r"rules to waive: contradicting_duplicate, imposs.*"):
        Waiver("bad_adjustment", "why not")
