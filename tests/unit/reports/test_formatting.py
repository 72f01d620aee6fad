import math

import pytest

from backtrail.reports.formatting import (
    metric_label,
    metric_text,
    metric_tone,
    moment_text,
    params_text,
    percent_text,
    plain_text,
)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4329, "fraction", "43.3%"),
        (0.0182, "fraction", "1.82%"),
        (-0.327, "fraction", "-32.7%"),
        (88.0, "count", "88"),
        (12.25, "bars", "12.2"),
        (143329.4, "currency", "143,329"),
        (9.5, "currency", "9.50"),
        (0.2186, "ratio", "0.22"),
        (0.9932, "probability", "0.993"),
        (0.52, "probability", "0.52"),
        (0.99996, "probability", ">0.999"),
        (0.0001, "probability", "<0.001"),
        (0.0602, "ratio", "0.060"),
        (0.00004, "ratio", "4.00e-05"),
        (None, "ratio", "–"),
        (math.nan, "ratio", "–"),
        (math.inf, "ratio", "∞"),
        (-math.inf, "fraction", "-∞"),
    ],
)
def test_a_metric_is_written_with_its_unit(value, unit, text):
    assert metric_text(value, unit) == text


def test_labels_are_readable_and_only_good_or_bad_news_is_colored():
    assert metric_label("cagr") == "CAGR"
    assert metric_label("time_under_water") == "Time under water"
    tones = [metric_tone("total_return", value) for value in (0.1, -0.1, 0.0, None)]
    assert tones == ["pos", "neg", "", ""]
    assert metric_tone("beta", -1.0) == ""


def test_settings_are_written_in_words():
    assert plain_text(None) == "not recorded"
    assert plain_text(True) == "yes"
    assert plain_text(["A", "B"]) == "A, B"
    assert params_text({"slow": 30, "fast": 10}) == "fast=10, slow=30"
    assert params_text({}) == "none"


def test_a_rounded_zero_has_no_minus():
    assert [percent_text(value) for value in (-0.0001, 0.1234, None)] == ["0.0", "12.3", "–"]


def test_moments_are_dates_and_have_a_time_only_for_intraday_data():
    moment = 1_700_000_000_000_000
    assert moment_text(moment, intraday=False) == "2023-11-14"
    assert moment_text(moment, intraday=True) == "2023-11-14 22:13:20"
