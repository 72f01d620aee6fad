import pytest

from backtrail.data import BundleConfig, Waiver
from backtrail.errors import ConfigError

MAPPING = {"adapter": "csv", "path": "prices", "calendar": "XNYS", "timeframe": "1d"}


def test_bundle_config_names_every_mistake_at_once():
    mapping = {
        "adapter": "csv",
        "path": "prices",
        "calendar": "NYSE",
        "timeframe": "daily",
        "options": {"date_fromat": "%Y", "delimiter": "||"},
    }
    with pytest.raises(ConfigError) as caught:
        BundleConfig("b", **mapping)
    assert [problem.where for problem in caught.value.problems] == [
        "bundles.b.date_fromat",
        "bundles.b.calendar",
        "bundles.b.timeframe",
        "bundles.b.delimiter",
    ]
    assert "did you mean `date_format`" in str(caught.value)
    assert "bundles.b.calendar: 'NYSE'; write XNYS, its name among calendars" in str(caught.value)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a b"])
def test_bundle_config_refuses_names_that_are_no_folder(name):
    with pytest.raises(ConfigError, match="is no folder name"):
        BundleConfig(name, **MAPPING)


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_waiver_without_a_reason_is_refused(reason):
    with pytest.raises(ConfigError, match=r"waiver null_row: no reason"):
        Waiver("null_row", reason)


def test_waiver_of_a_rule_that_cannot_be_waived_is_refused():
    with pytest.raises(ConfigError, match=r"rules to waive: contradicting_duplicate, imposs.*"):
        Waiver("bad_adjustment", "why not")
